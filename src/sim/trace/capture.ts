import { Buffer } from "node:buffer";

import { LINKTYPE_RAW, enhancedPacket, interfaceDescription, sectionHeader } from "../../wire/pcapng.js";
import { epochNs, nsPerMs } from "../time/event.js";
import { frameOf } from "./frame.js";
import type { TraceEntry } from "./entry.js";

/** Bytes of the longest packet that a capture holds whole. No packet is longer. */
const snapLength = 0x4_0000;

/** A capture file of packets: an interface for each direction of a link, and the fate of each packet as its comment. */
export function capture(entries: readonly TraceEntry[]): Buffer {
  const interfaces = new Map<string, number>();
  const descriptions: Uint8Array[] = [];
  const packets: Uint8Array[] = [];
  for (const { link, packet, sentMs, fate, duplicated, corrupted, reordered } of entries) {
    let interfaceId = interfaces.get(link);
    if (interfaceId === undefined) {
      interfaceId = interfaces.size;
      interfaces.set(link, interfaceId);
      descriptions.push(interfaceDescription({ linkType: LINKTYPE_RAW, snapLength, name: link }));
    }
    const data = frameOf(packet);
    const marks = Object.entries({ duplicated, corrupted, reordered }).flatMap(([mark, on]) =>
      on ? [mark] : [],
    );
    packets.push(
      enhancedPacket({
        interfaceId,
        timestamp: epochNs + BigInt(Math.round(sentMs * nsPerMs)),
        originalLength: data.length,
        data,
        comment: [fate, ...marks].join(", "),
      }),
    );
  }
  return Buffer.concat([sectionHeader("datagram/sim"), ...descriptions, ...packets]);
}
