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
 * What the program under test reads and sets its time by, for as long as a run lasts.
 *
 * `@sinonjs/fake-timers` puts fakes in place of the globals and of what `node:timers` and `node:perf_hooks` export, and
 * takes them off again; its own are `Date`, `Intl`, `performance` and `process.hrtime`. The timers are ours: its clock has
 * whole milliseconds, fires a delay of 0 at the same instant, so that a loop that polls never ends, and runs all the timers
 * of an instant without a break, where Node runs promises and ticks after each. Ours are those of `node:timers/promises`
 * too, `scheduler.wait` among them, and `AbortSignal.timeout` and `util.promisify(setTimeout)`.
 *
 * `process.nextTick` and `queueMicrotask` stay real, and so does what Node's own modules have taken before, such as the
 * timeouts of `node:net` and `node:http`. A `Date` that a module keeps from a run shows the time that the run ended at.
 */
export class FakeGlobals {
  readonly #schedule: Schedule;
  readonly #clock: FakeClock;
  /** The timers of the fake clock that ours are in place of. */
  readonly #libraryTimers: object;
  /** Takes off what fake-timers knows nothing of. */
  readonly #restore: readonly (() => void)[];
  /** The instant that the fake clock shows. */
  #shownNs = 0;

  /**
   * @param random what the program draws comes from it; Node's own without it.
   * @param calls is told of the program's calls that Node works on outside JavaScript.
   * @throws `Error` when other fake timers are in place.
   */
  constructor(schedule: Schedule, calls: CallCounter, random: Random | undefined) {
    refuseOthers();
    this.#schedule = schedule;
    runTimersOn(schedule);
    this.#clock = install({
      now: Number(epochNs) / nsPerMs,
      // What browsers have and Node has not runs on the library's own timers, which nobody fires here.
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
    this.#restore = [...replaceOthers(), ...(random ? [seedProgram(random)] : []), countCalls(calls)];
    syncBuiltinESMExports();
    this.show();
    this.#check();
  }

  /** Lets the program see the present instant. */
  show(): void {
    const ns = this.#schedule.now - this.#shownNs;
    if (ns === 0) return;
    this.#shownNs = this.#schedule.now;
    // It cuts off what is less than a nanosecond, which the half makes sure is not a whole one.
    this.#clock.tick((ns + 0.5) / nsPerMs);
  }

  uninstall(): void {
    for (const restore of [...this.#restore].reverse()) restore();
    // Its own know how to put Node's back.
    Object.assign(this.#clock, this.#libraryTimers);
    this.#clock.uninstall();
    // What a module has kept of the fakes comes here for ever.
    Object.assign(this.#clock, programTimers);
    syncBuiltinESMExports();
    runTimersOn(undefined);
  }

  /** That the fakes still ask the clock object for what they do, so that our timers are theirs. */
  #check(): void {
    const timer: unknown = globalThis.setTimeout(() => undefined, 1);
    globalThis.clearTimeout(timer as NodeJS.Timeout);
    if (timer instanceof Timeout) return;
    this.uninstall();
    throw new Error(
      "this version of @sinonjs/fake-timers has its timers elsewhere: datagram was made for 15.5",
    );
  }
}

function refuseOthers(): void {
  const { Date, performance, setImmediate, setInterval, setTimeout } = globalThis;
  const suspects: object[] = [Date, performance, setImmediate, setInterval, setTimeout];
  if (!suspects.some((suspect) => ["clock", "isFake", "isMock"].some((mark) => mark in suspect))) return;
  throw new Error(
    "other fake timers are in place (vi.useFakeTimers(), or another run): take them off, virtual time has its own",
  );
}

/** @returns what undoes it. */
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
