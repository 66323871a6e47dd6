import type { DriverEvents, LedgerEvent } from "../../core/driver/driver.js";
import type { Scheduler } from "../time/event.js";

/** The time until a program is woken for data that has already arrived, in nanoseconds. Without it, polling takes no time. */
const wakeNs = 50_000;

/** Datagrams that one socket may send at one instant before it pauses, and the length of the pause in nanoseconds. */
const maxInstantDatagrams = 1024;
const pauseNs = 100_000;

/** Driver calls in progress. Over loopback, a datagram arrives inside the call that sends it. */
let activeCalls = 0;

/** What a notifier is made with. */
export interface NotifierConfig {
  readonly events: DriverEvents;
  readonly scheduler: Scheduler;
  /** Rank of the host among the events of one instant. */
  readonly rank: number;
}

/** Tells the owner of a socket what happened to it: never from inside a driver call, and never after `close()`. */
export class Notifier {
  readonly #events: DriverEvents;
  readonly #scheduler: Scheduler;
  readonly #rank: number;
  readonly #unreported: LedgerEvent[] = [];
  #reportedDropped = 0;
  #wantsReadable = false;
  #wakeScheduled = false;
  /** The instant of the last send, and the number of datagrams sent at it. */
  #lastSendTime = -1;
  #sentAtInstant = 0;
  #order = 0;
  /** Whether a batch waits for the end of a pause. */
  #isPaused = false;
  #isClosed = false;

  constructor({ events, scheduler, rank }: NotifierConfig) {
    this.#events = events;
    this.#scheduler = scheduler;
    this.#rank = rank;
  }

  /** A driver call begins. */
  static beginCall(): void {
    activeCalls++;
  }

  /** A driver call ends. */
  static endCall(): void {
    activeCalls--;
  }

  /** @param isReadable whether there is something to receive already. */
  wantReadable(on: boolean, isReadable: boolean): void {
    this.#wantsReadable = on;
    if (on && isReadable) this.#scheduleWake();
  }

  /** There is something to receive. Returns whether the program was told now. */
  reportReadable(): boolean {
    if (!this.#wantsReadable || this.#isClosed) return false;
    if (activeCalls > 0) {
      this.#scheduleWake();
      return false;
    }
    this.#events.readable();
    return true;
  }

  /** Reports an event of the ledger in a microtask. `close()` returns the events that were not reported. */
  report(event: LedgerEvent): void {
    if (this.#unreported.push(event) > 1) return;
    queueMicrotask(() => {
      while (!this.#isClosed && this.#unreported.length > 0)
        this.#events.ledger(this.#unreported.shift() as LedgerEvent);
    });
  }

  /** @param more datagrams that were dropped since the last report. */
  reportDropped(more: number): void {
    this.#reportedDropped += more;
    this.report({ type: "droppedKernel", total: this.#reportedDropped });
  }

  /**
   * Whether the socket has sent so many datagrams at this instant that it must wait for the next instant. Sending takes no
   * virtual time, so without this wait a program that awaits each send would never leave the microtasks.
   *
   * @param more datagrams that the socket is about to send.
   */
  mustPause(more: number): boolean {
    const { now } = this.#scheduler;
    if (this.#lastSendTime !== now) {
      this.#lastSendTime = now;
      this.#sentAtInstant = 0;
    }
    if (this.#sentAtInstant < maxInstantDatagrams) {
      this.#sentAtInstant += more;
      return false;
    }
    this.#isPaused = true;
    this.#schedule(pauseNs, () => !this.#isClosed && this.endPause());
    return true;
  }

  /** Lets a batch that waits go on. Returns whether one waited. */
  endPause(): boolean {
    if (!this.#isPaused) return false;
    this.#isPaused = false;
    this.#events.settled(0);
    return true;
  }

  /** Stops calls of `readable()`. */
  stopReadable(): void {
    this.#wantsReadable = false;
  }

  /** Ends all notifications. @returns the events that were not reported. */
  close(): LedgerEvent[] {
    this.#isClosed = true;
    return this.#unreported;
  }

  #scheduleWake(): void {
    if (this.#wakeScheduled) return;
    this.#wakeScheduled = true;
    this.#schedule(wakeNs, () => {
      this.#wakeScheduled = false;
      return this.reportReadable();
    });
  }

  #schedule(delayNs: number, fire: () => boolean): void {
    const time = this.#scheduler.now + delayNs;
    this.#scheduler.schedule({ time, rank: this.#rank, order: this.#order++, fire });
  }
}
