import { EventEmitter } from "node:events";

import { nearest } from "../errors/fields.js";
import type { Warning } from "../ledger/reports.js";
import type { EventMap, SocketEvents, TypedEmitter } from "./events.js";

/**
 * `EventEmitter` by another type. With the types of newer versions of Node, TypeScript does not accept the methods of
 * `TypedEmitter` in a class that extends `EventEmitter`.
 */
const Emitter = EventEmitter as unknown as new <M extends EventMap<M>>() => TypedEmitter<M>;

/** Warns if a listener is added for an event that never comes. */
export abstract class WarningEmitter<M extends EventMap<M>> extends Emitter<M> {
  /** Adds a listener for an event. Warns if there is no such event. */
  override on<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this {
    this.#check(event);
    return super.on(event, listener);
  }

  /** The same as `on`. Warns if there is no such event. */
  override addListener<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this {
    this.#check(event);
    return super.addListener(event, listener);
  }

  /** Adds a listener before the others. Warns if there is no such event. */
  override prependListener<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this {
    this.#check(event);
    return super.prependListener(event, listener);
  }
  // `once` of Node calls `on`, and `prependOnceListener` calls `prependListener`.

  /** The events that exist. @internal */
  protected abstract get knownEvents(): KnownEvents;

  /** Shows a warning. @internal */
  protected abstract warnOfListener(warning: Warning): void;

  #check(event: PropertyKey): void {
    const message = missing(event, this.knownEvents);
    if (message !== undefined) this.warnOfListener({ code: "NO_SUCH_EVENT", message });
  }
}

/** The events of an emitter. */
export interface KnownEvents {
  /** The emitter in a sentence, such as `"a socket has"`. */
  readonly subject: string;
  readonly names: readonly string[];
  /** What replaces events that programs expect. */
  readonly insteadOf: ReadonlyMap<string, string>;
}

/**
 * Why a listener is never called; `undefined` if the event exists, or if it is an event of the program: its name is near to no
 * event. `once` and `on` of `node:events` add a listener for "error" to every emitter.
 */
function missing(event: PropertyKey, { subject, names, insteadOf }: KnownEvents): string | undefined {
  if (typeof event !== "string" || event === "error" || names.includes(event)) return undefined;
  const near = nearest(event, names);
  const instead = insteadOf.get(event) ?? (near === undefined ? undefined : `did you mean "${near}"?`);
  if (instead === undefined) return undefined;
  return `${subject} no event "${event}", and this listener is never called: ${instead}`;
}

/** The events of a socket. */
const socketEvents: KnownEvents = {
  subject: "a socket has",
  names: Object.keys({
    truncated: true,
    dropped: true,
    unreachable: true,
    pathMtu: true,
    warning: true,
  } satisfies Record<keyof SocketEvents, true>),
  insteadOf: new Map([
    [
      "message",
      'read with "for await (const datagram of s)" or recvfrom(), which also keep the process running. docs/recipes/from-node-dgram.md of this package compares them with node:dgram',
    ],
    ["listening", '"await s.bind(address)" ends when the socket is bound'],
    ["connect", '"await s.connect(address)" ends when the socket is connected'],
    ["close", '"await s.close()" ends when the socket is closed'],
  ]),
};

/** Warns if a listener is added for an event that a socket does not have. */
export abstract class SocketEmitter extends WarningEmitter<SocketEvents> {
  protected override get knownEvents(): KnownEvents {
    return socketEvents;
  }
}
