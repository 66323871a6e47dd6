/** IPv4 headers (RFC 791). Headers are written without options. Options are skipped when a packet is read. */

import { internetChecksum } from "./checksum.js";
import { uint16 } from "./numbers.js";

export interface Ipv4Header {
  /** 4 bytes. */
  readonly source: Uint8Array;
  /** 4 bytes. */
  readonly destination: Uint8Array;
  /** The protocol of the content: 1 is ICMP, 17 is UDP. */
  readonly protocol: number;
  readonly ttl: number;
  /** The whole byte: DSCP and ECN. */
  readonly tos: number;
  /** 16 bits. */
  readonly identification: number;
  readonly dontFragment: boolean;
  /** Whether fragments with a higher offset follow. */
  readonly moreFragments: boolean;
  /** Bytes of the whole content before this fragment: a multiple of 8, at most 65,528. */
  readonly offset: number;
}

const headerBytes = 20;

/**
 * The 20 bytes of a header, with its checksum.
 * @param length bytes of the content, at most 65,515.
 */
export function ipv4Header(header: Ipv4Header, length: number): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x45;
  bytes[1] = header.tos;
  view.setUint16(2, headerBytes + length);
  view.setUint16(4, header.identification);
  const flags = (header.dontFragment ? 0x4000 : 0) | (header.moreFragments ? 0x2000 : 0);
  view.setUint16(6, flags | (header.offset >> 3));
  bytes[8] = header.ttl;
  bytes[9] = header.protocol;
  bytes.set(header.source, 12);
  bytes.set(header.destination, 16);
  view.setUint16(10, internetChecksum(bytes));
  return bytes;
}

/** A packet that was read. Places are offsets in the bytes that it was read from. */
export interface Ipv4Packet extends Omit<Ipv4Header, "source" | "destination"> {
  /** Where the 4 bytes of the source are. */
  readonly sourceStart: number;
  /** Where the 4 bytes of the destination are. */
  readonly destinationStart: number;
  readonly payloadStart: number;
  /** Where the payload ends, which is after the last byte that is there if the packet was cut. */
  readonly payloadEnd: number;
}

/**
 * Reads a packet. Bytes after its end are ignored, because links pad short packets. The header checksum is not checked,
 * because network devices may fill it in after the capture.
 * @param end where the bytes end that are there. The header must be there.
 * @param wholeEnd where the bytes of the packet ended on the link.
 * @returns `undefined` if the packet is malformed, or longer than it was on the link.
 */
export function readIpv4(
  bytes: Uint8Array,
  start: number,
  end: number,
  wholeEnd: number,
): Ipv4Packet | undefined {
  if (start + headerBytes > end) return undefined;
  const first = bytes[start] ?? 0;
  const payloadStart = start + (first & 0x0f) * 4;
  const payloadEnd = start + uint16(bytes, start + 2);
  if (first >> 4 !== 4 || payloadStart < start + headerBytes || payloadStart > end) return undefined;
  if (payloadEnd < payloadStart || payloadEnd > wholeEnd) return undefined;
  const fragment = uint16(bytes, start + 6);
  return {
    sourceStart: start + 12,
    destinationStart: start + 16,
    protocol: bytes[start + 9] ?? 0,
    ttl: bytes[start + 8] ?? 0,
    tos: bytes[start + 1] ?? 0,
    identification: uint16(bytes, start + 4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    offset: (fragment & 0x1fff) * 8,
    payloadStart,
    payloadEnd,
  };
}
