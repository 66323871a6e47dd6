import { AsyncResource } from "node:async_hooks";

import { checkDelay } from "../../core/socket/arguments.js";
import type { Clock } from "../../core/driver/driver.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { eventually, type EventuallyOptions } from "./eventually.js";
import { Run, type RunHooks } from "./run.js";
import { Schedule, turnNs } from "./schedule.js";
import { epochNs, type ScheduledEvent, maxDurationMs, nsPerMs, type CancellableScheduler } from "./event.js";

/** How long one run may take. */
export interface RunOptions {
  /** Virtual milliseconds, above 0 and up to 31 days. @default 3,600,000: an hour */
  readonly limitMs?: number | undefined;
  /**
   * Real milliseconds, about, that work outside virtual time, such as files, may hold the clock at a time: above 0 and up to
   * 31 days. @default 60,000
   */
  readonly realLimitMs?: number | undefined;
  /** Ends the run with its reason, such as the signal that vitest gives each test and aborts when its time is over. */
  readonly signal?: AbortSignal | undefined;
}

/** The run of a network in this thread: the fakes are the thread's. */
let running: Run | undefined;

/** The time of a network in memory: it passes only within runs, and jumps to whatever happens next. */
export class VirtualTime implements CancellableScheduler {
  readonly #schedule = new Schedule();
  #run: Run | undefined;

  /** For sockets and for programs. A timer of less than 0.1 ms takes 0.1 ms, as does a turn. */
  readonly clock: Clock = {
    now: () => this.now / nsPerMs,
    wall: () => epochNs + BigInt(this.now),
    after: (ms, run) => {
      const ns = Math.round(checkDelay("ms", ms) * nsPerMs);
      const asyncResource = new AsyncResource("Timeout");
      const timer = this.#schedule.after(ns, () => asyncResource.runInAsyncScope(run), false);
      return () => this.#schedule.cancel(timer);
    },
    turn: (run) => {
      this.#schedule.after(turnNs, run, false);
    },
  };

  get now(): number {
    return this.#schedule.now;
  }

  /** @throws `RangeError` when ten million happenings wait. */
  schedule(event: ScheduledEvent): void {
    this.#schedule.schedule(event);
  }

  cancelMatching(chosen: (event: ScheduledEvent) => boolean): void {
    this.#schedule.cancelMatching(chosen);
  }

  /**
   * Executes a program in virtual time: as fast as it can, with all waiting skipped. Time goes on from where the last run
   * left it. While it lasts, `setTimeout` and the like, `Date`, `performance` and `process.hrtime` are virtual throughout
   * the thread; then they are what they were, and the program's timers that are left are gone.
   *
   * What a timer or a happening throws ends the run, since it is the run that has called it; promises that reject
   * unhandled, and what a tick or a microtask throws, are Node's affair. A microtask or a tick that goes on for ever is not
   * noticed, here as elsewhere.
   *
   * @returns what `body` gives.
   * @throws (rejects) what `body` throws, or a `StuckError`, after `hooks.failure`; `TypeError`, `RangeError` for options that
   *   are none; `Error` when a run is under way in this thread, or other fake timers are in place.
   */
  async run<T>(body: () => Promise<T> | T, hooks: RunHooks, options: RunOptions = {}): Promise<T> {
    if (typeof options !== "object" || (options as unknown) === null)
      throw wrongType("options", "an object", options);
    refuseUnknown(options, ["limitMs", "realLimitMs", "signal"], "options: a field");
    const { limitMs = 3_600_000, realLimitMs = 60_000, signal } = options;
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw wrongType("signal", "an AbortSignal", signal);
    for (const [name, limit] of Object.entries({ limitMs, realLimitMs })) {
      if (typeof limit !== "number") throw wrongType(name, "milliseconds", limit);
      if (!(limit > 0 && limit <= maxDurationMs))
        throw outOfRange(name, `from above 0 to ${maxDurationMs}`, limit);
    }
    if (running)
      throw new Error(
        "a run is under way in this thread, which has one at a time: await it first (where a test left it that timed out, give run() the signal of the test)",
      );
    const run = new Run(this.#schedule, hooks, { limitMs, realLimitMs, signal }, () => {
      running = this.#run = undefined;
    });
    running = this.#run = run;
    return run.execute(body);
  }

  /** Holds the clock until a promise has settled that virtual time cannot see: of workers, real sockets, `import()`. */
  real<T>(promise: Promise<T>): Promise<T> {
    return this.#run?.holdClock(promise) ?? promise;
  }

  /**
   * Tries again and again, in virtual time, until a check passes: until it neither throws or rejects nor gives `false`.
   *
   * @throws (rejects) `Error` when it has not by then, whose `cause` is the last failure, and outside of a run;
   *   `TypeError`, `RangeError` for what is no check, and times that are none.
   */
  eventually(check: () => unknown, options?: EventuallyOptions): Promise<void> {
    return eventually(this.clock, check, options, this.#run !== undefined);
  }
}
