/** IPv6 headers (RFC 8200), with the extension header of fragments. The flow label is written as 0 and not read. */

export interface Ipv6Header {
  /** 16 bytes. */
  readonly source: Uint8Array;
  /** 16 bytes. */
  readonly destination: Uint8Array;
  /** The protocol after all extension headers: 17 is UDP, 58 is ICMPv6. */
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
/** Extension headers with a length field: hop-by-hop options, routing, destination options. */
const skipped: readonly number[] = [0, 43, 60];

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

/**
 * Reads a packet. Bytes after its end are ignored, because links pad short packets.
 * @returns the header and a view of the content after the extension headers; `undefined` if the packet is malformed, cut or a
 * jumbogram (RFC 2675).
 */
export function readIpv6(packet: Uint8Array): (Ipv6Header & { readonly payload: Uint8Array }) | undefined {
  if (packet.length < headerBytes) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const end = headerBytes + view.getUint16(4);
  if (view.getUint8(0) >> 4 !== 6 || end > packet.length) return undefined;
  let protocol = view.getUint8(6);
  let at = headerBytes;
  let fragment: Ipv6Fragment | undefined;
  // In a fragment that is not the first, no header follows the fragment header, only bytes from the middle of the content.
  while (!fragment || fragment.offset === 0) {
    const isFragment = protocol === fragmentProtocol;
    if (!isFragment && !skipped.includes(protocol)) break;
    if (at + 8 > end || (isFragment && fragment)) return undefined;
    protocol = view.getUint8(at);
    if (isFragment) {
      const field = view.getUint16(at + 2);
      fragment = {
        identification: view.getUint32(at + 4),
        moreFragments: (field & 1) !== 0,
        offset: field & 0xfff8,
      };
      at += 8;
    } else {
      at += 8 + view.getUint8(at + 1) * 8;
      if (at > end) return undefined;
    }
  }
  return {
    source: packet.subarray(8, 24),
    destination: packet.subarray(24, 40),
    protocol,
    hopLimit: view.getUint8(7),
    trafficClass: (view.getUint16(0) >> 4) & 0xff,
    fragment,
    payload: packet.subarray(at, end),
  };
}
