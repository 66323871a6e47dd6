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
 * The 8 bytes of a header. The checksum covers the datagram and its two addresses, of 4 or 16 bytes each. A checksum of 0 is
 * written as 0xffff, because 0 means that there is no checksum.
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
 * Reads a whole datagram. Bytes after its end are ignored. The checksum is not checked, because network devices may fill it
 * in after the capture.
 * @returns the header and a view of the payload; `undefined` if the datagram is malformed or cut.
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
