import type { Clock } from "../core/driver/driver.js";
import type { Frame } from "../wire/message-frame.js";
import { Alarm } from "./alarm.js";
import { Delivered, partialKey } from "./delivered.js";
import type { DueReports } from "./due-reports.js";
import type { Peer } from "./peers.js";

/** The largest number of messages that wait for the program. Chunks that would complete further ones are dropped. */
const maxUnconfirmed = 16_384;
/** The part of them that may be of sources which have not proven their address: those can be forged, each message with another one. */
const maxUnproven = maxUnconfirmed / 4;
/** Confirmed messages that are remembered, because their report can be lost: at least so many, or for so long. */
const maxConfirmed = 65_536;
const keepMs = 30_000;

/** A message that was delivered and is not confirmed. */
interface Unconfirmed {
  readonly crc: number;
  readonly copies: number;
  readonly releaseMs: number;
  /** The host that it came from, and whether it counts as unproven, also if the sender has another address later. */
  readonly host: string;
  readonly isUnproven: boolean;
  peer: Peer;
  /** The chunk that the report will echo, and when it arrived. */
  frame: Frame;
  arrivedMs: number;
  route: Peer["route"];
}

/** With `confirm: "program"`: the messages whose senders learn only from the program that they are complete. */
export class Confirmations {
  /** Messages that were not confirmed in time, or that the program has released. */
  released = 0;
  readonly #clock: Clock;
  readonly #reports: DueReports;
  readonly #confirmMs: number;
  readonly #alarm: Alarm;
  /** By `partialKey`, in the order of their arrival. */
  readonly #waiting = new Map<number, Unconfirmed>();
  readonly #confirmed: Delivered;
  /** The number of messages of each host, and of all sources that have not proven their address. */
  readonly #byHost = new Map<string, number>();
  #unproven = 0;

  constructor(clock: Clock, reports: DueReports, confirmMs: number) {
    this.#clock = clock;
    this.#reports = reports;
    this.#confirmMs = confirmMs;
    this.#alarm = new Alarm(clock, () => this.#release());
    this.#confirmed = new Delivered(clock.now(), keepMs, maxConfirmed);
  }

  /** Messages that wait for the program. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Whether a source can have no further message. A host may have as many as are free: the only one has half of them at most, and a
   * host without a message always gets in beside hosts that use all they can.
   */
  isFull({ address: { host }, isProven }: Peer): boolean {
    if (!isProven && this.#unproven >= maxUnproven) return true;
    return (this.#byHost.get(host) ?? 0) >= maxUnconfirmed - this.#waiting.size;
  }

  /**
   * A message was completed by a chunk.
   *
   * @param copies how often the report is sent.
   * @returns `confirm` returns whether a report is to be sent now; `release` frees the place without one.
   */
  add(
    peer: Peer,
    frame: Readonly<Frame>,
    copies: number,
  ): { readonly confirm: () => boolean; readonly release: () => void } {
    const key = partialKey(frame);
    const arrivedMs = this.#clock.now();
    const releaseMs = arrivedMs + this.#confirmMs;
    const { id, crc } = frame;
    const { route, isProven, address } = peer;
    const waiting: Unconfirmed = {
      ...{ crc, copies, releaseMs, host: address.host, isUnproven: !isProven },
      ...{ peer, frame: { ...frame }, arrivedMs, route },
    };
    // Another message of the same key can be confirmed no more.
    this.#drop(key);
    this.#waiting.set(key, waiting);
    this.#count(waiting, 1);
    if (this.#waiting.size === 1) this.#alarm.set(releaseMs);
    return {
      confirm: () => {
        if (this.#waiting.get(key) !== waiting) return false;
        this.#delete(key);
        this.#confirmed.add(id, crc, this.#clock.now());
        this.#reports.complete(waiting.peer, waiting.frame, copies, waiting);
        return true;
      },
      release: () => {
        if (this.#waiting.get(key) === waiting) this.#drop(key);
      },
    };
  }

  /** A chunk of a delivered message came again. Returns whether its sender must not be told that the message is complete. */
  holds(peer: Peer, frame: Readonly<Frame>): boolean {
    const now = this.#clock.now();
    const waiting = this.#waiting.get(partialKey(frame));
    // A message that is not known is not reported: better an error for one that was confirmed than success for one that was not.
    if (waiting?.crc !== frame.crc) return !this.#confirmed.has(frame.id, frame.crc, now);
    // The sender may have a new address, and measures the round trip of the chunk that it sent last.
    Object.assign(waiting, { peer, frame: { ...frame }, arrivedMs: now, route: peer.route });
    return true;
  }

  /** Forgets all messages: they are not confirmed any more. */
  close(): void {
    this.#alarm.close();
    this.#waiting.clear();
    this.#byHost.clear();
    this.#unproven = 0;
  }

  #release(): void {
    const now = this.#clock.now();
    for (const [key, { releaseMs }] of this.#waiting) {
      if (releaseMs > now) {
        this.#alarm.set(releaseMs);
        return;
      }
      this.#drop(key);
    }
  }

  #drop(key: number): void {
    if (this.#delete(key)) this.released++;
  }

  #delete(key: number): boolean {
    const waiting = this.#waiting.get(key);
    if (!waiting) return false;
    this.#count(waiting, -1);
    return this.#waiting.delete(key);
  }

  #count({ host, isUnproven }: Unconfirmed, change: 1 | -1): void {
    const count = (this.#byHost.get(host) ?? 0) + change;
    if (count === 0) this.#byHost.delete(host);
    else this.#byHost.set(host, count);
    if (isUnproven) this.#unproven += change;
  }
}
