import type { Clock } from "../core/driver/driver.js";
import type { Frame } from "../wire/message-frame.js";
import { Alarm } from "./alarm.js";
import { Delivered, partialKey } from "./delivered.js";
import type { DueReports } from "./due-reports.js";
import type { Peer } from "./peers.js";

/** The largest number of messages that wait for the program. Above it, chunks of further messages are dropped. */
const maxUnconfirmed = 16_384;
/** Confirmed messages that are remembered, because their report can be lost: at least so many, or for so long. */
const maxConfirmed = 65_536;
const keepMs = 30_000;

/** A message that was delivered and is not confirmed. */
interface Unconfirmed {
  readonly crc: number;
  readonly copies: number;
  readonly releaseMs: number;
  peer: Peer;
  /** The chunk that the report will echo, and when it arrived. */
  frame: Frame;
  arrivedMs: number;
  route: Peer["route"];
}

/** With `confirm: "program"`: the messages whose senders learn only from the program that they are complete. */
export class Confirmations {
  /** Messages that were not confirmed in time. */
  released = 0;
  readonly #clock: Clock;
  readonly #reports: DueReports;
  readonly #confirmMs: number;
  readonly #alarm: Alarm;
  /** By `partialKey`, in the order of their arrival. */
  readonly #waiting = new Map<number, Unconfirmed>();
  readonly #confirmed: Delivered;

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

  get isFull(): boolean {
    return this.#waiting.size >= maxUnconfirmed;
  }

  /**
   * A message was completed by a chunk.
   *
   * @param copies how often the report is sent.
   * @returns confirms the message. Returns whether a report is to be sent now.
   */
  add(peer: Peer, frame: Readonly<Frame>, copies: number): () => boolean {
    const key = partialKey(frame);
    const arrivedMs = this.#clock.now();
    const releaseMs = arrivedMs + this.#confirmMs;
    const { crc } = frame;
    const waiting = { crc, copies, releaseMs, peer, frame: { ...frame }, arrivedMs, route: peer.route };
    // Another message of the same key can be confirmed no more.
    this.#drop(key);
    this.#waiting.set(key, waiting);
    if (this.#waiting.size === 1) this.#alarm.set(releaseMs);
    return () => {
      if (this.#waiting.get(key) !== waiting) return false;
      this.#waiting.delete(key);
      this.#confirmed.add(key, crc, this.#clock.now());
      this.#reports.complete(waiting.peer, waiting.frame, copies, waiting);
      return true;
    };
  }

  /** A chunk of a delivered message came again. Returns whether its sender must not be told that the message is complete. */
  holds(peer: Peer, frame: Readonly<Frame>): boolean {
    const now = this.#clock.now();
    const waiting = this.#waiting.get(partialKey(frame));
    // A message that is not known is not reported: better an error for one that was confirmed than success for one that was not.
    if (waiting?.crc !== frame.crc) return !this.#confirmed.has(partialKey(frame), frame.crc, now);
    // The sender may have a new address, and measures the round trip of the chunk that it sent last.
    Object.assign(waiting, { peer, frame: { ...frame }, arrivedMs: now, route: peer.route });
    return true;
  }

  /** Forgets all messages: they are not confirmed any more. */
  close(): void {
    this.#alarm.close();
    this.#waiting.clear();
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
    if (this.#waiting.delete(key)) this.released++;
  }
}
