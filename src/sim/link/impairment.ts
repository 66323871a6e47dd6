import type { Random } from "../random.js";
import type { CheckedSettings, CheckedStates } from "./check.js";

/** What a link did to a packet. The caller owns the object and passes the same one for each packet. */
export interface Verdict {
  /** `loss`: lost on the link. `queue`: dropped because the queue was full. */
  fate: "passed" | "loss" | "queue";
  /** When the packet arrives, in whole nanoseconds on the clock of `now`; -1 if it does not arrive. */
  at: number;
  /** When the packet has left at the rate of the link, and begins to travel. */
  leftAt: number;
  /** When the duplicate arrives, which may be before `at` if the packet is delayed; -1 without a duplicate. */
  duplicateAt: number;
  /** Whether the packet was delayed, so that later packets can overtake it. */
  reordered: boolean;
  /** A uint32 whose remainder chooses the flipped bit, also of the duplicate; -1 if no bit was flipped. */
  corruptBit: number;
}

/** A new object for `Impairment.pass`. */
export function emptyVerdict(): Verdict {
  return { fate: "passed", at: -1, leftAt: -1, duplicateAt: -1, reordered: false, corruptBit: -1 };
}

/**
 * Decides what one direction of a link does to packets. It knows only their sizes, and works with virtual or real time.
 *
 * A packet waits until the packets before it have left at the rate of the link, and leaves at that rate. Then it may be
 * lost, corrupted and duplicated. Then it travels. Each chance is exact to 2^-32. A chance of 0 draws no random number, so
 * the same settings, packets and stream give the same fates.
 */
export class Impairment {
  readonly #random: Random;
  #settings: CheckedSettings;
  /** When all accepted packets will have left, rounded down. */
  #freeAt = 0;
  /** The part that was rounded down, in units of 1/rateBps ns, so that the rate is exact in the long run. */
  #remainder = 0;
  /** When the packets that were accepted before the last change of the rate will have left, and their average rate in bit/s. */
  #oldUntil = 0;
  #oldBps = 0;
  /** When the last packet came to the queue. */
  #seenAt = 0;
  #isBad: boolean;
  #lostInRow = 0;
  /** The latest arrival so far of a packet that keeps its order. */
  #lastAt = 0;

  constructor(settings: CheckedSettings, random: Random) {
    this.#settings = settings;
    this.#random = random;
    this.#isBad = this.#drawState();
  }

  get settings(): CheckedSettings {
    return this.#settings;
  }

  /**
   * Changes the settings for packets from now on. Packets that wait leave as before, ahead of new ones. A burst of losses
   * continues unless its model changes. After a change of latency or jitter, new packets may overtake those in flight.
   */
  set(settings: CheckedSettings): void {
    const before = this.#settings;
    if (settings.rateBps !== before.rateBps) this.#closeQueue();
    this.#settings = settings;
    if (!sameStates(settings.lossStates, before.lossStates)) this.#isBad = this.#drawState();
    if (settings.latencyNs !== before.latencyNs || settings.jitterNs !== before.jitterNs) this.#lastAt = 0;
  }

  /**
   * Decides on one packet, without allocating.
   *
   * @param now whole nanoseconds, never less than in the call before.
   * @param bytes of the packet, including the IP header: up to 65,536.
   */
  pass(now: number, bytes: number, verdict: Verdict): void {
    const settings = this.#settings;
    const random = this.#random;
    verdict.at = -1;
    verdict.duplicateAt = -1;
    verdict.reordered = false;
    verdict.corruptBit = -1;
    if (!this.#enqueue(now, bytes)) {
      verdict.fate = "queue";
      return;
    }
    if (this.#loses()) {
      verdict.fate = "loss";
      return;
    }
    verdict.fate = "passed";
    const left = Math.max(now, this.#freeAt);
    if (random.happens(settings.corruptRatio)) verdict.corruptBit = random.uint32();
    const duplicated = random.happens(settings.duplicateRatio);
    verdict.reordered = random.happens(settings.reorderRatio);
    verdict.leftAt = left;
    verdict.at = this.#arrival(left);
    if (duplicated) verdict.duplicateAt = this.#arrival(left);
    if (verdict.reordered) verdict.at += settings.reorderNs;
  }

  /**
   * Forgets the packets that have not left yet. The caller discards them too.
   *
   * @param now as in `pass`.
   * @param lastAt when the last of the packets that have left arrives.
   */
  discardQueue(now: number, lastAt: number): void {
    this.#freeAt = this.#seenAt = now;
    this.#remainder = this.#oldUntil = this.#oldBps = 0;
    this.#lastAt = lastAt;
  }

  /** Accepts a packet, to leave at the rate of the link. Returns whether there was room. */
  #enqueue(now: number, bytes: number): boolean {
    const { rateBps, queueBytes } = this.#settings;
    if (rateBps === Infinity) return true;
    this.#seenAt = now;
    // Bits times 10^9, which divided by bit/s are nanoseconds. These are whole numbers below 2^53.
    const work = bytes * 8e9;
    if (now > this.#freeAt) {
      this.#freeAt = now;
      this.#remainder = 0;
    }
    if (this.#freeAt > now && this.#waiting(now) + work > queueBytes * 8e9) return false;
    const total = work + this.#remainder;
    const whole = Math.floor(total / rateBps);
    this.#freeAt += whole;
    this.#remainder = total - whole * rateBps;
    return true;
  }

  /** The bits that have not left yet, times 10^9. */
  #waiting(now: number): number {
    const old = Math.max(0, this.#oldUntil - now) * this.#oldBps;
    const since = this.#freeAt - Math.max(now, this.#oldUntil);
    return since > 0 ? old + since * this.#settings.rateBps + this.#remainder : old;
  }

  /** Keeps the times of the packets that wait, and the room that they take, at a change of the rate. */
  #closeQueue(): void {
    const ns = this.#freeAt - this.#seenAt;
    if (ns > 0) this.#oldBps = this.#waiting(this.#seenAt) / ns;
    this.#oldUntil = this.#freeAt;
    this.#remainder = 0;
  }

  #loses(): boolean {
    const { lossStates, lossRatio, lossBurstMost } = this.#settings;
    const random = this.#random;
    if (lossStates !== undefined) {
      if (random.happens(this.#isBad ? lossStates.toGoodRatio : lossStates.toBadRatio))
        this.#isBad = !this.#isBad;
      return random.happens(this.#isBad ? lossStates.badLossRatio : lossStates.goodLossRatio);
    }
    const lost = random.happens(lossRatio) && this.#lostInRow < lossBurstMost;
    this.#lostInRow = lost ? this.#lostInRow + 1 : 0;
    return lost;
  }

  /** When a packet arrives: not before the packets that left before it. */
  #arrival(left: number): number {
    const { latencyNs, jitterNs } = this.#settings;
    const jitter = jitterNs > 0 ? Math.floor(this.#random.fraction() * (jitterNs + 1)) : 0;
    this.#lastAt = Math.max(this.#lastAt, left + latencyNs + jitter);
    return this.#lastAt;
  }

  /** Draws the first state of losses, with the shares of the long run, so that the first packet is no exception. */
  #drawState(): boolean {
    const { lossStates } = this.#settings;
    if (lossStates === undefined || lossStates.toBadRatio === 0) return false;
    return this.#random.happens(lossStates.toBadRatio / (lossStates.toBadRatio + lossStates.toGoodRatio));
  }
}

function sameStates(one: CheckedStates | undefined, other: CheckedStates | undefined): boolean {
  return one?.toBadRatio === other?.toBadRatio && one?.toGoodRatio === other?.toGoodRatio;
}
