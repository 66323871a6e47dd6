/**
 * The Internet checksum of IPv4, UDP, ICMP and ICMPv6.
 *
 * This folder writes and reads bytes with pure functions: one file for each kind of header, and `pcapng.ts` for capture
 * files. It imports nothing from the other folders.
 */

/**
 * The Internet checksum (RFC 1071) of several pieces as one sequence of bytes. The pieces may have any lengths.
 * @returns 0 to 0xffff. Over bytes that include their own checksum, the result is 0 if that checksum is right.
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

const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * The sum of aligned 16-bit words that `internetChecksum` inverts, for many bytes: it reads 32 bits at a time.
 * @param words the memory as words, of which at most 16,384 are added.
 * @returns 0 to 0xffff.
 */
export function internetSum(words: Int32Array, from: number, to: number): number {
  let sum = 0;
  // RFC 1071, section 2 (B): the sum does not depend on the order of the bytes in a word. Section 2 (C): wider words have the same
  // sum after their halves are added. 16,384 words of 32 bits stay below 2^53, so no carry is lost.
  for (let at = from; at < to; at++) sum += (words[at] as number) >>> 0;
  const low = sum >>> 0;
  const folded = foldedSum((low & 0xffff) + (low >>> 16) + (sum - low) / 0x1_0000_0000);
  return isLittleEndian ? ((folded & 0xff) << 8) | (folded >> 8) : folded;
}

/** A sum of 16-bit words, with its carries added to it. @param sum at most 2^31 - 1. @returns 0 to 0xffff. */
export function foldedSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/**
 * The pseudo header, which the checksums of UDP and ICMPv6 also cover: by RFC 768 for addresses of 4 bytes, by RFC 8200,
 * section 8.1, for addresses of 16 bytes.
 * @param length bytes of the content of the IP packet, including the UDP or ICMPv6 header.
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
