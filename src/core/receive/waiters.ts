import { assert } from "../assert.js";
import { OSError } from "../errors/errors.js";

/** How a receive call waits. */
export interface Wait {
  readonly syscall: string;
  /** Milliseconds; `null` waits forever, 0 does not wait. */
  readonly timeoutMs: number | null;
  readonly signal: AbortSignal | undefined;
}

/** A receive call that waits. */
export class Waiter {
  readonly wait: Wait;
  /** Time on the clock; `Infinity` if the call has no timeout. */
  readonly deadline: number;
  /** Takes datagrams from the inbox, which is not empty, and settles the call. */
  readonly serve: () => void;
  readonly fail: (reason: unknown) => void;
  /** Ends the watch over the signal. */
  forget: (() => void) | undefined;
  /** Whether it is in the list. */
  listed = false;
  previous: Waiter | undefined;
  next: Waiter | undefined;

  constructor(wait: Wait, deadline: number, serve: () => void, fail: (reason: unknown) => void) {
    this.wait = wait;
    this.deadline = deadline;
    this.serve = serve;
    this.fail = fail;
  }
}

/**
 * The calls that wait, in the order in which they were made: a list through the waiters. A `Set` would give each of them a hash
 * code, and new tables, for each datagram that arrives alone.
 */
export class Waiters {
  first: Waiter | undefined;
  #last: Waiter | undefined;

  get empty(): boolean {
    return this.first === undefined;
  }

  /** Whether exactly one call waits. */
  get single(): boolean {
    return this.first !== undefined && this.first === this.#last;
  }

  add(waiter: Waiter): void {
    assert(!waiter.listed, "a call waits once");
    waiter.listed = true;
    waiter.previous = this.#last;
    if (this.#last) this.#last.next = waiter;
    else this.first = waiter;
    this.#last = waiter;
  }

  /** Returns whether the waiter was in the list. */
  remove(waiter: Waiter): boolean {
    if (!waiter.listed) return false;
    const { previous, next } = waiter;
    if (previous) previous.next = next;
    else this.first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    waiter.listed = false;
    waiter.previous = waiter.next = undefined;
    return true;
  }
}

/** The error of a call that waited when its socket was closed. */
export function closedWhileWaiting(syscall: string): OSError {
  return new OSError("ECANCELED", { syscall, text: "the socket was closed while this waited" });
}
