import type { Random } from "../random.js";
import type { CheckedSettings, CheckedStates } from "./check.js";

/** What a link did to a packet. The caller owns it and hands it in again and again. */
export interface Verdict {
  /** `loss`: lost on the way. `queue`: there was no room for it to wait. */
  fate: "passed" | "loss" | "queue";
  /** Whole nanoseconds at which it arrives, on the clock of `now`; -1 where it does not. */
  at: number;
  /** When it has left at the link's rate, and travels. */
  leftAt: number;
  /** When it arrives once more, which may be before `at` where that is held back; -1 where it does not. */
  duplicateAt: number;
  /** Whether it was held back, so that those behind it can overtake. */
  reordered: boolean;
  /** A uint32, of which the remainder picks the bit that was flipped, of the duplicate too; -1 where none was. */
  corruptBit: number;
}

/** A verdict to hand to `Impairment.pass`. */
export function emptyVerdict(): Verdict {
  return { fate: "passed", at: -1, leftAt: -1, duplicateAt: -1, reordered: false, corruptBit: -1 };
}

/**
 * One direction of a link, at work. Packets are sizes to it, and the caller keeps its time, virtual or real.
 *
 * A packet waits until those before it have left at the link's rate, and leaves at that rate; then it may be lost,
 * corrupted and duplicated; then it travels. Each chance is met to within 2^-32, and is drawn only where it is not 0, so
 * that the same settings, packets and stream have the same fates.
 */
export class Impairment {
  readonly #random: Random;
  #settings: CheckedSettings;
  /** When all that was let in will have left, rounded down. */
  #freeAt = 0;
  /** What rounding took off, in units of 1/rateBps ns, so that the rate is exact in the long run. */
  #remainder = 0;
  /** When what was let in before the rate changed will have left, and the bits a second at which it does on average. */
  #oldUntil = 0;
  #oldBps = 0;
  /** When a packet last came to the queue. */
  #seenAt = 0;
  #isBad: boolean;
  #lostInRow = 0;
  /** The latest that anything which keeps its place arrives. */
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
   * Changes what happens to packets from now on. Those that wait leave as they would have, before any other; a burst of
   * losses goes on unless its model changes; what comes after a change of latency or jitter may overtake what travels.
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
   * @param bytes on the link, IP header and all: up to 65,536.
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
   * Forgets what has not left yet, as the caller does.
   *
   * @param now as in `pass`.
   * @param lastAt when the last arrives of what has left.
   */
  discardQueue(now: number, lastAt: number): void {
    this.#freeAt = this.#seenAt = now;
    this.#remainder = this.#oldUntil = this.#oldBps = 0;
    this.#lastAt = lastAt;
  }

  /** Lets a packet in to leave at the link's rate, unless it finds no room. */
  #enqueue(now: number, bytes: number): boolean {
    const { rateBps, queueBytes } = this.#settings;
    if (rateBps === Infinity) return true;
    this.#seenAt = now;
    // Bits times 10^9: divided by bits a second, that is nanoseconds. Whole numbers below 2^53.
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

  /** Bits times 10^9 that have not left yet. */
  #waiting(now: number): number {
    const old = Math.max(0, this.#oldUntil - now) * this.#oldBps;
    const since = this.#freeAt - Math.max(now, this.#oldUntil);
    return since > 0 ? old + since * this.#settings.rateBps + this.#remainder : old;
  }

  /** What waits now leaves as it would have, and goes on to take room. */
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

  /** When a packet arrives that left then: not before those that left before it. */
  #arrival(left: number): number {
    const { latencyNs, jitterNs } = this.#settings;
    const jitter = jitterNs > 0 ? Math.floor(this.#random.fraction() * (jitterNs + 1)) : 0;
    this.#lastAt = Math.max(this.#lastAt, left + latencyNs + jitter);
    return this.#lastAt;
  }

  /** The state of losses at any instant of the long run: no packet is better off for being the first. */
  #drawState(): boolean {
    const { lossStates } = this.#settings;
    if (lossStates === undefined || lossStates.toBadRatio === 0) return false;
    return this.#random.happens(lossStates.toBadRatio / (lossStates.toBadRatio + lossStates.toGoodRatio));
  }
}

function sameStates(one: CheckedStates | undefined, other: CheckedStates | undefined): boolean {
  return one?.toBadRatio === other?.toBadRatio && one?.toGoodRatio === other?.toGoodRatio;
}
