import { icmpError, icmpProtocol } from "../../src/wire/icmp.js";
import { ipv4Header } from "../../src/wire/ipv4.js";
import { BlockWriter, LINKTYPE_RAW, captureTime } from "../../src/wire/pcapng.js";
import { udpHeader, udpProtocol } from "../../src/wire/udp.js";

/** The time of the first datagram of `capture`, in milliseconds since 1970. */
export const startMs = 1_790_000_000_000;

/**
 * A capture file of datagrams from 10.0.0.7:5000 to 10.0.0.1:9000: "datagram 0" and so on.
 *
 * @param dropCount packets that are noted as lost before each of them.
 */
export function capture(
  datagrams: number,
  { intervalMs = 100, dropCount }: { readonly intervalMs?: number; readonly dropCount?: number } = {},
): Uint8Array {
  const writer = new BlockWriter();
  writer.sectionHeader({ application: "test" });
  writer.interfaceDescription({ linkType: LINKTYPE_RAW, snapLength: 0, name: "test" });
  const [source, destination] = [Uint8Array.of(10, 0, 0, 7), Uint8Array.of(10, 0, 0, 1)];
  for (let index = 0; index < datagrams; index++) {
    const payload = Buffer.from(`datagram ${index}`);
    const udp = udpHeader({ sourcePort: 5000, destinationPort: 9000 }, source, destination, payload);
    const flags = { identification: 0, offset: 0, dontFragment: true, moreFragments: false };
    const header = { source, destination, protocol: udpProtocol, ttl: 64, tos: 0, ...flags };
    const packet = Buffer.concat([ipv4Header(header, udp.length + payload.length), udp, payload]);
    const time = captureTime(BigInt(startMs + index * intervalMs) * 1_000_000n);
    const at = writer.beginPacket(0, time, packet.length, packet.length);
    writer.bytes.set(packet, at);
    writer.endPacket({ dropCount });
  }
  return writer.bytes.slice(0, writer.at);
}

/** Packets for the end of such a file: for each time, the answer of the router 10.0.0.254 to a datagram to 10.0.9.9:7000. */
export function icmpErrors(timesMs: readonly number[], [type, code] = [3, 1]): Uint8Array {
  const writer = new BlockWriter();
  const [host, router, lost] = [10, 254, 9].map((last) => Uint8Array.of(10, 0, last === 9 ? 9 : 0, last));
  const flags = { identification: 0, offset: 0, dontFragment: true, moreFragments: false };
  const common = { ttl: 64, tos: 0, ...flags };
  const udp = udpHeader({ sourcePort: 5000, destinationPort: 7000 }, host!, lost!, new Uint8Array());
  const about = { source: host!, destination: lost!, protocol: udpProtocol, ...common };
  const quoted = Buffer.concat([ipv4Header(about, udp.length), udp]);
  const content = icmpError({ type, code, mtu: 0 }, quoted);
  const header = { source: router!, destination: host!, protocol: icmpProtocol, ...common };
  const packet = Buffer.concat([ipv4Header(header, content.length), content]);
  for (const ms of timesMs) {
    const at = writer.beginPacket(0, captureTime(BigInt(ms) * 1_000_000n), packet.length, packet.length);
    writer.bytes.set(packet, at);
    writer.endPacket({});
  }
  return writer.bytes.slice(0, writer.at);
}
