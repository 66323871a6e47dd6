import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/cache.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import type { Metadata } from "../../core/driver/metadata.js";
import { epochNs } from "../time/event.js";

/** Where a datagram came to. */
interface Arrival {
  /** The local address, as the socket spells it. */
  readonly host: string;
  readonly port: number;
  /** The name of the interface. */
  readonly interface: string;
  /** A group, or everybody. */
  readonly toAll: boolean;
}

/** A datagram that lies unread, and how it came. */
export class QueuedDatagram implements Metadata {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly ttl: number;
  readonly tos: number;
  readonly lostBefore: number;
  readonly #arrival: Arrival;
  /** Whole nanoseconds of virtual time. */
  readonly #time: number;

  constructor(
    data: Buffer,
    source: Endpoint,
    at: Arrival,
    ttl: number,
    tos: number,
    time: number,
    lostBefore: number,
  ) {
    this.data = data;
    this.source = source;
    this.#arrival = at;
    this.ttl = ttl;
    this.tos = tos;
    this.#time = time;
    this.lostBefore = lostBefore;
  }

  get destination(): Endpoint {
    return sharedAddress(this.#arrival.host, this.#arrival.port) as Endpoint;
  }

  get interface(): string {
    return this.#arrival.interface;
  }

  get timestamp(): bigint {
    return epochNs + BigInt(this.#time);
  }

  get answer(): Ancillary | undefined {
    // What came to a group or to everybody is answered from an address of this host, as the routes say.
    if (this.#arrival.toAll) return undefined;
    const how = { interface: undefined, ttl: undefined, tos: undefined, ecn: undefined, probe: false };
    return { source: this.destination, ...how };
  }

  /** Datagrams are never merged here. */
  get withoutLoss(): Metadata {
    return this;
  }
}
