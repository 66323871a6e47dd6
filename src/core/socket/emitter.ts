import { EventEmitter } from "node:events";

import type { Warning } from "../ledger/reports.js";
import type { SocketEvents, SocketListener, TypedEmitter } from "./events.js";

/**
 * `EventEmitter` by another type. With the types of newer versions of Node, TypeScript does not accept the methods of
 * `TypedEmitter` in a class that extends `EventEmitter`.
 */
const Emitter = EventEmitter as unknown as new () => TypedEmitter;

/** Warns if a listener is added for an event of `node:dgram` that a socket does not have. */
export class SocketEmitter extends Emitter {
  /** Adds a listener for an event. Warns if a socket does not have the event. */
  override on<E extends keyof SocketEvents>(event: E, listener: SocketListener<E>): this {
    const warning = warningAbout(event);
    if (warning) this.warnOfListener(warning);
    return super.on(event, listener);
  }

  /** The same as `on`. Warns if a socket does not have the event. */
  override addListener<E extends keyof SocketEvents>(event: E, listener: SocketListener<E>): this {
    const warning = warningAbout(event);
    if (warning) this.warnOfListener(warning);
    return super.addListener(event, listener);
  }

  /** Adds a listener before the others. Warns if a socket does not have the event. */
  override prependListener<E extends keyof SocketEvents>(event: E, listener: SocketListener<E>): this {
    const warning = warningAbout(event);
    if (warning) this.warnOfListener(warning);
    return super.prependListener(event, listener);
  }
  // `once` of Node calls `on`, and `prependOnceListener` calls `prependListener`.

  /** The socket replaces this. @internal */
  protected warnOfListener(_warning: Warning): void {
    return;
  }
}

/**
 * What replaces the events of a `node:dgram` socket. "error" is missing: `once` and `on` of `node:events` add a listener for
 * it to every emitter.
 */
const insteadOf: ReadonlyMap<string, string> = new Map([
  [
    "message",
    'read with "for await (const datagram of s)" or recvfrom(), which also keep the process running. docs/recipes/from-node-dgram.md of this package compares them with node:dgram',
  ],
  ["listening", '"await s.bind(address)" ends when the socket is bound'],
  ["connect", '"await s.connect(address)" ends when the socket is connected'],
  ["close", '"await s.close()" ends when the socket is closed'],
]);

/** The warning about a listener for an event; `undefined` if a socket has the event, or if it is an event of the program. */
function warningAbout(event: string): Warning | undefined {
  const instead = insteadOf.get(event);
  if (instead === undefined) return undefined;
  const message = `a socket has no event "${event}", and this listener is never called: ${instead}`;
  return { code: "NO_SUCH_EVENT", message };
}
