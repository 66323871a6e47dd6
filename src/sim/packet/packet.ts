import type { Buffer } from "node:buffer";

/** Bytes of a UDP header (RFC 768). */
export const udpHeaderBytes = 8;
/** Bytes of an ICMP error before the quoted packet (RFC 792, RFC 4443). */
const icmpHeaderBytes = 8;
/** Bytes of an IP header, without options or extensions (RFC 791, RFC 8200). */
export const ipHeaderBytes = { 4: 20, 6: 40 } as const;
/** Bytes of an IPv6 header and the fragment header after it (RFC 8200, section 4.5). */
export const ipv6FragmentHeaderBytes = 48;

/**
 * The packets of the network: UDP datagrams and ICMP errors over IPv4 and IPv6.
 *
 * The other files of this folder: `fragments.ts` fragments packets, `reassembly.ts` reassembles them. `icmp.ts` makes ICMP
 * errors, `corrupt.ts` flips bits, and `memory.ts` computes the memory that Linux needs for a packet.
 */

/** A UDP datagram (RFC 768) as it left its socket. */
export interface UdpDatagram {
  /** The protocol. */
  readonly protocol: "udp";
  /** The port of the sender. */
  readonly sourcePort: number;
  /** The port of the receiver. */
  readonly destinationPort: number;
  /** The payload as it is on this link. */
  readonly payload: Buffer;
  /** The payload that the checksum was computed from, if a bit was flipped later and the checksum reveals it. */
  readonly intact: Buffer | undefined;
  /** The payload as it left its socket, if a bit was flipped later, whether or not the checksum reveals it. */
  readonly sent?: Buffer;
}

/** An ICMP or ICMPv6 error (RFC 792, RFC 4443). */
export interface IcmpError {
  /** The protocol. */
  readonly protocol: "icmp";
  /** The type of the ICMP or ICMPv6 message. */
  readonly type: number;
  /** The code of the message within its type. */
  readonly code: number;
  /** MTU of the next link in bytes, for "fragmentation needed" and "packet too big"; otherwise 0. */
  readonly mtu: number;
  /** The packet that the error is about. */
  readonly about: Packet;
}

/** An IP packet or a fragment, on one link. It never changes: routers and NATs forward copies. */
export interface Packet {
  /** Counts from 1 in the order in which packets were made. Each fragment has its own number; a duplicate has the same number. */
  readonly number: number;
  /** The IP version. */
  readonly version: 4 | 6;
  /** A literal as `Address` writes it; IPv4 addresses are IPv4 literals also if the socket is AF_INET6. */
  readonly source: string;
  /** The destination, written as `source`. */
  readonly destination: string;
  /** TTL or hop limit on this link. */
  readonly ttl: number;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number;
  /** The identification that all fragments of a packet share: 16 bits for IPv4, 32 for IPv6. */
  readonly identification: number;
  /** Whether routers must not fragment it; always true for IPv6. */
  readonly dontFragment: boolean;
  /** The content of the packet. Each fragment refers to the whole content. */
  readonly content: UdpDatagram | IcmpError;
  /** Bytes of the content before this fragment, including the UDP or ICMP header; a multiple of 8. */
  readonly offset: number;
  /** Bytes of the content in this packet, including the UDP or ICMP header. */
  readonly length: number;
  /** Whether there are fragments with a higher offset. */
  readonly moreFragments: boolean;
}

/** Bytes of the IP header: 20 or 40, and 8 more for the fragment header of IPv6. */
export function headerBytes(packet: Packet): number {
  const { version } = packet;
  return version === 6 && isFragment(packet) ? ipv6FragmentHeaderBytes : ipHeaderBytes[version];
}

/** Bytes on the link, including the IP header. */
export function packetBytes(packet: Packet): number {
  return headerBytes(packet) + packet.length;
}

export function isFragment(packet: Packet): boolean {
  return packet.moreFragments || packet.offset > 0;
}

/** Bytes of the content, including the UDP or ICMP header. */
export function contentBytes(version: 4 | 6, content: UdpDatagram | IcmpError): number {
  if (content.protocol === "udp") return udpHeaderBytes + content.payload.length;
  // An ICMP error quotes as much as fits the smallest MTU of every link (RFC 1812, section 4.3.2.3; RFC 4443, section 3).
  const maxBytes = (version === 4 ? 576 : 1280) - ipHeaderBytes[version];
  return Math.min(icmpHeaderBytes + packetBytes(content.about), maxBytes);
}
