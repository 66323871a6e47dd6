import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/cache.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import type { Metadata } from "../../core/driver/metadata.js";
import { epochNs } from "../time/timeline.js";

/** Where a datagram came to. */
interface Came {
  /** The local address, as the socket spells it. */
  readonly host: string;
  readonly port: number;
  /** The name of the interface. */
  readonly interface: string;
  /** A group, or everybody. */
  readonly toAll: boolean;
}

/** A datagram that lies unread, and how it came. */
export class Unread implements Metadata {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly ttl: number;
  readonly tos: number;
  readonly lostBefore: number;
  readonly #came: Came;
  /** Whole nanoseconds of virtual time. */
  readonly #time: number;

  constructor(
    data: Buffer,
    source: Endpoint,
    at: Came,
    ttl: number,
    tos: number,
    time: number,
    lostBefore: number,
  ) {
    this.data = data;
    this.source = source;
    this.#came = at;
    this.ttl = ttl;
    this.tos = tos;
    this.#time = time;
    this.lostBefore = lostBefore;
  }

  get destination(): Endpoint {
    return sharedAddress(this.#came.host, this.#came.port) as Endpoint;
  }

  get interface(): string {
    return this.#came.interface;
  }

  get timestamp(): bigint {
    return epochNs + BigInt(this.#time);
  }

  get answer(): Ancillary | undefined {
    // What came to a group or to everybody is answered from an address of this host, as the routes say.
    if (this.#came.toAll) return undefined;
    const how = { interface: undefined, ttl: undefined, tos: undefined, ecn: undefined, probe: false };
    return { source: this.destination, ...how };
  }

  /** Datagrams are never merged here. */
  get withoutLoss(): Metadata {
    return this;
  }
}
