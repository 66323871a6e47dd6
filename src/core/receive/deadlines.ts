import type { Clock } from "../driver/driver.js";
import { OSError, TimeoutError } from "../errors/errors.js";
import type { Wait, Waiter, Waiters } from "./waiters.js";

/** Tells which calls have waited too long. There is one timer for all calls of a socket, for the earliest deadline. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #waiters: Waiters;
  readonly #passed: (late: readonly Waiter[]) => void;
  #timerAt = Infinity;
  #cancelTimer: (() => void) | undefined;

  /** @param passed is called with the calls of `waiters` whose deadline has passed. */
  constructor(clock: Clock, waiters: Waiters, passed: (late: readonly Waiter[]) => void) {
    this.#clock = clock;
    this.#waiters = waiters;
    this.#passed = passed;
  }

  /** Must be called with the deadline of each call that waits with a timeout. */
  add(deadline: number): void {
    if (deadline < this.#timerAt) this.#setTimer(deadline);
  }

  close(): void {
    this.#cancelTimer?.();
  }

  #setTimer(at: number): void {
    this.#cancelTimer?.();
    this.#timerAt = at;
    const leftMs = Math.max(0, at - this.#clock.now());
    this.#cancelTimer = this.#clock.after(leftMs, () => this.#expire());
  }

  /** The timer stays set when the call with that deadline is served, since most calls are served. */
  #expire(): void {
    this.#timerAt = Infinity;
    this.#cancelTimer = undefined;
    const now = this.#clock.now();
    const late: Waiter[] = [];
    let next = Infinity;
    for (let waiter = this.#waiters.first; waiter; waiter = waiter.next) {
      if (waiter.deadline <= now) late.push(waiter);
      else next = Math.min(next, waiter.deadline);
    }
    if (next < Infinity) this.#setTimer(next);
    if (late.length > 0) this.#passed(late);
  }
}

/** The error of a call that waited too long. */
export function timedOut({ syscall, timeoutMs }: Wait): OSError {
  return timeoutMs === 0
    ? new OSError("EAGAIN", { syscall, text: "no datagram is there, and this call does not wait" })
    : new TimeoutError({ syscall, text: `no datagram in ${timeoutMs} ms` });
}
