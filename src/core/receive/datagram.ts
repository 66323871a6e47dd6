import type { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Metadata } from "../driver/metadata.js";
import type { Data } from "../driver/payload.js";
import { OSError } from "../errors/errors.js";
import { count } from "../ledger/count-text.js";
import { showAs } from "../shown.js";

/** The metadata of one datagram. */
export type DatagramMetadata = Omit<Metadata, "withoutLoss">;

/** Sends the answers to datagrams. */
export interface Replier {
  /** @param how as in `sendmsg`; with `undefined` the system chooses everything. */
  answer(data: Data, to: Endpoint, how: Ancillary | undefined): Promise<number>;
}

/** How an answer leaves from the address that a datagram was sent to; `undefined` if the system chooses. For a layer above sockets. */
export let routeOf: (datagram: Datagram) => Ancillary | undefined;

/** Whether a value was made by the constructor of `Datagram`. */
let hasMetadata: (datagram: Datagram) => boolean;

/**
 * One received datagram. A field is `undefined` if the system did not report it: `socket.capabilities.packetInfo` says
 * whether the system can, and the option `metadata` whether it was asked.
 */
export class Datagram {
  /** The payload, or its first `bufsize` bytes if it was longer. It belongs to the program. */
  readonly data: Buffer;
  /** The address of the sender. */
  readonly source: Endpoint;
  /** Bytes of the payload as it was sent. */
  readonly size: number;
  readonly #replier: Replier;
  readonly #metadata: DatagramMetadata | undefined;

  static {
    routeOf = (datagram) => datagram.#metadata?.answer;
    hasMetadata = (datagram) => #metadata in datagram;
    // `console.log(datagram)` would show none of the getters.
    showAs(this.prototype, (datagram) => datagram.constructor.name, shownOf);
  }

  /** Only sockets make datagrams, and what reads datagrams that a socket received. */
  constructor(
    data: Buffer,
    source: Endpoint,
    size: number,
    replier: Replier,
    metadata: DatagramMetadata | undefined,
  ) {
    this.data = data;
    this.source = source;
    this.size = size;
    this.#replier = replier;
    this.#metadata = metadata;
  }

  /** Whether `data` is shorter than the payload that was sent. */
  get truncated(): boolean {
    return this.data.length < this.size;
  }

  /** The local address and port that it was sent to: an address of this host, or a multicast or broadcast address. */
  get destination(): Endpoint | undefined {
    return this.#metadata?.destination;
  }

  /** The name of the network interface that it arrived on, such as `"eth0"`. */
  get interface(): string | undefined {
    return this.#metadata?.interface;
  }

  /** 0 to 255: how many more routers it could have passed. RFC 791; the hop limit of RFC 8200. */
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

  /** When the kernel received it, in nanoseconds since the epoch. Datagrams that the kernel merged have the same timestamp. */
  get timestamp(): bigint | undefined {
    return this.#metadata?.timestamp;
  }

  /** How many datagrams, at least, the kernel dropped just before this one because the receive buffer was full. */
  get lostBefore(): number | undefined {
    return this.#metadata?.lostBefore;
  }

  /** Returns `5 bytes from 10.0.0.7:9000`, or `9 of 5000 bytes from …` for a truncated one. `String(datagram.data)` is its text. */
  toString(): string {
    const { data, size, source } = this;
    return `${data.length < size ? `${data.length} of ` : ""}${count(size, "byte")} from ${source}`;
  }

  /**
   * Sends `data` to the sender of this datagram. The source is the address that this datagram was sent to, if that is known.
   * If that is a multicast or broadcast address, the source is an address of the interface. Returns the same as `sendto`.
   */
  reply(data: Data): Promise<number> {
    return this.#replier.answer(data, this.source, this.#metadata?.answer);
  }
}

/** The getters whose values `console.log` shows, if the system reported them. */
const shownGetters = ["destination", "interface", "ttl", "tos", "timestamp", "lostBefore"] as const;

/** What `console.log` shows of a datagram: its fields, those of a class above it too. */
function shownOf(datagram: Datagram): object {
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(datagram)) shown[key] = key === "source" ? String(value) : value;
  // A proxy of a datagram, or an object that inherits from one, has no metadata.
  if (!hasMetadata(datagram)) return shown;
  for (const key of shownGetters) {
    const value = datagram[key];
    if (value !== undefined) shown[key] = key === "destination" ? String(value) : value;
  }
  if (datagram.truncated) shown.truncated = true;
  return shown;
}

/** The error of a receive call of a `strict` socket whose datagram was longer than `bufsize`: an `OSError` `EMSGSIZE`. */
export class TruncatedError extends OSError {
  /** The datagram with the data that was kept. The next call returns the next datagram. */
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
