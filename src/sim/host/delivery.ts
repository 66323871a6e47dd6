import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address.js";
import { sharedAddress } from "../../core/address-cache.js";
import type { Ancillary } from "../../core/ancillary.js";
import type { Delivery } from "../../core/delivery.js";
import { isGroup, onTheWire } from "../node/addresses.js";
import { epochNs } from "../time/timeline.js";

/** A datagram that lies unread, and how it came. */
export class Unread implements Delivery {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly interface: string;
  readonly ttl: number;
  readonly tos: number;
  readonly lostBefore: number;
  /** The local address, as the socket spells it, and the port. */
  readonly #host: string;
  readonly #port: number;
  /** Whole nanoseconds of virtual time. */
  readonly #time: number;

  constructor(
    data: Buffer,
    source: Endpoint,
    at: { readonly host: string; readonly port: number; readonly interface: string },
    ttl: number,
    tos: number,
    time: number,
    lostBefore: number,
  ) {
    this.data = data;
    this.source = source;
    this.#host = at.host;
    this.#port = at.port;
    this.interface = at.interface;
    this.ttl = ttl;
    this.tos = tos;
    this.#time = time;
    this.lostBefore = lostBefore;
  }

  get destination(): Endpoint {
    return sharedAddress(this.#host, this.#port) as Endpoint;
  }

  get timestamp(): bigint {
    return epochNs + BigInt(this.#time);
  }

  get answer(): Ancillary | undefined {
    // What came to a group is answered from an address of this host, as the routes say.
    const { destination } = this;
    if (isGroup(onTheWire(destination.host))) return undefined;
    const how = { interface: undefined, ttl: undefined, tos: undefined, ecn: undefined, probe: false };
    return { source: destination, ...how };
  }

  /** Datagrams are never merged here. */
  get following(): Delivery {
    return this;
  }
}
