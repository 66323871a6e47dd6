import { Buffer } from "node:buffer";

import type { Clock, Datagram, Endpoint } from "../index.js";
import { Impairment, emptyVerdict } from "../sim/link/impairment.js";
import type { Random } from "../sim/random.js";
import { EventQueue } from "../sim/time/event-queue.js";
import { nsPerMs } from "../sim/time/event.js";
import { Departure } from "./departure.js";
import type { Faults } from "./options.js";
import type { Rulebook, RuleVerdict } from "./rulebook.js";

/** Who a datagram is from or for. */
export interface Party {
  /** The client that it is, or is for. */
  readonly address: Endpoint;
  /** Settles when it is known where its datagrams go; `undefined` when it is. */
  readonly ready: Promise<void> | undefined;
  /** Bytes of IP and UDP headers of its packets. */
  readonly headerBytes: number;
  /** Its datagrams that are on their way. */
  inFlight: number;
}

/** What one direction of a relay is given. */
export interface DirectionHost<To> {
  readonly name: "up" | "down";
  readonly rules: Rulebook;
  /** Which bits rules flip: drawn by itself, so that rules change no other draw. */
  readonly ruleRandom: Random;
  readonly clock: Clock;
  /** The most datagrams, and bytes of payload, that may be on their way. */
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Hands datagrams to the kernel in their order. @returns how many it did not take. */
  send(departures: readonly Departure<To>[]): Promise<number>;
}

/** The datagrams of one direction, from when they were read until the kernel has them: what is lost, late or changed. */
export class Direction<To extends Party> {
  dropped = 0;
  delayed = 0;
  lost = 0;
  queueFull = 0;
  tooBig = 0;
  duplicated = 0;
  reordered = 0;
  corrupted = 0;
  overflowed = 0;
  unsent = 0;
  inFlight = 0;
  readonly #host: DirectionHost<To>;
  readonly #impairment: Impairment;
  readonly #verdict = emptyVerdict();
  readonly #ruled: RuleVerdict = { drop: false, corrupt: false, delayNs: 0 };
  readonly #waiting = new EventQueue();
  readonly #leave = (departure: Departure<To>): void => void this.#leaving.push(departure);
  #order = 0;
  #mtuBytes: number;
  #inFlightBytes = 0;
  /** What has left the link, and waits until it is known where it goes. */
  readonly #held = new Map<To, Departure<To>[]>();
  /** What leaves at once, until `flush`. */
  #leaving: Departure<To>[] = [];
  #timerAt = Infinity;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor({ settings, mtuBytes }: Faults, random: Random, host: DirectionHost<To>) {
    this.#host = host;
    this.#impairment = new Impairment(settings, random);
    this.#mtuBytes = mtuBytes;
  }

  /** From now on; what is on its way is not touched. */
  set({ settings, mtuBytes }: Faults): void {
    this.#impairment.set(settings);
    this.#mtuBytes = mtuBytes;
  }

  /**
   * Puts datagrams that have come on their way. What does not wait leaves with `flush`, which must follow.
   *
   * @param partyOf tells whose a datagram is; `undefined` is nobody's, which goes nowhere.
   */
  enter(datagrams: readonly Datagram[], partyOf: (datagram: Datagram) => To | undefined): void {
    const now = this.#now();
    // What is due is before what comes now.
    this.#release(now);
    for (const datagram of datagrams) {
      const to = partyOf(datagram);
      if (to) this.#pass(datagram.data, to, now);
    }
    this.#arm();
  }

  /** Sends what leaves at once; settles when the kernel has it. Does not wait for those whose way is not known yet. */
  async flush(): Promise<void> {
    const departures = this.#leaving;
    if (departures.length === 0) return;
    this.#leaving = [];
    const held = this.#held.size > 0 || departures.some(({ to }) => to.ready !== undefined);
    await this.#send(held ? departures.filter((departure) => !this.#holds(departure)) : departures);
  }

  /** Gives up what still waits, and what comes. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#release(Infinity);
    const departures = [this.#leaving, ...this.#held.values()].flat();
    this.#leaving = [];
    this.#held.clear();
    this.unsent += departures.length;
    for (const { data, to } of departures) this.#left(data, to);
  }

  async #send(departures: readonly Departure<To>[]): Promise<void> {
    if (departures.length === 0) return;
    const unsent = await this.#host.send(departures);
    this.unsent += unsent;
    for (const { data, to } of departures) this.#left(data, to);
  }

  /** Keeps a datagram back, behind those that are kept for the same party. @returns whether it has to. */
  #holds(departure: Departure<To>): boolean {
    const { to } = departure;
    const others = this.#held.get(to);
    others?.push(departure);
    if (others || !to.ready) return others !== undefined;
    this.#held.set(to, [departure]);
    void to.ready.then(async () => {
      const held = this.#held.get(to) ?? [];
      this.#held.delete(to);
      await this.#send(held);
    });
    return true;
  }

  #pass(data: Buffer, to: To, now: number): void {
    const ruled = this.#ruled;
    if (this.#host.rules.empty) {
      ruled.corrupt = false;
      ruled.delayNs = 0;
    } else {
      this.#host.rules.decide(this.#host.name, data, to.address, ruled);
      if (ruled.drop) {
        this.dropped++;
        return;
      }
    }
    const bytes = data.length + to.headerBytes;
    if (bytes > this.#mtuBytes) {
      this.tooBig++;
      return;
    }
    const verdict = this.#verdict;
    this.#impairment.pass(now, bytes, verdict);
    if (verdict.fate !== "passed") {
      if (verdict.fate === "loss") this.lost++;
      else this.queueFull++;
      return;
    }
    const { duplicateAt, corruptBit } = verdict;
    const at = verdict.at + ruled.delayNs;
    const secondAt = duplicateAt < 0 ? -1 : duplicateAt + ruled.delayNs;
    if (verdict.reordered) this.reordered++;
    if (ruled.delayNs > 0) this.delayed++;
    if ((corruptBit >= 0 || ruled.corrupt) && data.length > 0) {
      this.corrupted++;
      flip(data, (corruptBit >= 0 ? corruptBit : this.#host.ruleRandom.uint32()) % (data.length * 8));
    }
    // What was read with others shares their memory, and would keep it: what waits is copied.
    const kept = at > now || secondAt > now || to.ready ? Buffer.from(data) : data;
    this.#depart(kept, to, at, now);
    if (secondAt < 0) return;
    this.duplicated++;
    this.#depart(kept, to, secondAt, now);
  }

  #depart(data: Buffer, to: To, at: number, now: number): void {
    if (this.#closed) {
      this.unsent++;
      return;
    }
    const { maxInFlight, maxInFlightBytes } = this.#host;
    if (this.inFlight >= maxInFlight || this.#inFlightBytes + data.length > maxInFlightBytes) {
      this.overflowed++;
      return;
    }
    this.inFlight++;
    this.#inFlightBytes += data.length;
    to.inFlight++;
    const departure = new Departure(at, this.#order++, data, to, this.#leave);
    if (at <= now) this.#leave(departure);
    else this.#waiting.push(departure);
  }

  #left(data: Buffer, to: To): void {
    this.inFlight--;
    this.#inFlightBytes -= data.length;
    to.inFlight--;
  }

  /** Lets what is due by `now` leave with the next flush. */
  #release(now: number): void {
    for (let next = this.#waiting.peek(); next && next.time <= now; next = this.#waiting.peek()) {
      this.#waiting.pop();
      next.fire();
    }
  }

  /** One timer, for the earliest of all. */
  #arm(): void {
    const next = this.#waiting.peek()?.time ?? Infinity;
    if (next >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = next;
    const leftMs = Math.max(0, next - this.#now()) / nsPerMs;
    this.#cancelTimer = this.#host.clock.after(leftMs, () => {
      this.#timerAt = Infinity;
      this.#release(this.#now());
      this.#arm();
      void this.flush();
    });
  }

  #now(): number {
    return Math.floor(this.#host.clock.now() * nsPerMs);
  }
}

function flip(data: Buffer, bit: number): void {
  const byte = bit >> 3;
  data[byte] = (data[byte] ?? 0) ^ (1 << (bit & 7));
}
