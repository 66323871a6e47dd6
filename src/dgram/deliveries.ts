/**
 * Calls the listeners and callbacks of the program from ticks (`process.nextTick`), as `node:dgram` does. Programs depend on
 * it: a listener that was called from a promise would run before ticks that are queued already.
 */

import type { RemoteInfo } from "node:dgram";
import { nextTick } from "node:process";

import { AF_INET } from "../core/constants.js";
import type { OSError } from "../core/errors/errors.js";
import type { Datagram } from "../core/receive/datagram.js";
import { type Completion, type Pull, type PullListener, pull } from "../core/socket/callbacks.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import { addressError, callError, lookupError } from "./errors.js";
import type { SendCallback } from "./types.js";

const resolved = Promise.resolve();

/** What a `MessageReader` calls. */
export interface MessageSink {
  /** Whether a datagram would reach a listener. */
  readonly hears: (info: RemoteInfo) => boolean;
  readonly message: (data: Buffer, info: RemoteInfo) => void;
  readonly failed: (error: Error) => void;
}

/**
 * Emits the datagrams of a socket, each in a tick of its own. After each, the ticks and then the microtasks that the listener
 * queued run before the next, as if the event loop had called for each datagram. A listener that throws is an uncaught
 * exception of its tick, and does not stop the next datagram.
 */
export class MessageReader implements PullListener {
  readonly #pull: Pull;
  readonly #sink: MessageSink;

  constructor(core: CoreSocket, sink: MessageSink) {
    this.#pull = pull(core, 'a listener of "message"', this);
    this.#sink = sink;
    nextTick(this.#tick);
  }

  ready(): void {
    nextTick(this.#tick);
  }

  /** Ends the reading. */
  end(): void {
    this.#pull.end();
  }

  readonly #tick = (): void => {
    let datagram: Datagram | undefined;
    try {
      datagram = this.#pull.next();
    } catch (error) {
      this.#continue();
      this.#sink.failed(callError((error as OSError).code, "recvmsg", error));
      return;
    }
    if (!datagram) return;
    const { data, source, size } = datagram;
    const family = source.family === AF_INET ? "IPv4" : "IPv6";
    // Before the listener runs: it may throw.
    this.#continue();
    const info: RemoteInfo = { address: source.host, family, port: source.port, size };
    if (this.#sink.hears(info)) this.#sink.message(data, info);
  };

  /** Queues the next tick after the microtasks, which run when no tick is left. */
  #continue(): void {
    void resolved.then(this.#next);
  }

  readonly #next = (): void => nextTick(this.#tick);
}

/** Calls the callbacks of sends that are done, in one tick. A callback that throws does not stop the others. */
export class Callbacks {
  #done: (() => void)[] = [];

  /** Queues a callback. */
  add(call: () => void): void {
    if (this.#done.push(call) === 1) nextTick(this.#run);
  }

  readonly #run = (): void => {
    const done = this.#done;
    this.#done = [];
    let index = 0;
    try {
      while (index < done.length) (done[index++] as () => void)();
    } finally {
      if (index < done.length) {
        for (const call of this.#done) done.push(call);
        this.#done = done.slice(index);
        nextTick(this.#run);
      }
    }
  };
}

/** A datagram that was passed to the core and is not settled. Its tag is the number of its bytes. */
export class PendingSend implements Completion {
  readonly #callbacks: Callbacks;
  readonly #callback: SendCallback;
  readonly #address: string | undefined;
  readonly #port: number;

  /** @param port 0 for the connected peer. */
  constructor(callbacks: Callbacks, callback: SendCallback, address: string | undefined, port: number) {
    this.#callbacks = callbacks;
    this.#callback = callback;
    this.#address = address;
    this.#port = port;
  }

  sent(bytes: number): void {
    const callback = this.#callback;
    this.#callbacks.add(() => callback(null, bytes));
  }

  failed(_bytes: number, error: OSError): void {
    const callback = this.#callback as (error: Error) => void;
    const reason = sendError(error, this.#address, this.#port);
    this.#callbacks.add(() => callback(reason));
  }
}

/** The datagrams without a callback. Only a name that does not resolve is told, as an `"error"`. */
export class SilentSends implements Completion {
  readonly #emitError: (error: Error) => void;

  constructor(emitError: (error: Error) => void) {
    this.#emitError = emitError;
  }

  sent(): void {
    return;
  }

  failed(_bytes: number, error: OSError): void {
    const unknown = lookupError(error, error.address ?? "");
    if (unknown) nextTick(this.#emitError, unknown);
  }
}

/** The error of a send in the form of Node. */
export function sendError(reason: OSError, address: string | undefined, port: number): Error {
  return (
    lookupError(reason, address ?? "") ?? addressError(reason, "send", address, port === 0 ? undefined : port)
  );
}
