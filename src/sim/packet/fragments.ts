import { type Packet, headerBytes, ipv6FragmentHeaderBytes, packetBytes } from "./packet.js";

/**
 * Fragments a packet, or a fragment, so that each part fits a link (RFC 791, section 3.2; RFC 8200, section 4.5).
 *
 * @param mtu bytes of the largest packet that fits, including the IP header; at least 68, or 1280 for IPv6.
 * @param number returns a new packet number for each part.
 * @returns the parts in order; only the packet itself if it fits.
 */
export function fragments(packet: Packet, mtu: number, number: () => number): readonly Packet[] {
  if (packetBytes(packet) <= mtu) return [packet];
  const header = packet.version === 4 ? headerBytes(packet) : ipv6FragmentHeaderBytes;
  const maxLength = (mtu - header) & ~7;
  const parts: Packet[] = [];
  for (let at = 0; at < packet.length; at += maxLength) {
    const length = Math.min(maxLength, packet.length - at);
    const moreFragments = packet.moreFragments || at + length < packet.length;
    parts.push({ ...packet, number: number(), offset: packet.offset + at, length, moreFragments });
  }
  return parts;
}
