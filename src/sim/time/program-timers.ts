import { AsyncResource } from "node:async_hooks";

import { wrongType } from "../../core/errors/errors.js";
import { real } from "./real-timers.js";
import { turnNs, type Schedule, type Timer } from "./schedule.js";
import { nsPerMs } from "./event.js";

type Callback = (...args: unknown[]) => void;

/** The longest delay of Node.js: `TIMEOUT_MAX` of lib/internal/timers.js. */
const maxDelayMs = 0x7fff_ffff;

/**
 * The schedule of the current run; `undefined` between runs, when these timers are those of Node.js. It is a variable of the
 * module, because a module that was loaded in one run may keep its `setTimeout` for the next.
 */
let schedule: Schedule | undefined;

/** Timers that a program knows by number. The numbers are above those of Node.js. */
const timersById = new Map<number, Timeout>();
let lastId = 2 ** 40;

/** Makes the timers of programs virtual; `undefined` makes them those of Node.js again. */
export function runTimersOn(next: Schedule | undefined): void {
  schedule = next;
  timersById.clear();
}

/** The timers of Node.js in virtual time. As there, a delay is whole milliseconds, at least 1. */
export const programTimers = {
  setTimeout(run: Callback, delayMs?: unknown, ...args: unknown[]): Timeout | NodeJS.Timeout {
    if (schedule === undefined) return real.setTimeout(run, Number(delayMs), ...args);
    return new Timeout(schedule, callback(run), args, delayMs, false);
  },

  setInterval(run: Callback, delayMs?: unknown, ...args: unknown[]): Timeout | NodeJS.Timeout {
    if (schedule === undefined) return real.setInterval(run, Number(delayMs), ...args);
    return new Timeout(schedule, callback(run), args, delayMs, true);
  },

  /** Runs one turn later. A turn takes virtual time, so that time advances in a chain of immediates. */
  setImmediate(run: Callback, ...args: unknown[]): Immediate | NodeJS.Immediate {
    if (schedule === undefined) return real.setImmediate(run, ...args);
    return new Immediate(schedule, callback(run), args);
  },

  clearTimeout(timer?: unknown): void {
    if (!close(timer)) real.clearTimeout(timer as NodeJS.Timeout | undefined);
  },

  clearInterval(timer?: unknown): void {
    if (!close(timer)) real.clearInterval(timer as NodeJS.Timeout | undefined);
  },

  clearImmediate(immediate?: unknown): void {
    if (immediate instanceof Immediate) immediate[Symbol.dispose]();
    else real.clearImmediate(immediate as NodeJS.Immediate | undefined);
  },
};

/** The result of `setTimeout` and `setInterval`, with the methods of Node.js. */
export class Timeout {
  readonly #schedule: Schedule;
  readonly #run: Callback;
  readonly #args: unknown[];
  readonly #delayNs: number;
  readonly #repeats: boolean;
  /** For `AsyncLocalStorage`: the timer runs in the context of the call that set it. `AsyncLocalStorage.bind` takes 400 times as long. */
  readonly #asyncResource = new AsyncResource("Timeout");
  #timer: Timer;
  #open = true;
  #refed = true;
  #id: number | undefined;

  constructor(on: Schedule, run: Callback, args: unknown[], delayMs: unknown, repeats: boolean) {
    this.#schedule = on;
    this.#run = run;
    this.#args = args;
    const ms = Number(delayMs);
    this.#delayNs = (ms >= 1 && ms <= maxDelayMs ? Math.trunc(ms) : 1) * nsPerMs;
    this.#repeats = repeats;
    this.#timer = this.#start();
  }

  /** Has no effect on virtual time: time advances for all timers. */
  hasRef(): boolean {
    return this.#refed;
  }

  ref(): this {
    this.#refed = true;
    return this;
  }

  unref(): this {
    this.#refed = false;
    return this;
  }

  /** Starts the timer again from now, also if it has fired, but not if it was cleared. */
  refresh(): this {
    if (this.#open) {
      this.#schedule.cancel(this.#timer);
      this.#timer = this.#start();
    }
    return this;
  }

  close(): this {
    this.#open = false;
    this.#schedule.cancel(this.#timer);
    if (this.#id !== undefined) timersById.delete(this.#id);
    return this;
  }

  [Symbol.toPrimitive](): number {
    this.#id ??= ++lastId;
    if (this.#open) timersById.set(this.#id, this);
    return this.#id;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #start(): Timer {
    return this.#schedule.after(this.#delayNs, this.#fire, true);
  }

  readonly #fire = (): void => {
    const fired = this.#timer;
    // As in Node.js. Otherwise, a program that asks each timer for its number would fill the table.
    if (!this.#repeats && this.#id !== undefined) timersById.delete(this.#id);
    this.#asyncResource.runInAsyncScope(this.#run, this, ...this.#args);
    // The callback may have cleared the interval, or started it again.
    if (this.#repeats && this.#open && this.#timer === fired) this.#timer = this.#start();
  };
}

/** The result of `setImmediate`, with the methods of Node.js. */
export class Immediate {
  readonly #schedule: Schedule;
  readonly #timer: Timer;
  #refed = true;

  constructor(on: Schedule, run: Callback, args: unknown[]) {
    this.#schedule = on;
    const asyncResource = new AsyncResource("Immediate");
    this.#timer = on.after(turnNs, () => asyncResource.runInAsyncScope(run, this, ...args), true);
  }

  hasRef(): boolean {
    return this.#refed;
  }

  ref(): this {
    this.#refed = true;
    return this;
  }

  unref(): this {
    this.#refed = false;
    return this;
  }

  [Symbol.dispose](): void {
    this.#schedule.cancel(this.#timer);
  }
}

function callback(run: unknown): Callback {
  if (typeof run !== "function") throw wrongType("callback", "a function", run);
  return run as Callback;
}

/** Closes a virtual timer. Returns whether it was one. */
function close(timer: unknown): boolean {
  const known =
    typeof timer === "number" || typeof timer === "string" ? timersById.get(Number(timer)) : timer;
  if (!(known instanceof Timeout)) return false;
  known.close();
  return true;
}
