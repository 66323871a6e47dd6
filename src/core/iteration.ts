import type { Datagram } from "./datagram.js";
import { OSError } from "./errors.js";

/** What an iteration needs of its socket. */
export interface IterationHost {
  /** Makes this iteration the only reader. @returns what gives that up. @throws `OSError` `EBUSY` or `EBADF`. */
  claim(): () => void;
  receive(): Promise<Datagram>;
  readonly closed: boolean;
}

const end: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/** The datagrams of a socket, one `recvmsg()` a step, until it is closed. */
export class Iteration implements AsyncIterableIterator<Datagram, undefined> {
  readonly #host: IterationHost;
  #release: (() => void) | undefined;
  #ended = false;

  constructor(host: IterationHost) {
    this.#host = host;
  }

  async next(): Promise<IteratorResult<Datagram, undefined>> {
    if (this.#ended) return end;
    this.#release ??= this.#host.claim();
    for (;;) {
      try {
        return { done: false, value: await this.#host.receive() };
      } catch (error) {
        if (this.#host.closed) return this.return();
        // ICMP news of the connected peer is in the ledger; it says nothing about the datagrams to come.
        if (isNetworkNews(error)) continue;
        this.#finish();
        throw error;
      }
    }
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#finish();
    return Promise.resolve(end);
  }

  [Symbol.asyncIterator](): this {
    return this;
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
