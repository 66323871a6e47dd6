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
   * Real milliseconds, about, for which work outside virtual time, such as files, may stop the clock without a break: above 0
   * and up to 31 days. @default 60,000
   */
  readonly realLimitMs?: number | undefined;
  /** Ends the run with the reason of the signal. vitest has such a signal for each test, and aborts it at the timeout. */
  readonly signal?: AbortSignal | undefined;
}

/** The current run of this thread: there is one at a time, because it replaces globals of the thread. */
let running: Run | undefined;

/**
 * The time of a network in memory. It passes only within runs, and jumps to the next event.
 *
 * The other files of this folder: `schedule.ts` and `event-queue.ts` have the events to come, `event.ts` their type.
 * `run.ts` runs a program. `fake-globals.ts`, `program-timers.ts`, `program-promises.ts` and `program-random.ts` replace
 * timers and random numbers of the program; `replace.ts` is their tool, and `real-timers.ts` keeps the originals.
 * `real-work.ts` and `real-calls.ts` know which work outside JavaScript a run must wait for.
 */
export class VirtualTime implements CancellableScheduler {
  readonly #schedule = new Schedule();
  #run: Run | undefined;

  /** The clock of sockets and programs. A turn takes 0.1 ms, and a timer takes at least as long. */
  readonly clock: Clock = {
    now: () => this.now / nsPerMs,
    wall: () => epochNs + BigInt(this.now),
    after: (ms, run) => {
      const ns = Math.max(Math.round(checkDelay("ms", ms) * nsPerMs), turnNs);
      return this.#startTimer(this.now + ns, run);
    },
    at: (ms, run) => this.#startTimer(Math.max(Math.round(ms * nsPerMs), this.now), run),
    turn: (run) => {
      this.#schedule.after(turnNs, run, false);
    },
  };

  get now(): number {
    return this.#schedule.now;
  }

  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  /** @throws `RangeError` when ten million events wait. */
  schedule(event: ScheduledEvent): void {
    this.#schedule.schedule(event);
  }

  cancelMatching(chosen: (event: ScheduledEvent) => boolean): void {
    this.#schedule.cancelMatching(chosen);
  }

  /**
   * Runs a program in virtual time, with all waiting skipped. Time continues from the end of the last run. During the run,
   * `setTimeout` and similar functions, `Date`, `performance` and `process.hrtime` are virtual in the whole thread. After it,
   * they are restored, and the remaining timers of the program are cancelled.
   *
   * An error of a timer or an event ends the run, because the run called it. Unhandled rejections, and errors of ticks and
   * microtasks, are left to Node.js. An endless chain of microtasks or ticks is not noticed, as elsewhere.
   *
   * @returns the result of `body`.
   * @throws (rejects) the error of `body`, or a `StuckError`, after `hooks.failure`; `TypeError`, `RangeError` for invalid
   *   options; `Error` while another run is active in this thread, or other fake timers are installed.
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
        "a run is active in this thread, and only one is possible at a time: await it first (if a test that timed out left it, give run() the signal of the test)",
      );
    const run = new Run(this.#schedule, hooks, { limitMs, realLimitMs, signal }, () => {
      running = this.#run = undefined;
    });
    running = this.#run = run;
    return run.execute(body);
  }

  /** Stops the clock until a promise has settled, for work that virtual time cannot see: workers, real sockets, `import()`. */
  real<T>(promise: Promise<T>): Promise<T> {
    return this.#run?.holdClock(promise) ?? promise;
  }

  /**
   * Repeats a check, in virtual time, until it passes: until it neither throws, rejects nor returns `false`.
   *
   * @throws (rejects) `Error` after `timeoutMs`, with the last failure as its `cause`, and outside of a run; `TypeError`,
   *   `RangeError` for an invalid check or invalid times.
   */
  eventually(check: () => unknown, options?: EventuallyOptions): Promise<void> {
    return eventually(this.clock, check, options, this.isRunning);
  }

  #startTimer(time: number, run: () => void): () => void {
    const asyncResource = new AsyncResource("Timeout");
    const timer = this.#schedule.at(time, () => asyncResource.runInAsyncScope(run), false);
    return () => this.#schedule.cancel(timer);
  }
}
