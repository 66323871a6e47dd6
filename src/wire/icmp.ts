/** ICMP and ICMPv6 errors (RFC 792, RFC 4443). */

import { internetChecksum, pseudoHeader } from "./checksum.js";

/** The protocol number of ICMP. */
export const icmpProtocol = 1;
/** The protocol number of ICMPv6. */
export const icmpv6Protocol = 58;

export interface IcmpErrorHeader {
  readonly type: number;
  readonly code: number;
  /** MTU of the next link in bytes, for "fragmentation needed" (RFC 1191 section 4, 16 bits) and "packet too big"; otherwise 0. */
  readonly mtu: number;
}

/** The bytes of an ICMP error with its checksum. It quotes the start of the packet that it is about. */
export function icmpError(header: IcmpErrorHeader, quoted: Uint8Array): Uint8Array {
  return withChecksum(withoutChecksum(header, quoted));
}

/** The bytes of an ICMPv6 error with its checksum, which covers the two addresses of 16 bytes. */
export function icmpv6Error(
  header: IcmpErrorHeader,
  source: Uint8Array,
  destination: Uint8Array,
  quoted: Uint8Array,
): Uint8Array {
  const bytes = withoutChecksum(header, quoted);
  return withChecksum(bytes, pseudoHeader(source, destination, icmpv6Protocol, bytes.length));
}

function withoutChecksum({ type, code, mtu }: IcmpErrorHeader, quoted: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + quoted.length);
  bytes[0] = type;
  bytes[1] = code;
  // ICMP has 16 bits for the MTU, after 16 bits of 0. ICMPv6 has 32 bits.
  new DataView(bytes.buffer).setUint32(4, mtu);
  bytes.set(quoted, 8);
  return bytes;
}

function withChecksum(bytes: Uint8Array<ArrayBuffer>, ...before: readonly Uint8Array[]): Uint8Array {
  new DataView(bytes.buffer).setUint16(2, internetChecksum(...before, bytes));
  return bytes;
}
