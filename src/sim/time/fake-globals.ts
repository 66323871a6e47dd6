import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";
import { promisify } from "node:util";

import { install, type Clock as FakeClock } from "@sinonjs/fake-timers";

import { wholeNumber } from "../../core/errors/errors.js";
import type { Random } from "../random.js";
import { abortAfter, everyInterval, nextTurn, sleep } from "./program-promises.js";
import { programTimers, runTimersOn, Timeout } from "./program-timers.js";
import { seedProgram } from "./program-random.js";
import { type CallCounter, countCalls } from "./real-calls.js";
import { replace } from "./replace.js";
import type { Schedule } from "./schedule.js";
import { epochNs, nsPerMs } from "./event.js";

/**
 * The virtual globals of a program during a run: timers, dates and clocks.
 *
 * `@sinonjs/fake-timers` replaces the globals and the exports of `node:timers` and `node:perf_hooks`, and restores them. We
 * use its `Date`, `Intl`, `performance` and `process.hrtime`. The timers are ours for three reasons. Its clock has whole
 * milliseconds. It fires a delay of 0 at the same instant, so a loop that polls would never end. And it runs all timers of an
 * instant in a row, but Node.js runs promises and ticks after each. Ours are also `node:timers/promises` with
 * `scheduler.wait`, `AbortSignal.timeout` and `util.promisify(setTimeout)`.
 *
 * `process.nextTick` and `queueMicrotask` stay real, and so do functions that modules of Node.js took before, such as the
 * timeouts of `node:net` and `node:http`. A `Date` that a module keeps after a run shows the time at the end of the run.
 */
export class FakeGlobals {
  readonly #schedule: Schedule;
  readonly #clock: FakeClock;
  /** The timers of the library, which ours replace. */
  readonly #libraryTimers: object;
  /** Functions that restore what the library does not restore. */
  readonly #restore: readonly (() => void)[];
  /** The instant that the fake clock shows, in nanoseconds. */
  #shownNs = 0;
  /** `now` of the fake clock at that instant. */
  #shownNow: number;

  /**
   * @param random source of the random numbers of the program; without it, they come from Node.js.
   * @param calls counts the calls of the program whose work is outside JavaScript.
   * @throws `Error` if other fake timers are installed.
   */
  constructor(schedule: Schedule, calls: CallCounter, random: Random | undefined) {
    refuseOthers();
    this.#schedule = schedule;
    runTimersOn(schedule);
    this.#clock = install({
      now: Number(epochNs) / nsPerMs,
      // Functions of browsers would use the timers of the library, which never fire here.
      toNotFake: [
        "nextTick",
        "queueMicrotask",
        "requestAnimationFrame",
        "cancelAnimationFrame",
        "requestIdleCallback",
        "cancelIdleCallback",
        "scheduler",
      ],
    });
    const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } =
      this.#clock;
    const libraryTimers = {
      setTimeout,
      clearTimeout,
      setInterval,
      clearInterval,
      setImmediate,
      clearImmediate,
    };
    Object.assign(this.#clock, programTimers);
    this.#libraryTimers = libraryTimers;
    this.#shownNow = this.#clock.now;
    // The library reads `now` first, whatever it is asked for. So its clock moves only when a program looks at it.
    Object.defineProperty(this.#clock, "now", {
      configurable: true,
      enumerable: true,
      get: () => {
        this.#show();
        return this.#shownNow;
      },
      set: (now: number) => {
        this.#shownNow = now;
      },
    });
    this.#restore = [...replaceOthers(), ...(random ? [seedProgram(random)] : []), countCalls(calls)];
    syncBuiltinESMExports();
    this.#check();
  }

  uninstall(): void {
    // A `Date` that a module keeps shows the time at the end of the run.
    Object.defineProperty(this.#clock, "now", { value: this.#clock.now, writable: true });
    for (const restore of [...this.#restore].reverse()) restore();
    // The library needs its own timers to restore those of Node.js.
    Object.assign(this.#clock, this.#libraryTimers);
    this.#clock.uninstall();
    // A fake timer that a module keeps calls these for ever.
    Object.assign(this.#clock, programTimers);
    syncBuiltinESMExports();
    runTimersOn(undefined);
  }

  /** Moves the fake clock to the present instant. */
  #show(): void {
    const ns = this.#schedule.now - this.#shownNs;
    if (ns === 0) return;
    this.#shownNs = this.#schedule.now;
    // The library rounds down to nanoseconds. The half prevents that rounding errors take a whole one.
    this.#clock.tick((ns + 0.5) / nsPerMs);
  }

  /** Checks that the fake globals still call the methods of the clock object, so that they use our timers. */
  #check(): void {
    const timer: unknown = globalThis.setTimeout(() => undefined, 1);
    globalThis.clearTimeout(timer as NodeJS.Timeout);
    if (timer instanceof Timeout) return;
    this.uninstall();
    throw new Error(
      "this version of @sinonjs/fake-timers stores its timers in another place: datagram was made for 15.5",
    );
  }
}

function refuseOthers(): void {
  const { Date, performance, setImmediate, setInterval, setTimeout } = globalThis;
  const suspects: object[] = [Date, performance, setImmediate, setInterval, setTimeout];
  if (!suspects.some((suspect) => ["clock", "isFake", "isMock"].some((mark) => mark in suspect))) return;
  throw new Error(
    "other fake timers are installed (vi.useFakeTimers(), or another run): remove them, virtual time has its own",
  );
}

/** @returns functions that restore the originals. */
function replaceOthers(): (() => void)[] {
  Object.defineProperty(globalThis.setTimeout, promisify.custom, { value: sleep });
  Object.defineProperty(globalThis.setImmediate, promisify.custom, { value: nextTurn });
  const { scheduler } = timersPromises;
  return [
    replace(timersPromises, "setTimeout", sleep),
    replace(timersPromises, "setImmediate", nextTurn),
    replace(timersPromises, "setInterval", everyInterval),
    replace(scheduler, "wait", (delayMs: unknown, options?: object) => sleep(delayMs, undefined, options)),
    replace(scheduler, "yield", () => nextTurn()),
    replace(AbortSignal, "timeout", (delayMs: unknown) =>
      abortAfter(wholeNumber("delay", delayMs, 0, Number.MAX_SAFE_INTEGER)),
    ),
  ];
}
