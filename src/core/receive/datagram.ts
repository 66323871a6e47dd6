import { OSError } from "../errors/errors.js";
import type { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Metadata } from "../driver/metadata.js";
import type { Data } from "../driver/payload.js";

/** What a datagram answers through. */
export interface Replier {
  /** @param how as `sendmsg` has it; `undefined` leaves everything to the system. */
  answer(data: Data, to: Endpoint, how: Ancillary | undefined): Promise<number>;
}

/**
 * One datagram that arrived. What the system did not tell of it is `undefined`: `socket.capabilities.packetInfo` says
 * whether it could, and the option `metadata` whether it was asked.
 */
export class Datagram {
  /** The payload; its first `bufsize` bytes when it was longer. The program's own. */
  readonly data: Buffer;
  /** Who sent it. */
  readonly source: Endpoint;
  /** Payload bytes as they were sent. */
  readonly size: number;
  readonly #replier: Replier;
  readonly #metadata: Metadata | undefined;

  /** Made by the socket. */
  constructor(
    data: Buffer,
    source: Endpoint,
    size: number,
    replier: Replier,
    metadata: Metadata | undefined,
  ) {
    this.data = data;
    this.source = source;
    this.size = size;
    this.#replier = replier;
    this.#metadata = metadata;
  }

  /** Whether `data` lacks the end of what was sent. */
  get truncated(): boolean {
    return this.data.length < this.size;
  }

  /** The local address and port that it came to: one of this host's, or a multicast or broadcast address. */
  get destination(): Endpoint | undefined {
    return this.#metadata?.destination;
  }

  /** The name of the network interface that it came by, such as `"eth0"`. */
  get interface(): string | undefined {
    return this.#metadata?.interface;
  }

  /** 0 to 255: how many routers it could still have passed. RFC 791; the hop limit of RFC 8200. */
  get ttl(): number | undefined {
    return this.#metadata?.ttl;
  }

  /** 0 to 255: type of service, or traffic class: DSCP in the upper six bits and ECN in the lower two (RFC 2474). */
  get tos(): number | undefined {
    return this.#metadata?.tos;
  }

  /** 0 to 3: explicit congestion notification (RFC 3168); 3 says that a router on the way was congested. */
  get ecn(): number | undefined {
    const tos = this.tos;
    return tos === undefined ? undefined : tos & 3;
  }

  /** When the kernel had it, in nanoseconds since the epoch. Datagrams that came merged share it. */
  get timestamp(): bigint | undefined {
    return this.#metadata?.timestamp;
  }

  /** How many the kernel is known to have dropped just before it, because the receive buffer was full: at least so many. */
  get lostBefore(): number | undefined {
    return this.#metadata?.lostBefore;
  }

  /**
   * Sends `data` to who sent this datagram, from the address that it came to, where that is known: of a group or a
   * broadcast, from an address of that interface. Gives what `sendto` gives.
   */
  reply(data: Data): Promise<number> {
    return this.#replier.answer(data, this.source, this.#metadata?.answer);
  }
}

/** A receive call of a `strict` socket whose datagram was longer than it asked for: an `OSError` `EMSGSIZE`. */
export class TruncatedError extends OSError {
  /** The datagram as it was cut. It is consumed: the next call gives the next one. */
  readonly datagram: Datagram;

  constructor(datagram: Datagram, syscall: string) {
    const { data, size, source } = datagram;
    super("EMSGSIZE", {
      syscall,
      address: source.host,
      port: source.port,
      limit: data.length,
      text: `a datagram of ${size} bytes was cut to ${data.length}`,
    });
    this.datagram = datagram;
  }

  static {
    this.prototype.name = "TruncatedError";
  }
}
