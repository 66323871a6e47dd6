import { Buffer } from "node:buffer";

import { dropComment } from "../../capture/drop-comment.js";
import { BlockWriter, LINKTYPE_RAW, captureTime } from "../../wire/pcapng.js";
import { epochNs, nsPerMs } from "../time/event.js";
import { frameOf } from "./frame.js";
import type { Fate, TraceEntry } from "./entry.js";

/** Bytes of the longest packet that a capture holds whole. No packet is longer. */
const snapLength = 0x4_0000;

/** The fates of packets that were not dropped. */
const passed: ReadonlySet<Fate> = new Set<Fate>([
  ...(["travelling", "delivered", "forwarded", "held", "noted"] as const),
  ...(["waits for fragments", "reassembled"] as const),
]);

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
  for (const entry of entries) {
    const { link, packet, sentMs } = entry;
    const data = frameOf(packet);
    const time = captureTime(epochNs + BigInt(Math.round(sentMs * nsPerMs)));
    const start = writer.beginPacket(interfaces.get(link) ?? 0, time, data.length, data.length);
    writer.bytes.set(data, start);
    writer.endPacket({ comment: commentOf(entry) });
  }
  const { buffer, byteOffset, length } = writer.written;
  return Buffer.from(buffer, byteOffset, length);
}

/** The comment of a packet: its fate, and what the link did to it. */
function commentOf({ fate, duplicated, corrupted, reordered }: TraceEntry): string {
  const marks = Object.entries({ duplicated, corrupted, reordered }).filter(([, on]) => on);
  const text = [fate.replace(/^dropped /, ""), ...marks.map(([mark]) => mark)].join(", ");
  return passed.has(fate) ? text : dropComment(text);
}
