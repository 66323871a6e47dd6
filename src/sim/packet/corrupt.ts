import { Buffer } from "node:buffer";

import { type Packet, udpHeaderBytes } from "./packet.js";

/**
 * The packet with one flipped bit in its part of the payload; the same packet if it has no payload.
 *
 * @param draw a uniformly random uint32, which chooses the bit.
 * @param passes whether the checksum does not reveal the flip.
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
  // An earlier flip that the checksum reveals is still revealed after one that passes.
  const intact = content.intact ?? (passes ? undefined : content.payload);
  return { ...packet, content: { ...content, payload, intact, sent: content.sent ?? content.payload } };
}

/** Bytes of the copy of the payload that a flipped bit made: also for a fragment, those of the whole payload. */
export function copiedBytes({ content }: Packet): number {
  return content.protocol === "udp" && content.sent ? content.payload.length : 0;
}
