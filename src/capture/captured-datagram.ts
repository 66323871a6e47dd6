import type { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";

/** A UDP datagram of a capture file. */
export interface CapturedDatagram {
  /**
   * The payload, or the part of it that was captured. It shares a piece of memory of up to 256 KiB with other datagrams.
   */
  readonly data: Buffer;
  /** Bytes of the payload as sent. */
  readonly size: number;
  /** Whether `data` is shorter than `size`, because the recorder cut the packet. */
  readonly truncated: boolean;
  /** The address that it was sent from. */
  readonly source: Endpoint;
  /** The address that it was sent to. */
  readonly destination: Endpoint;
  /** Nanoseconds since 1970; `undefined` if the file does not have it. */
  readonly timestamp: bigint | undefined;
  /** The direction from the view of the recording host; `undefined` if the file does not have it. */
  readonly direction: "in" | "out" | undefined;
  /** The TTL, or the hop limit of IPv6. */
  readonly ttl: number;
  /** The byte with DSCP and ECN. */
  readonly tos: number;
  /** The name of the interface that recorded it; `undefined` if the file does not have it. */
  readonly interface: string | undefined;
  /** How many packets the recorder lost just before it; `undefined` if the file does not say. */
  readonly lostBefore: number | undefined;
  /** The comment of the packet; several comments are joined by line ends. `undefined` if there is none. */
  readonly comment: string | undefined;
  /**
   * Why a relay or a simulated link of this package dropped the datagram, as the comment says, such as `"loss 10%"`; `undefined` if it
   * was not dropped, or the file does not say.
   */
  readonly dropped: string | undefined;
  /** The number of its packet in the file, from 1. For fragments it is the one that completed the datagram. */
  readonly packet: number;
  /** Whether this is probably a run of several datagrams: longer than the MTU in one packet, and with a wrong checksum. */
  readonly probablySeveral: boolean;
}

/** An ICMP error of a capture file, about a UDP datagram. */
export interface CapturedUnreachable {
  /** Nanoseconds since 1970; `undefined` if the file does not have it. */
  readonly timestamp: bigint | undefined;
  /** The host that sent the error. */
  readonly from: string;
  /** The address that sent the datagram. */
  readonly source: Endpoint;
  /** The address that the datagram was sent to. */
  readonly destination: Endpoint;
  /** The type of ICMP (RFC 792), or of ICMPv6 for IPv6 (RFC 4443). */
  readonly type: number;
  /** The code of that type. */
  readonly code: number;
  /**
   * The MTU of the next link in bytes, if the datagram was too big for it (RFC 1191 section 4, RFC 4443 section 3.2); `undefined` for
   * other errors, and if the router did not say it.
   */
  readonly mtu: number | undefined;
  /** The number of its packet in the file, from 1. */
  readonly packet: number;
}

/**
 * Why a packet has no datagram: it is of a link type that is not known, of another protocol than UDP, or its headers are
 * impossible or were cut by the recorder.
 */
export type SkipReason = "otherLink" | "otherProtocol" | "malformed";

/** Counts of what was read of a capture file. */
export interface ReadStats {
  /** All packets: the sum of `datagrams`, `fragments`, `unreachable` and all counts of `skipped`. */
  readonly packets: number;
  /** The datagrams that were yielded. */
  readonly datagrams: number;
  /** Fragments of UDP datagrams, except the one that completes a datagram. */
  readonly fragments: number;
  /** ICMP errors about UDP datagrams. */
  readonly unreachable: number;
  /** Packets without a datagram, by the reason. */
  readonly skipped: Readonly<Record<SkipReason, number>>;
  /** Datagrams that the recorder cut. */
  readonly truncated: number;
  /** Datagrams that were never whole, because fragments are missing, overlap, or were cut by the recorder. */
  readonly incomplete: number;
  /** Datagrams that are probably several. */
  readonly probablySeveral: number;
  /** Packets that the recorder lost, as the file says; `undefined` if the file does not say. */
  readonly lost: number | undefined;
}
