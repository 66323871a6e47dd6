/**
 * Calls the listeners and callbacks of the program from ticks (`process.nextTick`), as `node:dgram` does. Programs depend on
 * it: a listener that was called from a promise would run before ticks that are queued already.
 */

import { AsyncResource } from "node:async_hooks";
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
 * exception of its tick, and does not stop the next datagram. A datagram that arrives alone needs one tick only.
 */
export class MessageReader implements PullListener {
  readonly #pull: Pull;
  readonly #sink: MessageSink;
  readonly #scope: AsyncResource;

  /** @param scope the async context of the listeners. */
  constructor(core: CoreSocket, scope: AsyncResource, sink: MessageSink) {
    this.#scope = scope;
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
      const failure = callError((error as OSError).code, "recvmsg", error);
      this.#scope.runInAsyncScope(this.#sink.failed, this.#sink, failure);
      return;
    }
    if (!datagram) return;
    const { data, source, size } = datagram;
    const family = source.family === AF_INET ? "IPv4" : "IPv6";
    // Before the listener runs: it may throw.
    this.#continue();
    const info: RemoteInfo = { address: source.host, family, port: source.port, size };
    if (this.#sink.hears(info)) this.#scope.runInAsyncScope(this.#sink.message, this.#sink, data, info);
  };

  /** Queues the next tick after the microtasks, which run when no tick is left. If no datagram is there, `ready` does it. */
  #continue(): void {
    if (!this.#pull.waiting) void resolved.then(this.#next);
  }

  readonly #next = (): void => nextTick(this.#tick);
}

/** Calls the callbacks of sends that are done, in one tick. A callback that throws does not stop the others. */
export class Callbacks {
  #done: PendingSend[] = [];

  /** Queues the callback of a send that is done. */
  add(send: PendingSend): void {
    if (this.#done.push(send) === 1) nextTick(this.#run);
  }

  readonly #run = (): void => {
    const done = this.#done;
    this.#done = [];
    let index = 0;
    try {
      while (index < done.length) (done[index++] as PendingSend).callBack();
    } finally {
      if (index < done.length) {
        for (const send of this.#done) done.push(send);
        this.#done = done.slice(index);
        nextTick(this.#run);
      }
    }
  };
}

/**
 * A send with a callback that is not done. Its tag is the number of its bytes. It is an `AsyncResource`, so that the callback
 * runs in the async context of the send.
 */
export class PendingSend extends AsyncResource implements Completion {
  readonly #callbacks: Callbacks;
  readonly #callback: SendCallback;
  readonly #address: string | undefined;
  readonly #port: number;
  #error: unknown;
  #bytes = 0;

  /** @param port 0 for the connected peer. */
  constructor(callbacks: Callbacks, callback: SendCallback, address: string | undefined, port: number) {
    super("UDPSENDWRAP");
    this.#callbacks = callbacks;
    this.#callback = callback;
    this.#address = address;
    this.#port = port;
  }

  sent(bytes: number): void {
    this.#bytes = bytes;
    this.#callbacks.add(this);
  }

  failed(_bytes: number, error: OSError): void {
    this.refuse(sendError(error, this.#address, this.#port));
  }

  /** The send has failed with an error that is in the form of Node. */
  refuse(error: unknown): void {
    this.#error = error;
    this.#callbacks.add(this);
  }

  /** Calls the callback of the program. */
  callBack(): void {
    if (this.#error === undefined) this.runInAsyncScope(this.#callback, undefined, null, this.#bytes);
    else this.runInAsyncScope(this.#callback as (error: unknown) => void, undefined, this.#error);
  }
}

/** The datagrams without a callback. Only a name that does not resolve is told, as an `"error"`. */
export class SilentSends implements Completion {
  readonly #emitError: (error: Error) => void;

  /** @param emitError is called in a tick. */
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
