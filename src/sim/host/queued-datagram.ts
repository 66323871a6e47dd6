import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import type { Metadata } from "../../core/driver/metadata.js";
import { epochNs } from "../time/event.js";

/** Where a datagram arrived. */
interface Arrival {
  /** The local address, as the socket writes it. */
  readonly host: string;
  readonly port: number;
  /** The name of the interface. */
  readonly interface: string;
  /** Whether the destination is a multicast group or a broadcast address. */
  readonly toAll: boolean;
}

/** An unread datagram with its metadata. */
export class QueuedDatagram implements Metadata {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly ttl: number;
  readonly tos: number;
  readonly lostBefore: number;
  readonly #arrival: Arrival;
  /** Time of arrival, in whole nanoseconds of virtual time. */
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
    // The answer to multicast or broadcast leaves from the address of this host that the route chooses.
    if (this.#arrival.toAll) return undefined;
    const how = { interface: undefined, ttl: undefined, tos: undefined, ecn: undefined, probe: false };
    return { source: this.destination, ...how };
  }

  /** The simulator never merges datagrams. */
  get withoutLoss(): Metadata {
    return this;
  }
}
