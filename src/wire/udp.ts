/** UDP headers (RFC 768). */

import { internetChecksum, pseudoHeader } from "./checksum.js";
import { uint16 } from "./numbers.js";

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

/** A datagram that was read. Places are offsets in the bytes that it was read from. */
export interface UdpDatagram extends UdpHeader {
  readonly payloadStart: number;
  /** Where the payload ends, which is after the last byte that is there if the datagram was cut. */
  readonly payloadEnd: number;
}

/**
 * Reads a datagram. Bytes after its end are ignored. The checksum is not checked, because network devices may fill it in after
 * the capture.
 * @param end where the bytes end that are there. The header must be there.
 * @param wholeEnd where the content of the IP packet ended on the link.
 * @returns `undefined` if the datagram is malformed, or longer than the IP packet.
 */
export function readUdp(
  bytes: Uint8Array,
  start: number,
  end: number,
  wholeEnd: number,
): UdpDatagram | undefined {
  const payloadStart = start + headerBytes;
  const payloadEnd = start + uint16(bytes, start + 4);
  if (payloadStart > end || payloadEnd < payloadStart || payloadEnd > wholeEnd) return undefined;
  return {
    sourcePort: uint16(bytes, start),
    destinationPort: uint16(bytes, start + 2),
    payloadStart,
    payloadEnd,
  };
}
