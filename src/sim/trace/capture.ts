import { Buffer } from "node:buffer";

import { BlockWriter, LINKTYPE_RAW, captureTime } from "../../wire/pcapng.js";
import { epochNs, nsPerMs } from "../time/event.js";
import { frameOf } from "./frame.js";
import type { TraceEntry } from "./entry.js";

/** Bytes of the longest packet that a capture holds whole. No packet is longer. */
const snapLength = 0x4_0000;

/** A capture file of packets: an interface for each direction of a link, and the fate of each packet as its comment. */
export function capture(entries: readonly TraceEntry[]): Buffer {
  const writer = new BlockWriter();
  writer.sectionHeader({ application: "datagram/sim" });
  const interfaces = new Map<string, number>();
  for (const { link } of entries) {
    if (interfaces.has(link)) continue;
    interfaces.set(link, interfaces.size);
    writer.interfaceDescription({ linkType: LINKTYPE_RAW, snapLength, name: link });
  }
  for (const { link, packet, sentMs, fate, duplicated, corrupted, reordered } of entries) {
    const data = frameOf(packet);
    const marks = Object.entries({ duplicated, corrupted, reordered }).flatMap(([mark, on]) =>
      on ? [mark] : [],
    );
    const time = captureTime(epochNs + BigInt(Math.round(sentMs * nsPerMs)));
    const start = writer.beginPacket(interfaces.get(link) ?? 0, time, data.length, data.length);
    writer.bytes.set(data, start);
    writer.endPacket({ comment: [fate, ...marks].join(", ") });
  }
  const { buffer, byteOffset, length } = writer.written;
  return Buffer.from(buffer, byteOffset, length);
}
