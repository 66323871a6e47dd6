import type { Datagram } from "./datagram.js";
import { OSError } from "../errors/errors.js";
import { mayBeIcmp } from "../driver/icmp.js";

/** What an iteration needs of its socket. */
export interface IterationHost {
  /** Makes this iteration the only reader. @returns what gives that up. @throws `OSError` `EBUSY` or `EBADF`. */
  claim(): () => void;
  /** The next datagram where one is there already: most are, in a flood. */
  take(): Datagram | undefined;
  /** Waits for a datagram, as `recvmsg()` does. */
  receive(serve: (datagram: Datagram) => void, fail: (reason: unknown) => void): (() => void) | undefined;
  closed(): boolean;
}

type Step = IteratorResult<Datagram, undefined>;

const resolved = Promise.resolve();
const end: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/** The datagrams of a socket, one `recvmsg()` a step, until it is closed. */
export class Iteration implements AsyncIterableIterator<Datagram, undefined> {
  readonly #host: IterationHost;
  #release: (() => void) | undefined;
  /** What ends the steps that wait. */
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(host: IterationHost) {
    this.#host = host;
  }

  next(): Promise<Step> {
    if (this.#ended) return Promise.resolve(end);
    const value = this.#release && this.#host.take();
    if (value) return Promise.resolve({ done: false, value });
    return new Promise((resolve, reject) => {
      this.#release ??= this.#host.claim();
      this.#step(resolve, reject);
    });
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#finish();
    return Promise.resolve(end);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #step(resolve: (step: Step) => void, reject: (reason: unknown) => void): void {
    const withdraw = this.#host.receive(
      (value) => {
        this.#waiting.delete(leave);
        resolve({ done: false, value });
      },
      (reason) => {
        this.#waiting.delete(leave);
        // ICMP news of the connected peer is in the ledger; it says nothing about the datagrams to come.
        if (isNetworkNews(reason) && !this.#host.closed()) {
          this.#waiting.add(leave);
          // Not from inside: however many errors come in a row, the calls are not as many deep.
          void resolved.then(() => {
            if (this.#waiting.delete(leave)) this.#step(resolve, reject);
          });
          return;
        }
        this.#finish();
        if (this.#host.closed()) resolve(end);
        else reject(reason);
      },
    );
    function leave(): void {
      withdraw?.();
      resolve(end);
    }
    if (withdraw) this.#waiting.add(leave);
  }

  /** A step that still waited would take a datagram with it. */
  #finish(): void {
    this.#ended = true;
    for (const leave of this.#waiting) leave();
    this.#waiting.clear();
    this.#release?.();
    this.#release = undefined;
  }
}

function isNetworkNews(error: unknown): boolean {
  return error instanceof OSError && mayBeIcmp(error.code);
}
