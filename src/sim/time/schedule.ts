import { EventQueue } from "./event-queue.js";
import { type ScheduledEvent, type CancellableScheduler, nsPerMs } from "./event.js";

/** The virtual time that a turn of the event loop takes, so that a loop that polls comes to its end. */
export const turnNs: number = nsPerMs / 10;

/** Timers fire after all events of the network at the same instant: those have lower ranks. */
const timerRank = 0x3fff_ffff;

/** The number of cancelled timers in the queue above which they are removed if they are more than half of it. */
const pruneFrom = 1_000;

/** The present instant of virtual time, and all events to come. */
export class Schedule implements CancellableScheduler {
  #now = 0;
  readonly #queue = new EventQueue();
  /** The number of timers so far, which is the order of timers at one instant. */
  #timers = 0;
  #cancelled = 0;

  get now(): number {
    return this.#now;
  }

  /** The number of events that wait, including cancelled timers. */
  get size(): number {
    return this.#queue.size;
  }

  schedule(event: ScheduledEvent): void {
    if (!(event.time >= this.#now)) {
      throw new Error(`${event.time} ns is past: it is ${this.#now} ns`);
    }
    this.#queue.push(event);
  }

  /**
   * Starts a timer that fires once.
   *
   * @param ns whole nanoseconds from now, at least one turn.
   * @param ofRun whether the end of the current run cancels the timer.
   */
  after(ns: number, run: () => void, ofRun: boolean): Timer {
    return this.at(this.#now + Math.max(ns, turnNs), run, ofRun);
  }

  /** As `after`, for a time of at least now, also one that comes before the end of the turn. */
  at(time: number, run: () => void, ofRun: boolean): Timer {
    const timer = new Timer(time, this.#timers++, run, ofRun);
    this.#queue.push(timer);
    return timer;
  }

  /** Cancels a timer. Its function is released at once, its place in the queue later. */
  cancel(timer: Timer): void {
    if (!timer.cancel()) return;
    this.#cancelled++;
    if (this.#cancelled > pruneFrom && this.#cancelled * 2 > this.#queue.size) this.#prune();
  }

  cancelMatching(chosen: (event: ScheduledEvent) => boolean): void {
    this.#prune((event) => !chosen(event));
  }

  /** Cancels the timers of the run that ends. */
  endRun(): void {
    this.cancelMatching((event) => event instanceof Timer && event.ofRun);
  }

  /** The next event that is not cancelled. */
  next(): ScheduledEvent | undefined {
    for (;;) {
      const next = this.#queue.peek();
      if (next?.cancelled !== true) return next;
      this.#queue.pop();
      if (next instanceof Timer) this.#cancelled--;
    }
  }

  /** Removes the event that `next()` returned. */
  take(): void {
    this.#queue.pop();
  }

  /** Moves the present instant forward. */
  jump(to: number): void {
    if (!(to >= this.#now)) throw new Error(`virtual time goes back from ${this.#now} ns to ${to} ns`);
    this.#now = to;
  }

  #prune(keep: (event: ScheduledEvent) => boolean = () => true): void {
    this.#queue.prune((event) => event.cancelled !== true && keep(event));
    this.#cancelled = 0;
  }
}

/** A timer of a socket or of a program. */
export class Timer implements ScheduledEvent {
  readonly rank: number = timerRank;
  readonly owner: string = "a timer";
  #run: (() => void) | undefined;

  constructor(
    readonly time: number,
    readonly order: number,
    run: () => void,
    readonly ofRun: boolean,
  ) {
    this.#run = run;
  }

  get cancelled(): boolean {
    return this.#run === undefined;
  }

  fire(): boolean {
    const run = this.#run;
    this.#run = undefined;
    run?.();
    return true;
  }

  /** @returns whether the timer was still waiting. */
  cancel(): boolean {
    const waited = this.#run !== undefined;
    this.#run = undefined;
    return waited;
  }
}
