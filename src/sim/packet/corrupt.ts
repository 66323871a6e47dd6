import { Buffer } from "node:buffer";

import { type Packet, udpHeaderBytes } from "./packet.js";

/**
 * The packet with one bit of the payload flipped that it carries; itself, where it carries none.
 *
 * @param draw a uniformly random uint32, which says which bit.
 * @param passes whether the checksum does not show it.
 */
export function corrupt(packet: Packet, draw: number, passes: boolean): Packet {
  const { content, offset, length } = packet;
  if (content.protocol !== "udp") return packet;
  const from = Math.max(0, offset - udpHeaderBytes);
  const bits = (offset + length - udpHeaderBytes - from) * 8;
  if (bits <= 0) return packet;
  const payload = Buffer.from(content.payload);
  const bit = draw % bits;
  const at = from + (bit >> 3);
  payload[at] = (payload[at] as number) ^ (1 << (bit & 7));
  // A flip that was told before is told after one that is not.
  const intact = content.intact ?? (passes ? undefined : content.payload);
  return { ...packet, content: { ...content, payload, intact, sent: content.sent ?? content.payload } };
}

/** Bytes that a packet keeps alive in which a bit was flipped: of a fragment, those of the whole. */
export function copiedBytes({ content }: Packet): number {
  return content.protocol === "udp" && content.sent ? content.payload.length : 0;
}
