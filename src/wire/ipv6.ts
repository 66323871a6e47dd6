/** IPv6 headers (RFC 8200), with the extension header of fragments. The flow label is written as 0 and not read. */

import { uint16, uint32 } from "./numbers.js";

export interface Ipv6Header {
  /** 16 bytes. */
  readonly source: Uint8Array;
  /** 16 bytes. */
  readonly destination: Uint8Array;
  /**
   * The protocol after all extension headers: 17 is UDP, 58 is ICMPv6. In a fragment, the protocol or the extension header after
   * the fragment header.
   */
  readonly protocol: number;
  readonly hopLimit: number;
  /** The whole byte: DSCP and ECN. */
  readonly trafficClass: number;
  /** The fragment header (section 4.5), if the packet is a fragment. */
  readonly fragment: Ipv6Fragment | undefined;
}

export interface Ipv6Fragment {
  /** 32 bits. */
  readonly identification: number;
  /** Whether fragments with a higher offset follow. */
  readonly moreFragments: boolean;
  /** Bytes of the whole content before this fragment: a multiple of 8, at most 65,528. */
  readonly offset: number;
}

const headerBytes = 40;
const fragmentProtocol = 44;
/** The authentication header (RFC 4302), whose length field counts words of 4 bytes. Other extension headers count 8 bytes. */
const authentication = 51;
/** Extension headers that are passed over: hop-by-hop options, routing, destination options, authentication. */
const skipped: readonly number[] = [0, 43, 60, authentication];

/**
 * The 40 bytes of a header, and the 8 bytes of the fragment header, if there is one.
 * @param length bytes of the content, at most 65,535 including the fragment header.
 */
export function ipv6Header(header: Ipv6Header, length: number): Uint8Array {
  const { fragment } = header;
  const extension = fragment ? 8 : 0;
  const bytes = new Uint8Array(headerBytes + extension);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (6 << 28) | (header.trafficClass << 20));
  view.setUint16(4, extension + length);
  bytes[6] = fragment ? fragmentProtocol : header.protocol;
  bytes[7] = header.hopLimit;
  bytes.set(header.source, 8);
  bytes.set(header.destination, 24);
  if (fragment) {
    bytes[40] = header.protocol;
    view.setUint16(42, fragment.offset | (fragment.moreFragments ? 1 : 0));
    view.setUint32(44, fragment.identification);
  }
  return bytes;
}

/** A packet that was read. Places are offsets in the bytes that it was read from. */
export interface Ipv6Packet extends Omit<Ipv6Header, "source" | "destination"> {
  /** Where the 16 bytes of the source are. */
  readonly sourceStart: number;
  /** Where the 16 bytes of the destination are. */
  readonly destinationStart: number;
  readonly payloadStart: number;
  /** Where the payload ends, which is after the last byte that is there if the packet was cut. */
  readonly payloadEnd: number;
}

/**
 * Reads a packet. Its payload is what follows the extension headers, or the fragment header of a fragment: extension headers after that
 * one are a part of the content that was divided (RFC 8200, section 4.5). Bytes after its end are ignored, because links pad short
 * packets.
 * @param end where the bytes end that are there. The headers must be there.
 * @param wholeEnd where the bytes of the packet ended on the link.
 * @returns `undefined` if the packet is malformed, longer than it was on the link, or a jumbogram (RFC 2675).
 */
export function readIpv6(
  bytes: Uint8Array,
  start: number,
  end: number,
  wholeEnd: number,
): Ipv6Packet | undefined {
  if (start + headerBytes > end) return undefined;
  const payloadEnd = start + headerBytes + uint16(bytes, start + 4);
  if ((bytes[start] ?? 0) >> 4 !== 6 || payloadEnd > wholeEnd) return undefined;
  const headersEnd = Math.min(end, payloadEnd);
  let protocol = bytes[start + 6] ?? 0;
  let at = start + headerBytes;
  let fragment: Ipv6Fragment | undefined;
  for (;;) {
    const upper = skipExtensions(bytes, protocol, at, headersEnd);
    if (!upper) return undefined;
    ({ protocol, at } = upper);
    if (protocol !== fragmentProtocol) break;
    if (at + 8 > headersEnd || fragment) return undefined;
    const field = uint16(bytes, at + 2);
    fragment = {
      identification: uint32(bytes, at + 4),
      moreFragments: (field & 1) !== 0,
      offset: field & 0xfff8,
    };
    protocol = bytes[at] ?? 0;
    at += 8;
    // A packet that is not divided is a whole packet (RFC 6946).
    if (fragment.moreFragments || fragment.offset > 0) break;
  }
  return {
    sourceStart: start + 8,
    destinationStart: start + 24,
    protocol,
    hopLimit: bytes[start + 7] ?? 0,
    trafficClass: (uint16(bytes, start) >> 4) & 0xff,
    fragment,
    payloadStart: at,
    payloadEnd,
  };
}

/** Whether a protocol is that of an extension header which is passed over. */
export function isExtension(protocol: number): boolean {
  return skipped.includes(protocol);
}

/**
 * Passes over extension headers.
 *
 * @param protocol of the first header, which starts at `at`.
 * @param end where the bytes end.
 * @returns the protocol after them, and where it starts; `undefined` if a header is not whole.
 */
export function skipExtensions(
  bytes: Uint8Array,
  protocol: number,
  at: number,
  end: number,
): { protocol: number; at: number } | undefined {
  while (isExtension(protocol)) {
    if (at + 8 > end) return undefined;
    const next = bytes[at] ?? 0;
    const length = bytes[at + 1] ?? 0;
    at += protocol === authentication ? 8 + length * 4 : 8 + length * 8;
    if (at > end) return undefined;
    protocol = next;
  }
  return { protocol, at };
}
