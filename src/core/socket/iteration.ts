import { mayBeIcmp } from "../driver/icmp.js";
import { OSError } from "../errors/errors.js";
import type { ReceiveCall, ReceiveCalls, SoleReader } from "./receive-calls.js";

/** What an iteration receives at each step. */
export interface Steps<T> {
  readonly call: Pick<ReceiveCall<never, T>, "syscall" | "take">;
  /** The largest number of bytes, or of datagrams, that a step takes. */
  readonly max: number;
  /** As `EBUSY` names the iteration to other readers. */
  readonly name: string;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds that each step waits, `null` for ever. @default as `settimeout` says at that step */
  readonly timeoutMs?: number | null | undefined;
}

/** An iterator of a socket. (`AsyncIterableIterator` has one type parameter before TypeScript 5.6.) */
export interface SocketIterator<T> extends AsyncIterator<T, undefined> {
  /** Ends the iteration. Steps that wait end too, and take no datagram. */
  return(): Promise<IteratorReturnResult<undefined>>;
  [Symbol.asyncIterator](): SocketIterator<T>;
}

const resolved = Promise.resolve();
const end: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/** Makes one receive call at each step, until the socket is closed. It is the only reader of the socket meanwhile. */
export class Iteration<T> implements SocketIterator<T>, SoleReader {
  readonly name: string;
  readonly #calls: ReceiveCalls;
  readonly #steps: Steps<T>;
  /** Each of these ends a step that waits. There is nearly always one, so this is no `Set`. */
  #waiting: (() => void)[] = [];
  #claimed = false;
  #ended = false;

  constructor(calls: ReceiveCalls, steps: Steps<T>) {
    this.name = steps.name;
    this.#calls = calls;
    this.#steps = steps;
  }

  /** Lets no other call read from now on, and not only from the first step on. @throws `OSError` `EBUSY`, `EBADF`. */
  claim(): void {
    this.#calls.claim(this, this.#steps.call.syscall);
    this.#claimed = true;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#ended) return Promise.resolve(end);
    const { call, max, signal } = this.#steps;
    if (this.#claimed && this.#calls.immediate && signal?.aborted !== true) {
      return Promise.resolve({ done: false, value: call.take(this.#calls, max) });
    }
    return new Promise((resolve, reject) => {
      if (!this.#claimed) this.claim();
      this.#step(resolve, reject);
    });
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.end();
    return Promise.resolve(end);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the steps that wait too: each of them would take a datagram and lose it. */
  end(): void {
    this.#ended = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const leave of waiting) leave();
    this.#calls.release(this);
  }

  #step(resolve: (step: IteratorResult<T, undefined>) => void, reject: (reason: unknown) => void): void {
    const { call, max, signal, timeoutMs = this.#calls.timeoutMs } = this.#steps;
    const withdraw = this.#calls.wait(
      { syscall: call.syscall, timeoutMs, signal },
      () => {
        this.#served(leave);
        resolve({ done: false, value: call.take(this.#calls, max) });
      },
      (reason) => {
        this.#served(leave);
        // An ICMP error of the connected peer is in the ledger; it says nothing about the datagrams to come.
        if (isIcmpError(reason) && !this.#calls.closed) {
          this.#waiting.push(leave);
          // In a microtask, so that many errors in a row do not nest calls.
          void resolved.then(() => {
            if (this.#served(leave)) this.#step(resolve, reject);
          });
          return;
        }
        this.end();
        if (this.#calls.closed) resolve(end);
        else reject(reason);
      },
    );
    function leave(): void {
      withdraw?.();
      resolve(end);
    }
    if (withdraw) this.#waiting.push(leave);
  }

  /** A step does not wait any more. Returns whether it waited. */
  #served(leave: () => void): boolean {
    const index = this.#waiting.indexOf(leave);
    if (index < 0) return false;
    if (index === 0) this.#waiting.shift();
    else this.#waiting.splice(index, 1);
    return true;
  }
}

function isIcmpError(error: unknown): boolean {
  return error instanceof OSError && mayBeIcmp(error.code);
}
