import type { Buffer } from "node:buffer";

/** Bytes of a UDP header (RFC 768). */
export const udpHeaderBytes = 8;
/** Bytes of an ICMP error before what it quotes (RFC 792, RFC 4443). */
const icmpHeaderBytes = 8;
/** Bytes of an IP header, without options or extensions (RFC 791, RFC 8200). */
export const ipHeaderBytes = { 4: 20, 6: 40 } as const;
/** Bytes of an IPv6 header with the fragment header behind it (RFC 8200, section 4.5). */
export const ipv6FragmentHeaderBytes = 48;

/** A UDP datagram (RFC 768) as it left its socket. */
export interface UdpDatagram {
  readonly protocol: "udp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
  /** What the checksum was made of, where it tells of a bit of the payload that was flipped since. */
  readonly intact: Buffer | undefined;
  /** The payload as it left its socket, where a bit of it was flipped since, whether the checksum tells or not. */
  readonly sent?: Buffer;
}

/** An ICMP or ICMPv6 error (RFC 792, RFC 4443). */
export interface IcmpError {
  readonly protocol: "icmp";
  readonly type: number;
  readonly code: number;
  /** Bytes of the next link, of "fragmentation needed" and "packet too big"; else 0. */
  readonly mtu: number;
  /** The packet that it is about. */
  readonly about: Packet;
}

/** An IP packet, or a fragment of one, as it is on one link. It never changes: routers and NATs send copies on. */
export interface Packet {
  /** Counts from 1 in the order in which packets were made. Fragments have numbers of their own, a duplicate has not. */
  readonly number: number;
  readonly version: 4 | 6;
  /** Literals as `Address` spells them, IPv4 also where the socket was AF_INET6. */
  readonly source: string;
  readonly destination: string;
  /** TTL or hop limit, as it is on this link. */
  readonly ttl: number;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number;
  /** Identification of what fragments belong to: 16 bits for IPv4, 32 for IPv6. */
  readonly identification: number;
  /** Routers may not take it apart; always so for IPv6. */
  readonly dontFragment: boolean;
  /** What it carries: of a fragment, the whole of which it is a part. */
  readonly content: UdpDatagram | IcmpError;
  /** Bytes of the content, header and all, before this fragment; a multiple of 8. */
  readonly offset: number;
  /** Bytes of the content, header and all, in this packet. */
  readonly length: number;
  /** Whether fragments with a higher offset follow. */
  readonly moreFragments: boolean;
}

/** Bytes of the IP header: 20 or 40, and 8 more where IPv6 has a fragment header. */
export function headerBytes(packet: Packet): number {
  const { version } = packet;
  return version === 6 && isFragment(packet) ? ipv6FragmentHeaderBytes : ipHeaderBytes[version];
}

/** Bytes on the link, IP header and all. */
export function packetBytes(packet: Packet): number {
  return headerBytes(packet) + packet.length;
}

export function isFragment(packet: Packet): boolean {
  return packet.moreFragments || packet.offset > 0;
}

/** Bytes that the content has, UDP or ICMP header and all. */
export function contentBytes(version: 4 | 6, content: UdpDatagram | IcmpError): number {
  if (content.protocol === "udp") return udpHeaderBytes + content.payload.length;
  // RFC 1812, section 4.3.2.3; RFC 4443, section 3: as much of the packet as keeps the error within what every link carries.
  const maxBytes = (version === 4 ? 576 : 1280) - ipHeaderBytes[version];
  return Math.min(icmpHeaderBytes + packetBytes(content.about), maxBytes);
}
