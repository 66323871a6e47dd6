import { icmpKind } from "../../core/driver/icmp.js";
import { type Packet, isFragment, packetBytes } from "../packet/packet.js";
import type { TraceEntry } from "./entry.js";

/** One line for an entry: time, link, packet and fate. */
export function formatEntry(entry: TraceEntry): string {
  const { packet, link, sentMs, arrivedMs, fate } = entry;
  const marks = (["duplicated", "corrupted", "reordered", "held"] as const).filter((mark) => entry[mark]);
  const travelled = arrivedMs === undefined ? "" : ` after ${milliseconds(arrivedMs - sentMs)}`;
  return [
    `${milliseconds(sentMs).padStart(14)}  ${link}  ${formatPacket(packet)}: ${fate}${travelled}`,
    ...marks,
  ].join(", ");
}

/** Such as `#12 10.0.0.1:5000 > 10.0.0.2:9000 UDP 4 bytes`. */
function formatPacket(packet: Packet): string {
  const { content, number, offset, length, source, destination } = packet;
  const part = isFragment(packet) ? `, fragment of ${length} at ${offset}` : "";
  if (content.protocol === "icmp") {
    const kind = icmpKind(packet.version, content.type, content.code);
    return `#${number} ${source} > ${destination} ICMP ${kind} about #${content.about.number}, ${packetBytes(packet)} bytes`;
  }
  const [from, to] = [at(source, content.sourcePort), at(destination, content.destinationPort)];
  return `#${number} ${from} > ${to} UDP ${content.payload.length} bytes${part}`;
}

function at(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function milliseconds(ms: number): string {
  return `${Number(ms.toFixed(6))} ms`;
}
