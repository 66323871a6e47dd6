/** IPv4 headers (RFC 791). Headers are written without options. Options are skipped when a packet is read. */

import { internetChecksum } from "./checksum.js";

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

/**
 * Reads a packet. Bytes after its end are ignored, because links pad short packets. The header checksum is not checked,
 * because network devices may fill it in after the capture.
 * @returns the header and a view of the content; `undefined` if the packet is malformed or cut.
 */
export function readIpv4(packet: Uint8Array): (Ipv4Header & { readonly payload: Uint8Array }) | undefined {
  if (packet.length < headerBytes) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const headerLength = (view.getUint8(0) & 0x0f) * 4;
  const totalLength = view.getUint16(2);
  if (view.getUint8(0) >> 4 !== 4 || headerLength < headerBytes) return undefined;
  if (totalLength < headerLength || totalLength > packet.length) return undefined;
  const fragment = view.getUint16(6);
  return {
    source: packet.subarray(12, 16),
    destination: packet.subarray(16, 20),
    protocol: view.getUint8(9),
    ttl: view.getUint8(8),
    tos: view.getUint8(1),
    identification: view.getUint16(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    offset: (fragment & 0x1fff) * 8,
    payload: packet.subarray(headerLength, totalLength),
  };
}
