/** Datagrams of a stream, as programs get them. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import { Datagram, type DatagramMetadata, type Replier } from "../core/receive/datagram.js";

/** Where a message is in its stream. */
export interface StreamPosition {
  /** The number of the message in its stream. */
  readonly sequence: number;
  /** When the server stored it, in nanoseconds since 1970. */
  readonly storedAt: bigint;
}

/**
 * A datagram of a stream, or a whole message. `reply()` is sent by the gateway that saw the peer last, while the stream is read: it
 * rejects if no gateway has sent it, and with the code of an ICMP error about it. A whole message has no `reply()`: `ENOTSUP`. `ttl`,
 * `tos` and `ecn` are `undefined`, because the stream does not have them.
 */
export class StoredDatagram extends Datagram {
  /** The number of its message in the stream, from 1. The datagrams of a bundle have the same one. */
  readonly sequence: number;
  /** The place of the datagram in its bundle, from 0. It is 0 too if its message has no other datagram. */
  readonly index: number;
  /** When the server stored it, in nanoseconds since 1970. */
  readonly storedAt: bigint;
  /**
   * How many messages of the stream just before it are deleted. `undefined` if the server delivers a part of the stream only, because
   * then other numbers are left out too.
   */
  readonly missingBefore: number | undefined;
  /**
   * 0 to 255: the channel, if it is a whole message of a gateway with `messages: true`. `undefined` for a datagram. A message has up to
   * 2 MiB, and none of the metadata of a datagram.
   */
  readonly channel: number | undefined;

  /** @internal */
  constructor(
    data: Buffer,
    source: Endpoint,
    size: number,
    metadata: DatagramMetadata,
    { sequence, storedAt }: StreamPosition,
    missingBefore: number | undefined,
    channel: number | undefined,
    index: number,
    replier: Replier,
  ) {
    super(data, source, size, replier, metadata);
    this.sequence = sequence;
    this.storedAt = storedAt;
    this.missingBefore = missingBefore;
    this.channel = channel;
    this.index = index;
  }
}
