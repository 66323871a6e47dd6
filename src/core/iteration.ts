import type { Datagram } from "./datagram.js";
import { OSError } from "./errors.js";

/** What an iteration needs of its socket. */
export interface IterationHost {
  /** Makes this iteration the only reader. @returns what gives that up. @throws `OSError` `EBUSY` or `EBADF`. */
  claim(): () => void;
  /** The next datagram where one is there already: most are, in a flood. */
  take(): Datagram | undefined;
  /** Waits for a datagram, as `recvmsg()` does. */
  receive(serve: (datagram: Datagram) => void, fail: (reason: unknown) => void): void;
  closed(): boolean;
}

type Step = IteratorResult<Datagram, undefined>;

const end: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/** The datagrams of a socket, one `recvmsg()` a step, until it is closed. */
export class Iteration implements AsyncIterableIterator<Datagram, undefined> {
  readonly #host: IterationHost;
  #release: (() => void) | undefined;
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
    this.#host.receive(
      (value) => resolve({ done: false, value }),
      (reason) => {
        // ICMP news of the connected peer is in the ledger; it says nothing about the datagrams to come.
        if (isNetworkNews(reason) && !this.#host.closed()) {
          this.#step(resolve, reject);
          return;
        }
        this.#finish();
        if (this.#host.closed()) resolve(end);
        else reject(reason);
      },
    );
  }

  #finish(): void {
    this.#ended = true;
    this.#release?.();
    this.#release = undefined;
  }
}

function isNetworkNews(error: unknown): boolean {
  return error instanceof OSError && !["ETIMEDOUT", "EAGAIN"].includes(error.code);
}
