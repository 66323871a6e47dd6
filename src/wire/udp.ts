/** UDP headers (RFC 768). */

import { internetChecksum, pseudoHeader } from "./checksum.js";

/** The protocol number of UDP. */
export const udpProtocol = 17;

export interface UdpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

const headerBytes = 8;

/**
 * The 8 bytes of a header, with the checksum of a datagram between two addresses, of 4 bytes each or 16. A checksum that
 * comes to 0 is 0xffff, for 0 says that there is none.
 * @param payload at most 65,527 bytes.
 */
export function udpHeader(
  header: UdpHeader,
  source: Uint8Array,
  destination: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = new DataView(bytes.buffer);
  const length = headerBytes + payload.length;
  view.setUint16(0, header.sourcePort);
  view.setUint16(2, header.destinationPort);
  view.setUint16(4, length);
  const pseudo = pseudoHeader(source, destination, udpProtocol, length);
  view.setUint16(6, internetChecksum(pseudo, bytes, payload) || 0xffff);
  return bytes;
}

/**
 * Takes a whole datagram apart. Bytes behind its end are ignored. Its checksum is not looked at: network devices fill it in
 * behind where captures are made.
 * @returns its header and a view of its payload; `undefined` where it is malformed or cut.
 */
export function readUdp(datagram: Uint8Array): (UdpHeader & { readonly payload: Uint8Array }) | undefined {
  if (datagram.length < headerBytes) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const length = view.getUint16(4);
  if (length < headerBytes || length > datagram.length) return undefined;
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    payload: datagram.subarray(headerBytes, length),
  };
}
