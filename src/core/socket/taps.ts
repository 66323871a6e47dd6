import { Buffer } from "node:buffer";

import { type Endpoint, type Family, anyAddress } from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Clock, Driver } from "../driver/driver.js";
import { View } from "../driver/view.js";
import type { Loss, PathMtuChange, Unreachable } from "../ledger/reports.js";
import type { Datagram } from "../receive/datagram.js";
import type { Run } from "../receive/inbox.js";
import { type Packet, runListener } from "./events.js";

/** Sees the datagrams of one socket when they are read or sent, and what the ledger counts. It must not throw. */
export interface Observer {
  /** Datagrams were read, and no call has taken them yet. */
  received(run: Run): void;
  /**
   * A datagram was sent. The payload is valid only during the call.
   *
   * @param ancillary the datagram's own ancillary data.
   */
  sent(payload: Buffer, destination: Endpoint, ancillary: Ancillary | undefined): void;
  /** @param isSeen whether the datagrams were read before, so that the observer has seen them. */
  dropped?(loss: Loss, isSeen: boolean): void;
  unreachable?(report: Unreachable): void;
  /** The path MTU to a peer was learned. */
  pathMtu?(change: PathMtuChange): void;
  /** A receive call cut a datagram. The observer has seen the whole datagram. */
  truncated?(datagram: Datagram): void;
  /** The socket is closed. Nothing follows. */
  closed?(): void;
}

/** An observer at work. */
export interface Observation {
  /** The local address of the socket, also after `close()`. */
  local(): Endpoint;
  /** Removes the observer. */
  end(): void;
}

/** The observers of one socket, of which each `tap` is one. */
export class Taps {
  readonly #driver: Driver;
  readonly #clock: Clock;
  readonly #family: Family;
  readonly #observers = new Set<Observer>();
  #closed = false;

  constructor(driver: Driver, clock: Clock, family: Family) {
    this.#driver = driver;
    this.#clock = clock;
    this.#family = family;
  }

  /** Whether an observer is there. */
  get active(): boolean {
    return this.#observers.size > 0;
  }

  /** Adds a listener for single datagrams. Returns the function that removes it. */
  add(listener: (packet: Packet) => void): () => void {
    const tap = new Tap(listener, this, this.#clock);
    const observation = this.observe(tap);
    return () => {
      tap.end();
      observation.end();
    };
  }

  observe(observer: Observer): Observation {
    this.#observers.add(observer);
    return {
      local: () => this.local(),
      end: () => {
        this.#observers.delete(observer);
      },
    };
  }

  /** Shows a datagram that was sent. The payload is valid only during the call. */
  showSent(payload: Buffer, destination: Endpoint, ancillary: Ancillary | undefined): void {
    for (const observer of this.#observers) if (!this.#closed) observer.sent(payload, destination, ancillary);
  }

  /** Shows datagrams that were read. An observer may close the socket. */
  showReceived(runs: readonly Run[]): void {
    for (const run of runs) {
      for (const observer of this.#observers) if (!this.#closed) observer.received(run);
    }
  }

  dropped(loss: Loss, isSeen: boolean): void {
    for (const observer of this.#observers) observer.dropped?.(loss, isSeen);
  }

  unreachable(report: Unreachable): void {
    for (const observer of this.#observers) observer.unreachable?.(report);
  }

  pathMtu(change: PathMtuChange): void {
    for (const observer of this.#observers) observer.pathMtu?.(change);
  }

  truncated(datagram: Datagram): void {
    for (const observer of this.#observers) observer.truncated?.(datagram);
  }

  /** Shows nothing from now on. */
  close(): void {
    this.#closed = true;
    for (const observer of this.#observers) observer.closed?.();
  }

  /** The local address, or any address if the driver cannot tell: a packet is shown all the same. */
  local(): Endpoint {
    try {
      return this.#driver.local();
    } catch {
      return anyAddress(this.#family);
    }
  }
}

/** Calls a listener of the program with each datagram. */
class Tap implements Observer {
  readonly #listener: (packet: Packet) => void;
  readonly #taps: Taps;
  readonly #clock: Clock;
  #ended = false;

  constructor(listener: (packet: Packet) => void, taps: Taps, clock: Clock) {
    this.#listener = listener;
    this.#taps = taps;
    this.#clock = clock;
  }

  /** Calls the listener no more. */
  end(): void {
    this.#ended = true;
  }

  received({ data, source, segment, metadata }: Run): void {
    const destination = metadata?.destination ?? this.#taps.local();
    const timestamp = metadata?.timestamp ?? this.#clock.wall();
    if (segment === 0) {
      this.#show({ direction: "in", data, source, destination, timestamp });
      return;
    }
    const { buffer, byteOffset, length } = data;
    // The listener may remove itself, or close the socket.
    for (let start = 0; start < length && !this.#ended; start += segment) {
      const view = new View(buffer, byteOffset + start, Math.min(segment, length - start));
      this.#show({ direction: "in", data: view, source, destination, timestamp });
    }
  }

  sent(payload: Buffer, destination: Endpoint): void {
    const data = Buffer.from(payload);
    const source = this.#taps.local();
    this.#show({ direction: "out", data, source, destination, timestamp: this.#clock.wall() });
  }

  closed(): void {
    this.#ended = true;
  }

  #show(packet: Packet): void {
    if (!this.#ended) runListener(() => this.#listener(packet));
  }
}
