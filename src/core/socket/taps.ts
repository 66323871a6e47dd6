import { Buffer } from "node:buffer";

import { type Endpoint, type Family, anyAddress } from "../address/address.js";
import type { Clock, Driver } from "../driver/driver.js";
import type { Metadata } from "../driver/metadata.js";
import type { Arrival } from "../receive/inbox.js";
import { type Packet, runListener } from "./events.js";

/** The taps of one socket: listeners that see each datagram that is sent or read. */
export class Taps {
  readonly #driver: Driver;
  readonly #clock: Clock;
  readonly #family: Family;
  readonly #listeners = new Set<(packet: Packet) => void>();
  #closed = false;

  constructor(driver: Driver, clock: Clock, family: Family) {
    this.#driver = driver;
    this.#clock = clock;
    this.#family = family;
  }

  /** Whether a listener is there. */
  get active(): boolean {
    return this.#listeners.size > 0;
  }

  /** Adds a listener. Returns the function that removes it. */
  add(listener: (packet: Packet) => void): () => void {
    // A function that is added twice is called twice.
    const own = (packet: Packet): void => listener(packet);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  /** Shows a datagram that was sent. Copies the payload. */
  showSent(payload: Uint8Array, destination: Endpoint): void {
    this.#show("out", Buffer.from(payload), destination);
  }

  /** Shows datagrams that were read. */
  showReceived(arrivals: readonly Arrival[]): void {
    for (const { data, source, metadata } of arrivals) this.#show("in", data, source, metadata);
  }

  /** Shows nothing from now on. */
  close(): void {
    this.#closed = true;
  }

  #show(direction: Packet["direction"], data: Buffer, peer: Endpoint, metadata?: Metadata): void {
    // A listener may have closed the socket.
    if (this.#closed) return;
    const local = metadata?.destination ?? this.#local();
    const [source, destination] = direction === "in" ? [peer, local] : [local, peer];
    const timestamp = metadata?.timestamp ?? this.#clock.wall();
    const packet: Packet = { direction, data, source, destination, timestamp };
    for (const listener of this.#listeners) runListener(() => listener(packet));
  }

  /** The local address, or any address if the driver cannot tell: a packet is shown all the same. */
  #local(): Endpoint {
    try {
      return this.#driver.local();
    } catch {
      return anyAddress(this.#family);
    }
  }
}
