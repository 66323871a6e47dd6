import { Buffer } from "node:buffer";

import { icmpKind, tooBigKind } from "../core/driver/icmp.js";
import { formatLiteral } from "../core/ip.js";
import { internetChecksum, pseudoHeader } from "../wire/checksum.js";
import { icmpProtocol, icmpv6Protocol } from "../wire/icmp.js";
import { readIpv4 } from "../wire/ipv4.js";
import { type Ipv6Fragment, isExtension, readIpv6, skipExtensions } from "../wire/ipv6.js";
import { uint16 } from "../wire/numbers.js";
import { readUdp, udpProtocol } from "../wire/udp.js";
import type { CapturedDatagram, CapturedUnreachable, ReadStats } from "./captured-datagram.js";
import { Endpoints } from "./endpoints.js";
import type { LinkPacket } from "./link-packet.js";
import { dropCause } from "./drop-comment.js";
import { type IpPlace, findIp } from "./link-types.js";
import { type Joined, Reassembly } from "./reassembly.js";

/** Bytes of the longest IP packet: the header of IPv6 and 65,535 bytes of content. */
const maxIpBytes = 65_575;
/** Bytes of the header of an ICMP error, before the packet that it quotes. */
const icmpHeaderBytes = 8;
/** Types of errors that say that a datagram did not arrive: RFC 792 and RFC 4443. */
const errorTypes: Readonly<Record<4 | 6, readonly number[]>> = { 4: [3, 4, 11, 12], 6: [1, 2, 3, 4] };

/** An IP packet. Places are offsets in `bytes`. */
interface IpPacket {
  readonly version: 4 | 6;
  readonly bytes: Uint8Array;
  /** Where the packet starts. */
  readonly start: number;
  /** Where the captured bytes end. */
  readonly end: number;
  readonly sourceStart: number;
  readonly destinationStart: number;
  readonly protocol: number;
  readonly ttl: number;
  readonly tos: number;
  readonly fragment: Ipv6Fragment | undefined;
  readonly payloadStart: number;
  /** Where the payload ends, which is after `end` if the recorder cut it. */
  readonly payloadEnd: number;
}

type Counts = {
  -readonly [Name in keyof Omit<ReadStats, "lost" | "incomplete" | "skipped">]: ReadStats[Name];
} & { readonly skipped: { -readonly [Reason in keyof ReadStats["skipped"]]: number } };

/** Finds the datagrams in packets of links, and counts them. */
export class DatagramDecoder {
  readonly counts: Counts = {
    packets: 0,
    datagrams: 0,
    fragments: 0,
    unreachable: 0,
    skipped: { otherLink: 0, otherProtocol: 0, malformed: 0 },
    truncated: 0,
    probablySeveral: 0,
  };
  readonly #mtu: number;
  readonly #onUnreachable: ((error: CapturedUnreachable) => void) | undefined;
  readonly #endpoints = new Endpoints();
  readonly #reassembly = new Reassembly();

  constructor(mtu: number, onUnreachable: ((error: CapturedUnreachable) => void) | undefined) {
    this.#mtu = mtu;
    this.#onUnreachable = onUnreachable;
  }

  /** Datagrams that were never whole so far. */
  get incomplete(): number {
    return this.#reassembly.incomplete;
  }

  /** Returns the datagram of a packet, or `undefined` if it has none. */
  decode(packet: LinkPacket): CapturedDatagram | undefined {
    const { linkType, bytes, start, end, originalLength } = packet;
    this.counts.packets++;
    const place = findIp(linkType, bytes, start, end);
    if (typeof place === "string") {
      this.counts.skipped[place]++;
      return undefined;
    }
    const ip = readIp(bytes, place.start, end, start + originalLength);
    if (!ip) {
      this.counts.skipped.malformed++;
      return undefined;
    }
    if (ip.protocol === udpProtocol || (ip.fragment && isExtension(ip.protocol)))
      return this.#datagram(packet, place, ip);
    const isError = ip.protocol === (ip.version === 4 ? icmpProtocol : icmpv6Protocol);
    const error = isError && !ip.fragment ? this.#unreachable(packet, ip) : undefined;
    if (!error) {
      this.counts.skipped.otherProtocol++;
      return undefined;
    }
    this.counts.unreachable++;
    this.#onUnreachable?.(error);
    return undefined;
  }

  #datagram(packet: LinkPacket, { direction, vlan }: IpPlace, ip: IpPacket): CapturedDatagram | undefined {
    const { counts } = this;
    let { bytes, payloadStart, end, payloadEnd } = ip;
    if (ip.fragment) {
      const joined = this.#join(ip, ip.fragment, vlan, packet.timestamp);
      if (!joined) {
        counts.fragments++;
        return undefined;
      }
      const { protocol, content } = joined;
      const upper = skipExtensions(content, protocol, 0, content.length);
      if (upper?.protocol !== udpProtocol) {
        counts.skipped[upper ? "otherProtocol" : "malformed"]++;
        return undefined;
      }
      [bytes, payloadStart, end, payloadEnd] = [content, upper.at, content.length, content.length];
    }
    const udp = readUdp(bytes, payloadStart, end, payloadEnd);
    if (!udp) {
      counts.skipped.malformed++;
      return undefined;
    }
    const size = udp.payloadEnd - udp.payloadStart;
    // A link may pad a packet, and the recorder may cut it.
    const captured = Math.min(end - udp.payloadStart, size);
    const truncated = captured < size;
    const isOversize = !ip.fragment && ip.payloadEnd - ip.start > this.#mtu;
    const probablySeveral = isOversize && (truncated || !hasRightChecksum(ip));
    counts.datagrams++;
    if (truncated) counts.truncated++;
    if (probablySeveral) counts.probablySeveral++;
    const addressBytes = ip.version === 4 ? 4 : 16;
    return {
      data: Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + udp.payloadStart, captured),
      size,
      truncated,
      source: this.#endpoints.of(ip.bytes, ip.sourceStart, addressBytes, udp.sourcePort),
      destination: this.#endpoints.of(ip.bytes, ip.destinationStart, addressBytes, udp.destinationPort),
      timestamp: packet.timestamp,
      direction: packet.direction ?? direction,
      ttl: ip.ttl,
      tos: ip.tos,
      interface: packet.interface,
      lostBefore: packet.lostBefore,
      comment: packet.comment,
      dropped: packet.comment === undefined ? undefined : dropCause(packet.comment),
      packet: counts.packets,
      probablySeveral,
    };
  }

  /** Returns the whole content if a fragment completes it. */
  #join(
    { version, bytes, end, sourceStart, protocol, payloadStart, payloadEnd }: IpPacket,
    fragment: Ipv6Fragment,
    vlan: number,
    timestamp: bigint | undefined,
  ): Joined | undefined {
    return this.#reassembly.add({
      ...fragment,
      version,
      protocol,
      vlan,
      // The destination follows the source.
      addresses: bytes.subarray(sourceStart, sourceStart + (version === 4 ? 8 : 32)),
      length: payloadEnd - payloadStart,
      payload: bytes.subarray(payloadStart, payloadEnd),
      isCut: payloadEnd > end,
      timestamp,
    });
  }

  /** Reads an ICMP error about a UDP datagram. Returns `undefined` if it is another message. */
  #unreachable(packet: LinkPacket, ip: IpPacket): CapturedUnreachable | undefined {
    const { version, bytes, payloadStart } = ip;
    const end = Math.min(ip.end, ip.payloadEnd);
    if (payloadStart + icmpHeaderBytes > end) return undefined;
    const [type = 0, code = 0] = bytes.subarray(payloadStart, payloadStart + 2);
    if (!errorTypes[version].includes(type)) return undefined;
    // An error quotes the start of the packet, which is read as if the recorder had cut it.
    const quoted = payloadStart + icmpHeaderBytes;
    const about = readIp(bytes, quoted, end, quoted + maxIpBytes);
    if (about?.version !== version || about.protocol !== udpProtocol) return undefined;
    if (about.payloadStart + 4 > end) return undefined;
    // A later fragment has no ports.
    if (about.fragment && about.fragment.offset > 0) return undefined;
    const addressBytes = version === 4 ? 4 : 16;
    const [sourcePort, destinationPort] = [0, 2].map((at) => uint16(bytes, about.payloadStart + at));
    return {
      timestamp: packet.timestamp,
      from: formatLiteral(bytes.subarray(ip.sourceStart, ip.sourceStart + addressBytes)),
      source: this.#endpoints.of(bytes, about.sourceStart, addressBytes, sourcePort ?? 0),
      destination: this.#endpoints.of(bytes, about.destinationStart, addressBytes, destinationPort ?? 0),
      type,
      code,
      mtu: nextMtu(version, type, code, bytes, payloadStart + 4),
      packet: this.counts.packets,
    };
  }
}

/** The MTU of an ICMP error about a packet that is too big; routers before RFC 1191 write 0. @param at where the header has it. */
function nextMtu(
  version: 4 | 6,
  type: number,
  code: number,
  bytes: Uint8Array,
  at: number,
): number | undefined {
  const isTooBig = icmpKind(version, type, code) === tooBigKind(version);
  const low = uint16(bytes, at + 2);
  // ICMP has 16 bits for it, and ICMPv6 32.
  const mtu = version === 4 ? low : uint16(bytes, at) * 65_536 + low;
  return isTooBig && mtu > 0 ? mtu : undefined;
}

/**
 * Reads an IP packet, whose captured bytes are those from `start` to `end`. Each version writes out the fields: with an object
 * spread, a file takes more than ten times as long (`npm run bench:capture`).
 */
function readIp(bytes: Uint8Array, start: number, end: number, wholeEnd: number): IpPacket | undefined {
  return (bytes[start] ?? 0) >> 4 === 6
    ? packet6(bytes, start, end, wholeEnd)
    : packet4(bytes, start, end, wholeEnd);
}

function packet4(bytes: Uint8Array, start: number, end: number, wholeEnd: number): IpPacket | undefined {
  const read = readIpv4(bytes, start, end, wholeEnd);
  if (!read) return undefined;
  const { sourceStart, destinationStart, protocol, ttl, tos, payloadStart, payloadEnd } = read;
  const { identification, moreFragments, offset } = read;
  return {
    version: 4,
    bytes,
    start,
    end,
    sourceStart,
    destinationStart,
    protocol,
    ttl,
    tos,
    fragment: moreFragments || offset > 0 ? { identification, moreFragments, offset } : undefined,
    payloadStart,
    payloadEnd,
  };
}

function packet6(bytes: Uint8Array, start: number, end: number, wholeEnd: number): IpPacket | undefined {
  const read = readIpv6(bytes, start, end, wholeEnd);
  if (!read) return undefined;
  const { sourceStart, destinationStart, protocol, payloadStart, payloadEnd, fragment } = read;
  // A packet with a fragment header that is not divided is a whole packet (RFC 6946).
  const isWhole = !fragment || (!fragment.moreFragments && fragment.offset === 0);
  return {
    version: 6,
    bytes,
    start,
    end,
    sourceStart,
    destinationStart,
    protocol,
    ttl: read.hopLimit,
    tos: read.trafficClass,
    fragment: isWhole ? undefined : fragment,
    payloadStart,
    payloadEnd,
  };
}

/** Whether a whole datagram has a UDP checksum and it is right. */
function hasRightChecksum({ version, bytes, sourceStart, payloadStart, payloadEnd }: IpPacket): boolean {
  const length = version === 4 ? 4 : 16;
  const destinationStart = sourceStart + length;
  const pseudo = pseudoHeader(
    bytes.subarray(sourceStart, destinationStart),
    bytes.subarray(destinationStart, destinationStart + length),
    udpProtocol,
    payloadEnd - payloadStart,
  );
  const hasChecksum = uint16(bytes, payloadStart + 6) !== 0;
  return hasChecksum && internetChecksum(pseudo, bytes.subarray(payloadStart, payloadEnd)) === 0;
}
