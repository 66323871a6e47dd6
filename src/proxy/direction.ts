import { Buffer } from "node:buffer";

import type { Clock, Datagram, Endpoint } from "../index.js";
import { Impairment, emptyVerdict } from "../sim/link/impairment.js";
import type { Random } from "../sim/random.js";
import { EventQueue } from "../sim/time/event-queue.js";
import { type ScheduledEvent, nsPerMs } from "../sim/time/event.js";
import type { DirectionFaults } from "./options.js";
import { type ActiveRules, type RuleVerdict, emptyRuleVerdict } from "./active-rules.js";
import { type FaultTexts, faultTexts } from "./fault-texts.js";
import type { DirectionName, Passage, RelayObservers, SentDatagram } from "./observer.js";

/** A datagram that is sent at its time. Datagrams with the same time are sent in their order. */
export class Departure<To> implements ScheduledEvent, SentDatagram {
  readonly time: number;
  readonly rank = 0;
  readonly order: number;
  readonly data: Buffer;
  readonly to: To;
  readonly passage: Passage | undefined;
  readonly isDuplicate: boolean;
  readonly #leave: (departure: Departure<To>) => void;

  /** @param time whole nanoseconds on the clock of the sockets. */
  constructor(
    time: number,
    order: number,
    { data, to, passage, isDuplicate }: Leaving<To>,
    leave: (departure: Departure<To>) => void,
  ) {
    this.time = time;
    this.order = order;
    this.data = data;
    this.to = to;
    this.passage = passage;
    this.isDuplicate = isDuplicate;
    this.#leave = leave;
  }

  fire(): boolean {
    this.#leave(this);
    return false;
  }
}

/** A datagram that passed, and who gets it. The passage is known if the relay is observed. */
interface Leaving<To> extends SentDatagram {
  readonly to: To;
}

/** The client that a datagram is from or for. */
export interface DirectionClient {
  /** The address of the client. */
  readonly address: Endpoint;
  /** Settles when the addresses of all targets are known; `undefined` if they are. */
  readonly ready: Promise<void> | undefined;
  /** Bytes of the IP and UDP headers of its packets. */
  readonly headerBytes: number;
  /** Datagrams of this client that the relay holds. */
  inFlight: number;
}

/** What a direction needs of its relay. */
export interface DirectionHost<To> {
  readonly name: DirectionName;
  readonly observers: RelayObservers;
  readonly rules: ActiveRules;
  /** Chooses the bits that rules flip. It is a generator of its own, so that rules change no other random draw. */
  readonly ruleRandom: Random;
  readonly clock: Clock;
  /** The largest number of datagrams in flight. */
  readonly maxInFlight: number;
  /** The largest number of payload bytes in flight. */
  readonly maxInFlightBytes: number;
  /** Sends datagrams in their order. @returns how many the kernel did not take. */
  send(departures: readonly Departure<To>[]): Promise<number>;
}

/** Why a datagram goes no further. */
type Drop = "rule" | "mtu" | "loss" | "queue" | "inFlight";

/** The part of a passage that a dropped datagram has too. */
type Common = Pick<Passage, "direction" | "sender" | "destination" | "dropped">;

const noEffects: Omit<Passage, keyof Common> = {
  ...{ delayMs: 0, delayedBy: "", duplicatedBy: undefined, reorderedBy: undefined, corruptedBy: undefined },
};

/** One direction of a relay. It decides which datagrams are lost, delayed or changed, and holds them until they are sent. */
export class Direction<To extends DirectionClient> {
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
  readonly #ruleVerdict: RuleVerdict = emptyRuleVerdict();
  readonly #waiting = new EventQueue();
  readonly #leave = (departure: Departure<To>): void => void this.#leaving.push(departure);
  #order = 0;
  #mtuBytes: number;
  /** The texts of the settings, which are made when an observer needs them. */
  #texts: FaultTexts | undefined;
  #inFlightBytes = 0;
  /** Datagrams that have passed the link and wait for the addresses of the targets, by client. */
  readonly #held = new Map<To, Departure<To>[]>();
  /** Datagrams that the next `flush` sends. */
  #leaving: Departure<To>[] = [];
  #timerAt = Infinity;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor({ settings, mtuBytes }: DirectionFaults, random: Random, host: DirectionHost<To>) {
    this.#host = host;
    this.#impairment = new Impairment(settings, random);
    this.#mtuBytes = mtuBytes;
  }

  /** Changes the settings. Datagrams in flight keep their fate. */
  set({ settings, mtuBytes }: DirectionFaults): void {
    this.#impairment.set(settings);
    this.#mtuBytes = mtuBytes;
    this.#texts = undefined;
  }

  /**
   * Decides what happens to received datagrams. Call `flush` afterwards: it sends those without a delay.
   *
   * @param clientOf returns the client that a datagram is from or for, or why the datagram goes no further.
   * @param local the address that they came to, if they do not know it; it is asked for if the relay is observed.
   */
  enter(
    datagrams: readonly Datagram[],
    clientOf: (datagram: Datagram) => To | string,
    local: () => Endpoint,
  ): void {
    const now = this.#now();
    // Datagrams that are due are sent before the new ones.
    this.#release(now);
    const to = this.#host.observers.active ? local() : undefined;
    for (const datagram of datagrams) {
      const client = clientOf(datagram);
      if (typeof client !== "string") this.#pass(datagram, client, now, to);
      else if (to) this.#tell(datagram, to, client, now);
    }
    this.#arm();
  }

  /** Sends the datagrams that are due; settles when the kernel has them. Does not wait for clients that are not ready. */
  async flush(): Promise<void> {
    const departures = this.#leaving;
    if (departures.length === 0) return;
    this.#leaving = [];
    const held = this.#held.size > 0 || departures.some(({ to }) => to.ready !== undefined);
    await this.#send(held ? departures.filter((departure) => !this.#holds(departure)) : departures);
  }

  /** Discards the datagrams in flight, and all that come later. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#release(Infinity);
    const departures = [this.#leaving, ...this.#held.values()].flat();
    this.#leaving = [];
    this.#held.clear();
    this.unsent += departures.length;
    for (const { data, to } of departures) this.#left(data, to);
    if (departures.length > 0) this.#host.observers.discarded(this.#host.name, departures.length);
  }

  async #send(departures: readonly Departure<To>[]): Promise<void> {
    if (departures.length === 0) return;
    const unsent = await this.#host.send(departures);
    this.unsent += unsent;
    for (const { data, to } of departures) this.#left(data, to);
  }

  /** Holds a datagram of a client that is not ready, after others of the same client. @returns whether it is held. */
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

  #pass(datagram: Datagram, to: To, now: number, local: Endpoint | undefined): void {
    const { data } = datagram;
    const dropped = this.#decide(data, to, now);
    const passage = local && this.#tell(datagram, local, dropped && this.#reason(dropped), now);
    if (dropped) return;
    const [ruled, { at: linkAt, duplicateAt, corruptBit, reordered }] = [this.#ruleVerdict, this.#verdict];
    const at = linkAt + ruled.delayNs;
    const secondAt = duplicateAt < 0 ? -1 : duplicateAt + ruled.delayNs;
    if (reordered) this.reordered++;
    if (ruled.delayNs > 0) this.delayed++;
    if ((corruptBit >= 0 || ruled.corrupt) && data.length > 0) {
      this.corrupted++;
      flip(data, (corruptBit >= 0 ? corruptBit : this.#host.ruleRandom.uint32()) % (data.length * 8));
    }
    // Datagrams that were read together share memory. One that waits is copied, so that it does not keep the memory of all.
    const kept = at > now || secondAt > now || to.ready ? Buffer.from(data) : data;
    this.#depart({ data: kept, to, passage, isDuplicate: false }, at, now);
    if (secondAt < 0) return;
    this.duplicated++;
    this.#depart({ data: kept, to, passage, isDuplicate: true }, secondAt, now);
  }

  /** Decides whether a datagram passes, and counts it if not. Both verdicts say what happens to it then. */
  #decide(data: Buffer, to: To, now: number): Drop | undefined {
    const ruled = this.#ruleVerdict;
    if (this.#host.rules.empty) {
      ruled.corrupt = false;
      ruled.delayNs = 0;
    } else {
      this.#host.rules.decide(this.#host.name, data, to.address, ruled);
      if (ruled.drop) {
        this.dropped++;
        return "rule";
      }
    }
    const bytes = data.length + to.headerBytes;
    if (bytes > this.#mtuBytes) {
      this.tooBig++;
      return "mtu";
    }
    this.#impairment.pass(now, bytes, this.#verdict);
    const { fate } = this.#verdict;
    if (fate === "loss") this.lost++;
    else if (fate === "queue") this.queueFull++;
    else if (!this.#isFull(data)) return undefined;
    else this.overflowed++;
    return fate === "passed" ? "inFlight" : fate;
  }

  /** Why a datagram goes no further. */
  #reason(drop: Drop): string {
    if (drop === "rule") return `rule ${this.#ruleVerdict.droppedBy}`;
    return drop === "inFlight" ? "limit of datagrams in flight" : this.#faultTexts()[drop];
  }

  #faultTexts(): FaultTexts {
    return (this.#texts ??= faultTexts({ settings: this.#impairment.settings, mtuBytes: this.#mtuBytes }));
  }

  /** Tells the observers what happens to a datagram, by the verdicts if it passes. */
  #tell(datagram: Datagram, local: Endpoint, dropped: string | undefined, now: number): Passage {
    const { source: sender, destination = local } = datagram;
    const common = { direction: this.#host.name, sender, destination, dropped };
    const passage =
      dropped === undefined
        ? { ...common, ...this.#effects(datagram.data, now) }
        : { ...common, ...noEffects };
    this.#host.observers.entered(passage, datagram);
    return passage;
  }

  #effects(data: Buffer, now: number): Omit<Passage, keyof Common> {
    const [ruled, { at, reordered, duplicateAt, corruptBit }] = [this.#ruleVerdict, this.#verdict];
    const texts = this.#faultTexts();
    const inOrderAt = reordered ? at - this.#impairment.settings.reorderNs : at;
    const delays = [
      inOrderAt > now && texts.delay,
      reordered && texts.reorder,
      ruled.delayNs > 0 && `rule ${ruled.delayedBy}`,
    ].filter((text) => text !== false);
    const ruledCorrupt = ruled.corrupt ? `rule ${ruled.corruptedBy}` : undefined;
    const corruptedBy = corruptBit >= 0 ? texts.corrupt : ruledCorrupt;
    return {
      delayMs: (at + ruled.delayNs - now) / nsPerMs,
      delayedBy: delays.join(", "),
      duplicatedBy: duplicateAt < 0 ? undefined : texts.duplicate,
      reorderedBy: reordered ? texts.reorder : undefined,
      corruptedBy: data.length > 0 ? corruptedBy : undefined,
    };
  }

  /** Whether another datagram would be above a bound. */
  #isFull(data: Buffer): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#host;
    return this.inFlight >= maxInFlight || this.#inFlightBytes + data.length > maxInFlightBytes;
  }

  #depart(leaving: Leaving<To>, at: number, now: number): void {
    const { data, to, isDuplicate } = leaving;
    if (this.#closed) {
      this.unsent++;
      return;
    }
    if (isDuplicate && this.#isFull(data)) {
      this.overflowed++;
      return;
    }
    this.inFlight++;
    this.#inFlightBytes += data.length;
    to.inFlight++;
    const departure = new Departure(at, this.#order++, leaving, this.#leave);
    if (at <= now) this.#leave(departure);
    else this.#waiting.push(departure);
  }

  #left(data: Buffer, to: To): void {
    this.inFlight--;
    this.#inFlightBytes -= data.length;
    to.inFlight--;
  }

  /** Moves the datagrams that are due by `now` to the next flush. */
  #release(now: number): void {
    for (let next = this.#waiting.peek(); next && next.time <= now; next = this.#waiting.peek()) {
      this.#waiting.pop();
      next.fire();
    }
  }

  /** Sets the one timer, for the earliest datagram. */
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
