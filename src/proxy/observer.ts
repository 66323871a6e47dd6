import type { Buffer } from "node:buffer";

import type { Datagram, Endpoint, Loss, PathMtuChange, Unreachable } from "../index.js";

/** `"up"` is from clients to the targets. */
export type DirectionName = "up" | "down";

/** Why a datagram of a new client goes no further: no client can be added, or it is the relay's own. */
export const clientLimit = "limit of clients";
export const relayLoop = "loop of the relay";

/** What the relay does to one datagram that came in, and why: each text is a setting of the link, `loss 10%`, or `rule drop up`. */
export interface Passage {
  readonly direction: DirectionName;
  /** Who sent it: a client or a target. */
  readonly sender: Endpoint;
  /** The address of the relay that it came to. */
  readonly destination: Endpoint;
  /** Why it goes no further; `undefined` if it passes. */
  readonly dropped: string | undefined;
  /** By how many milliseconds it is delayed, and why. */
  readonly delayMs: number;
  readonly delayedBy: string;
  readonly duplicatedBy: string | undefined;
  readonly reorderedBy: string | undefined;
  readonly corruptedBy: string | undefined;
}

/** Datagrams of one socket that were given to the kernel together. */
export interface Sending {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  /** How many of the datagrams were not sent: it is not known which. */
  readonly unsent: number;
}

/** A datagram of a `Sending`. */
export interface SentDatagram {
  readonly passage: Passage | undefined;
  readonly isDuplicate: boolean;
  readonly data: Buffer;
}

/** Sees what comes into a relay and what leaves it. It must not throw. */
export interface RelayObserver {
  /** A datagram came in, and what happens to it is decided. Its payload is valid and as it came during the call only. */
  entered(passage: Passage, datagram: Datagram): void;
  /** Datagrams have left. */
  left(direction: DirectionName, datagrams: readonly SentDatagram[], sending: Sending): void;
  /** Datagrams that passed will never leave, because the relay is closed. */
  discarded(direction: DirectionName, datagrams: number): void;
  /** Datagrams were lost before the relay read them. */
  lost(direction: DirectionName, loss: Loss): void;
  /** An ICMP error came about a datagram from `source`. */
  unreachable(direction: DirectionName, report: Unreachable, source: Endpoint): void;
  /** A path takes only smaller packets than before, of the datagrams that leave from `source`. */
  pathMtu(direction: DirectionName, change: PathMtuChange, source: Endpoint): void;
  /** The relay is closed. Nothing follows. */
  closed(): void;
}

/** The observers of one relay. */
export class RelayObservers implements RelayObserver {
  readonly #observers = new Set<RelayObserver>();

  /** Whether there is one. Without one, nothing is told. */
  get active(): boolean {
    return this.#observers.size > 0;
  }

  /** Adds an observer. @returns a function that removes it. */
  add(observer: RelayObserver): () => void {
    this.#observers.add(observer);
    return () => {
      this.#observers.delete(observer);
    };
  }

  entered(passage: Passage, datagram: Datagram): void {
    for (const observer of this.#observers) observer.entered(passage, datagram);
  }

  left(direction: DirectionName, datagrams: readonly SentDatagram[], sending: Sending): void {
    for (const observer of this.#observers) observer.left(direction, datagrams, sending);
  }

  discarded(direction: DirectionName, datagrams: number): void {
    for (const observer of this.#observers) observer.discarded(direction, datagrams);
  }

  lost(direction: DirectionName, loss: Loss): void {
    for (const observer of this.#observers) observer.lost(direction, loss);
  }

  unreachable(direction: DirectionName, report: Unreachable, source: Endpoint): void {
    for (const observer of this.#observers) observer.unreachable(direction, report, source);
  }

  pathMtu(direction: DirectionName, change: PathMtuChange, source: Endpoint): void {
    for (const observer of this.#observers) observer.pathMtu(direction, change, source);
  }

  closed(): void {
    for (const observer of this.#observers) observer.closed();
    this.#observers.clear();
  }
}
