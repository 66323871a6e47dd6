import { Buffer } from "node:buffer";

import type { Clock, Datagram } from "../index.js";
import { Impairment, emptyVerdict } from "../sim/link/impairment.js";
import type { Random } from "../sim/random.js";
import { EventQueue } from "../sim/time/event-queue.js";
import { nsPerMs } from "../sim/time/timeline.js";
import { Departure } from "./departure.js";
import type { Faults } from "./options.js";

/** Who a datagram is from or for. */
export interface Party {
  /** Bytes of IP and UDP headers of its packets. */
  readonly headerBytes: number;
  /** Its datagrams that are on their way. */
  inFlight: number;
}

/** What one direction of a relay is given. */
export interface DirectionHost<To> {
  readonly clock: Clock;
  /** The most datagrams, and bytes of payload, that may be on their way. */
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Hands datagrams to the kernel in their order. @returns how many it did not take. */
  send(departures: readonly Departure<To>[]): Promise<number>;
}

/** The datagrams of one direction, from when they were read until the kernel has them: what is lost, late or changed. */
export class Direction<To extends Party> {
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
  readonly #waiting = new EventQueue();
  readonly #leave = (departure: Departure<To>): void => void this.#leaving.push(departure);
  #order = 0;
  #mtuBytes: number;
  #inFlightBytes = 0;
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

  /** Sends what leaves at once; settles when the kernel has it. */
  async flush(): Promise<void> {
    const departures = this.#leaving;
    if (departures.length === 0) return;
    this.#leaving = [];
    const unsent = await this.#host.send(departures);
    this.unsent += unsent;
    for (const { data, to } of departures) this.#left(data, to);
  }

  /** Gives up what still waits, and what comes. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#release(Infinity);
    const departures = this.#leaving;
    this.#leaving = [];
    this.unsent += departures.length;
    for (const { data, to } of departures) this.#left(data, to);
  }

  #pass(data: Buffer, to: To, now: number): void {
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
    const { at, duplicateAt, corruptBit } = verdict;
    if (verdict.reordered) this.reordered++;
    if (corruptBit >= 0 && data.length > 0) {
      this.corrupted++;
      flip(data, corruptBit % (data.length * 8));
    }
    // What was read with others shares their memory, and would keep it: what waits is copied.
    const kept = at > now || duplicateAt > now ? Buffer.from(data) : data;
    this.#depart(kept, to, at, now);
    if (duplicateAt < 0) return;
    this.duplicated++;
    this.#depart(kept, to, duplicateAt, now);
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
      next.happen();
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
