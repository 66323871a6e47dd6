/** The kinds of receive and send calls of a socket: what they take, and how they end. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import { type MessageOptions, checkBufsize, checkMessage } from "./arguments.js";
import type { Datagram, Replier } from "../receive/datagram.js";
import type { Engine } from "./engine.js";
import { type OSError, wholeNumber } from "../errors/errors.js";
import type { Completion } from "../driver/outbound.js";

/** What sets one kind of receive call apart. */
export interface ReceiveCall<A, T> {
  readonly syscall: string;
  /** How much the call wants at most: bytes of a datagram, or datagrams. */
  readonly check: (most: A) => number;
  /** Takes that of the inbox, which has a datagram. */
  readonly take: (engine: Engine, most: number, replier: Replier) => T;
}

export const recvfrom: ReceiveCall<number, [Buffer, Endpoint]> = {
  syscall: "recvfrom",
  check: checkBufsize,
  take(engine, most, replier) {
    const { data, source } = engine.take(most, replier, "recvfrom");
    return [data, source];
  },
};

export const recv: ReceiveCall<number, Buffer> = {
  syscall: "recv",
  check: checkBufsize,
  take: (engine, most, replier) => engine.take(most, replier, "recv").data,
};

export const recvmsg: ReceiveCall<MessageOptions | undefined, Datagram> = {
  syscall: "recvmsg",
  check: checkMessage,
  take: (engine, most, replier) => engine.take(most, replier, "recvmsg"),
};

export const recvMany: ReceiveCall<number, Datagram[]> = {
  syscall: "recvMany",
  check: (max) => wholeNumber("max", max, 1, Number.MAX_SAFE_INTEGER),
  take: (engine, most, replier) => engine.takeMany(most, replier),
};

/** A `sendto` or `send` under way: its tag is the bytes that it promises. */
export class Sending implements Completion {
  readonly #resolve: (bytes: number) => void;
  readonly #reject: (error: OSError) => void;

  constructor(resolve: (bytes: number) => void, reject: (error: OSError) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  sent(bytes: number): void {
    this.#resolve(bytes);
  }

  failed(_bytes: number, error: OSError): void {
    this.#reject(error);
  }
}

/** A `sendMany` under way: its tags are the positions of its datagrams. */
export class SendingMany implements Completion {
  readonly #count: number;
  readonly #resolve: (sent: number) => void;
  readonly #reject: (error: OSError) => void;
  #sent = 0;
  #failed = 0;
  #first: { index: number; error: OSError } | undefined;

  constructor(count: number, resolve: (sent: number) => void, reject: (error: OSError) => void) {
    this.#count = count;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  sent(_index: number, count: number): void {
    this.#sent += count;
    this.#maybeEnd();
  }

  failed(index: number, error: OSError): void {
    this.#failed++;
    if (!this.#first || index < this.#first.index) this.#first = { index, error };
    this.#maybeEnd();
  }

  #maybeEnd(): void {
    if (this.#sent + this.#failed < this.#count) return;
    if (this.#first)
      this.#reject(Object.assign(this.#first.error, { index: this.#first.index, sent: this.#sent }));
    else this.#resolve(this.#sent);
  }
}
