import type { Buffer } from "node:buffer";
import { channel } from "node:diagnostics_channel";
import type { EventEmitter } from "node:events";

import type { Address } from "../address/address.js";
import type { Stack } from "../driver/driver.js";
import type { Loss, PathMtuChange, Unreachable, Warning } from "../ledger/reports.js";
import type { Datagram } from "../receive/datagram.js";

/**
 * The events of a socket. There is no `"message"`: `for await` and `recvfrom` read datagrams. There is no `"error"`: a failure
 * is a rejected promise. Each event is also published on the
 * `node:diagnostics_channel` named `datagram:<event>`, as `{ socket, message }`.
 */
export interface SocketEvents {
  /** A datagram was longer than the receive call asked for. */
  truncated: [datagram: Datagram];
  /** Datagrams had arrived and were dropped before the program received them. */
  dropped: [loss: Loss];
  /** An ICMP error said that a datagram did not arrive. */
  unreachable: [report: Unreachable];
  /** The known path MTU to a destination changed. */
  pathMtu: [change: PathMtuChange];
  /**
   * The program waits for datagrams or for an event that can never come, and no call fails. If there is no listener, the first warning of
   * each `code` is a warning of the process (`process.emitWarning`), except on simulated hosts.
   */
  warning: [warning: Warning];
}

type ListenerMethod =
  | "on"
  | "addListener"
  | "once"
  | "prependListener"
  | "prependOnceListener"
  | "off"
  | "removeListener";

/** The arguments of the listeners of each event. */
export type EventMap<M> = Record<keyof M, unknown[]>;

/** Node's `EventEmitter` with the events of `M` only. TypeScript refuses the names of other events. */
export interface TypedEmitter<M extends EventMap<M>> extends Omit<
  EventEmitter,
  ListenerMethod | "emit" | "removeAllListeners" | "setMaxListeners"
> {
  /** Adds a listener for an event. */
  on<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** The same as `on`. */
  addListener<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** Adds a listener for the next event only. */
  once<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** Adds a listener before the others. */
  prependListener<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** Adds a listener for the next event only, before the others. */
  prependOnceListener<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** Removes a listener. */
  off<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** The same as `off`. */
  removeListener<E extends keyof M>(event: E, listener: (...args: M[E]) => void): this;
  /** Removes all listeners, or those for one event. */
  removeAllListeners(event?: keyof M): this;
  /** Sets the number of listeners for one event from which Node warns of a leak; 0 never warns. */
  setMaxListeners(count: number): this;
  /** Calls the listeners of an event. */
  emit(event: string | symbol, ...args: unknown[]): boolean;
}

/** A datagram as the listener of a `tap` sees it. */
export interface Packet {
  /** `"in"` for a datagram that was read, `"out"` for one that was sent. */
  readonly direction: "in" | "out";
  /** A copy of the payload if the datagram is sent; the same bytes that the program gets if the datagram arrived. */
  readonly data: Buffer;
  /** The address that it came from, or the address of this socket. */
  readonly source: Address;
  /** The address that it was sent to. */
  readonly destination: Address;
  /** Nanoseconds since the epoch: when the kernel received the datagram, if that is known, else when it was read. */
  readonly timestamp: bigint;
}

const channels = {
  truncated: channel("datagram:truncated"),
  dropped: channel("datagram:dropped"),
  unreachable: channel("datagram:unreachable"),
  pathMtu: channel("datagram:pathMtu"),
  warning: channel("datagram:warning"),
} as const satisfies Record<keyof SocketEvents, unknown>;

/** Emits the events of one socket in a microtask, never during a call of the program. An event without a listener costs two checks. */
export class Events {
  readonly #socket: TypedEmitter<SocketEvents>;
  readonly #stack: Stack;
  /** Events for the next microtask. */
  #pending: (() => void)[] = [];

  constructor(socket: TypedEmitter<SocketEvents>, stack: Stack) {
    this.#socket = socket;
    this.#stack = stack;
  }

  emit<E extends keyof SocketEvents>(event: E, message: SocketEvents[E][0]): void {
    const socket = this.#socket;
    const diagnostics = channels[event];
    if (socket.listenerCount(event) === 0 && !diagnostics.hasSubscribers && event !== "warning") return;
    const pending = this.#pending;
    pending.push(() => {
      if (socket.listenerCount(event) > 0) {
        runListener(() => socket.emit(event, message));
      } else if (event === "warning") this.#warn(message as Warning);
      if (diagnostics.hasSubscribers) diagnostics.publish({ socket, message });
    });
    if (pending.length > 1) return;
    queueMicrotask(() => {
      this.#pending = [];
      for (const emit of pending) emit();
    });
  }

  /** A stack that cannot show a warning fails no call. */
  #warn(warning: Warning): void {
    try {
      this.#stack.warn?.(warning);
    } catch {
      // See above.
    }
  }
}

/** Runs a listener of the program. An error that it throws becomes an uncaught exception, and does not stop the caller. */
export function runListener(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
