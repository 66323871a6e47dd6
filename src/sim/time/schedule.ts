import { EventQueue } from "./event-queue.js";
import { type ScheduledEvent, type CancellableScheduler, nsPerMs } from "./event.js";

/** What a turn of the event loop costs: a loop that polls takes time, and so comes to its end. */
export const turnNs: number = nsPerMs / 10;

/** After all that the network does at an instant, whose ranks are lower. */
const timerRank = 0x3fff_ffff;

/** So many cancelled timers may wait for their time before it is asked whether they are the greater part. */
const pruneFrom = 1_000;

/** The present instant, and all that is to come. */
export class Schedule implements CancellableScheduler {
  #now = 0;
  readonly #queue = new EventQueue();
  /** Timers so far, which orders those of one instant. */
  #timers = 0;
  #cancelled = 0;

  get now(): number {
    return this.#now;
  }

  /** How many wait, cancelled timers among them. */
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
   * A timer that runs once, in whole nanoseconds from now, a turn at the least.
   *
   * @param ofRun whether it ends with the run that is under way.
   */
  after(ns: number, run: () => void, ofRun: boolean): Timer {
    const timer = new Timer(this.#now + Math.max(ns, turnNs), this.#timers++, run, ofRun);
    this.#queue.push(timer);
    return timer;
  }

  /** A cancelled timer lets go of what it would have run at once, and of its place before long. */
  cancel(timer: Timer): void {
    if (!timer.cancel()) return;
    this.#cancelled++;
    if (this.#cancelled > pruneFrom && this.#cancelled * 2 > this.#queue.size) this.#prune();
  }

  cancelMatching(chosen: (event: ScheduledEvent) => boolean): void {
    this.#prune((event) => !chosen(event));
  }

  /** Cancels the timers that end with a run. */
  endRun(): void {
    this.cancelMatching((event) => event instanceof Timer && event.ofRun);
  }

  /** What happens next, however long that takes. */
  next(): ScheduledEvent | undefined {
    for (;;) {
      const next = this.#queue.peek();
      if (next?.cancelled !== true) return next;
      this.#queue.pop();
      if (next instanceof Timer) this.#cancelled--;
    }
  }

  /** Takes what `next()` gave. */
  take(): void {
    this.#queue.pop();
  }

  jump(to: number): void {
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

  /** @returns whether it still waited. */
  cancel(): boolean {
    const waited = this.#run !== undefined;
    this.#run = undefined;
    return waited;
  }
}
