/** The Internet checksum of IPv4, UDP, ICMP and ICMPv6. */

/**
 * The Internet checksum (RFC 1071) of pieces that follow one another without a gap, whatever their lengths.
 * @returns 0 to 0xffff. Over bytes that hold their own checksum it is 0 where that is right.
 */
export function internetChecksum(...pieces: readonly Uint8Array[]): number {
  let sum = 0;
  let high = true;
  for (const piece of pieces) {
    let at = 0;
    if (!high && piece.length > 0) {
      sum += piece[at++] ?? 0;
      high = true;
    }
    for (; at + 1 < piece.length; at += 2) sum += ((piece[at] ?? 0) << 8) | (piece[at + 1] ?? 0);
    if (at < piece.length) {
      sum += (piece[at] ?? 0) << 8;
      high = false;
    }
  }
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
  return 0xffff - sum;
}

/**
 * What the checksums of UDP and ICMPv6 cover beside their own bytes: the pseudo header of RFC 768 for addresses of 4 bytes,
 * of RFC 8200 section 8.1 for those of 16.
 * @param length bytes of what the IP packet carries, its UDP or ICMPv6 header counted.
 */
export function pseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): Uint8Array {
  const addresses = source.length + destination.length;
  const bytes = new Uint8Array(addresses + (source.length === 4 ? 4 : 8));
  bytes.set(source);
  bytes.set(destination, source.length);
  const view = new DataView(bytes.buffer, addresses);
  if (source.length === 4) {
    view.setUint16(0, protocol);
    view.setUint16(2, length);
  } else {
    view.setUint32(0, length);
    view.setUint32(4, protocol);
  }
  return bytes;
}
