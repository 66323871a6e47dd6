/** Reads a socket without promises, for a layer that hands each datagram to a listener. */

import type { OSError } from "../errors/errors.js";
import type { Datagram } from "../receive/datagram.js";
import type { Wait } from "../receive/waiters.js";
import type { ReceiveCalls, SoleReader } from "./receive-calls.js";

/** What a `Pull` reports. */
export interface PullListener {
  /** `next()` may have a datagram again. Must not throw. Is never called during `next()`. */
  ready(): void;
}

/** `"asking"` is within `next()`. */
type State = "idle" | "asking" | "waiting" | "ended";

/**
 * Takes the datagrams of a socket one by one. A datagram counts as received when `next()` returns it. The datagrams that are
 * read ahead count as dropped at `close()`, with the cause `"close"`. No other call may read meanwhile.
 */
export class Pull implements SoleReader {
  readonly name: string;
  readonly #calls: ReceiveCalls;
  readonly #listener: PullListener;
  readonly #terms: Wait;
  #state: State = "idle";
  #withdraw: (() => void) | undefined;
  #error: OSError | undefined;

  /** @throws `OSError` `EBUSY` if another iteration reads, `EBADF`. */
  constructor(calls: ReceiveCalls, name: string, listener: PullListener) {
    this.name = name;
    this.#calls = calls;
    this.#listener = listener;
    this.#terms = { syscall: name, timeoutMs: null, signal: undefined };
    calls.claim(this, name);
  }

  /**
   * Returns the next datagram that is there. If there is none, returns `undefined`, and calls `ready` when there may be one.
   * While it waits, the socket keeps the process alive.
   *
   * @throws `OSError` the ICMP error of the connected peer, in place of a datagram. The next call reads on.
   */
  next(): Datagram | undefined {
    if (this.#state === "waiting" || this.#state === "ended") return undefined;
    if (!this.#calls.immediate && this.#error === undefined && !this.#wait("now")) return undefined;
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
    const datagram = this.#calls.take(Infinity, this.name);
    if (this.#calls.drained) this.#wait("later");
    return datagram;
  }

  /** Whether `ready` will be called, and `next()` has no datagram before. */
  get waiting(): boolean {
    return this.#state === "waiting";
  }

  /** Ends the reading, and takes no datagram any more. */
  end(): void {
    this.#state = "ended";
    this.#withdraw?.();
    this.#calls.release(this);
  }

  /** Asks the receiver for a datagram, or for the next one that comes later. Returns whether there is one, or an error. */
  #wait(when: "now" | "later"): boolean {
    this.#state = "asking";
    const withdraw =
      when === "now"
        ? this.#calls.wait(this.#terms, this.#served, this.#failed)
        : this.#calls.waitLater(this.#terms, this.#served, this.#failed);
    if (!this.#is("asking")) return this.#is("idle");
    this.#state = "waiting";
    this.#withdraw = withdraw;
    return false;
  }

  #is(state: State): boolean {
    return this.#state === state;
  }

  readonly #served = (): void => {
    const waited = this.#state === "waiting";
    this.#state = "idle";
    this.#withdraw = undefined;
    if (waited) this.#listener.ready();
  };

  readonly #failed = (reason: unknown): void => {
    if (this.#calls.closed) {
      this.end();
      return;
    }
    // A wait without a signal fails only with an error of the driver.
    this.#error = reason as OSError;
    this.#served();
  };
}
