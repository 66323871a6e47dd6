import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import {
  type IcmpError,
  type Packet,
  type UdpDatagram,
  contentBytes,
  headerBytes,
  packetBytes,
} from "../../src/sim/packet/packet.js";
import { frameOf } from "../../src/sim/trace/frame.js";
import { BlockWriter, LINKTYPE_RAW, captureTime } from "../../src/wire/pcapng.js";
import { requireAll } from "../process/programs.js";

const addresses = {
  4: { source: "10.0.0.2", destination: "192.168.1.20" },
  6: { source: "fd00:77::2", destination: "fe80::1%eth0" },
};

/** Nanoseconds since 1970. Every digit is different. */
const start = 1_700_000_000_123_456_789n;

describe("the bytes of a packet", () => {
  test("the bytes of an IPv4 datagram are its header, the UDP header and the payload", () => {
    const packet = { ...whole(4, datagram(Buffer.from("ping"))), ttl: 63, tos: 0xb9, identification: 0xbeef };
    expect(hex(frameOf(packet))).toBe(
      digits("45b9 0020 beef 4000 3f11 b066 0a000002 c0a80114", "2328 2329 000c 0ef6 70696e67"),
    );
  });

  test("the bytes of an IPv6 fragment are its header, the fragment header and its part of the UDP header and the payload", () => {
    const sent = {
      ...whole(6, datagram(Buffer.from("ping"))),
      ttl: 63,
      tos: 0xb9,
      identification: 0xdead_beef,
    };
    const between = "3f fd000077000000000000000000000002 fe800000000000000000000000000001";
    expect(taken(sent, 8).map((fragment) => hex(frameOf(fragment)))).toEqual([
      digits("6b900000 0010 2c", between, "11 00 0001 deadbeef", "2328 2329 000c deb8"),
      digits("6b900000 000c 2c", between, "11 00 0008 deadbeef", "70696e67"),
    ]);
  });

  test("the bytes of fragments, joined, are those of the whole packet, and each is as long as the link counts it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom<4 | 6>(4, 6),
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 1, max: 200 }),
        fc.boolean(),
        (version, payload, units, asError) => {
          const sent = whole(version, datagram(Buffer.from(payload)));
          const packet = asError ? whole(version, icmpError(sent, 3, 3)) : sent;
          const fragments = taken(packet, 8 * units);
          for (const each of fragments) expect(frameOf(each)).toHaveLength(packetBytes(each));
          const carried = fragments.map((each) => frameOf(each).subarray(headerBytes(each)));
          expect(hex(Buffer.concat(carried))).toBe(hex(frameOf(packet).subarray(headerBytes(packet))));
        },
      ),
      { seed: 815, numRuns: 200 },
    );
  });

  test("an ICMP error quotes the start of its packet, up to a length of 576 or 1,280 bytes", () => {
    for (const [version, most] of [
      [4, 576],
      [6, 1280],
    ] as const) {
      const about = whole(version, datagram(Buffer.alloc(3000, "x")));
      const packet = whole(version, icmpError(about, 3, 4));
      const frame = frameOf(packet);
      expect(frame).toHaveLength(most);
      const quoted = frame.subarray(headerBytes(packet) + 8);
      expect(hex(quoted)).toBe(hex(frameOf(about).subarray(0, quoted.length)));
    }
  });

  test("an address that is not a literal is an error that names it", () => {
    const packet = { ...whole(4, datagram(Buffer.of())), source: "camera" };
    expect(() => frameOf(packet)).toThrow(/camera/);
  });
});

const protocols = ["ip", "udp", "icmp", "icmpv6"];

const missing = !requireAll && spawnSync("tshark", ["--version"]).error !== undefined;

describe.skipIf(missing)(`what tshark reads${missing ? " (skipped: tshark is not there)" : ""}`, () => {
  const ping = datagram(Buffer.from("ping"));
  const long = datagram(Buffer.from(Array.from({ length: 3000 }, (_, at) => at % 251)));
  const corrupted = { ...ping, payload: Buffer.from("pinG"), intact: ping.payload };

  /** The captured packets, by their comments. */
  const captured: readonly (readonly [comment: string, packet: Packet])[] = [
    ["IPv4", whole(4, ping)],
    ["IPv4, empty", whole(4, datagram(Buffer.of()))],
    ["IPv4, odd", whole(4, datagram(Buffer.from("odd")))],
    ...taken(whole(4, long), 1480).map((packet) => [`IPv4 from ${packet.offset}`, packet] as const),
    ["IPv6", whole(6, ping)],
    ["IPv6, odd", whole(6, datagram(Buffer.from("odd")))],
    ...taken(whole(6, long), 1448).map((packet) => [`IPv6 from ${packet.offset}`, packet] as const),
    ["port unreachable", whole(4, icmpError(whole(4, ping), 3, 3))],
    ["fragmentation needed", whole(4, icmpError(whole(4, long), 3, 4, 1280))],
    ["reassembly time exceeded", whole(4, icmpError(taken(whole(4, long), 1480)[0]!, 11, 1))],
    ...taken(whole(4, icmpError(whole(4, long), 3, 3)), 400).map(
      (packet) => [`an error from ${packet.offset}`, packet] as const,
    ),
    ["port unreachable, IPv6", whole(6, icmpError(whole(6, ping), 1, 4))],
    ["packet too big", whole(6, icmpError(whole(6, long), 2, 0, 1280))],
    ["IPv4, corrupted: łość 💥", whole(4, corrupted)],
    ["IPv6, corrupted", whole(6, corrupted)],
  ];
  let read: Readonly<Record<string, Dissected>> = {};

  beforeAll(() => {
    const packets = dissect(capture(captured));
    read = Object.fromEntries(packets.map((each) => [each["frame.comment"]?.[0] ?? "", each]));
  });

  test("every packet is in the file, with its comment, interface, direction, time in nanoseconds and length", () => {
    const expected = captured.map(([comment, packet], index) => ({
      "frame.comment": [comment],
      "frame.interface_name": [index % 2 === 0 ? "desk to router" : "router to camera"],
      "frame.packet_flags_direction": [index % 2 === 0 ? "0x00000002" : "0x00000001"],
      "frame.time_epoch": [`1700000000.${123_456_789 + index}`],
      "frame.len": [String(packetBytes(packet))],
      "frame.cap_len": [String(packetBytes(packet))],
    }));
    expect(Object.values(read)).toMatchObject(expected);
  });

  test("tshark reports nothing except the checksums of corrupted datagrams", () => {
    const remarks = Object.entries(read).flatMap(([comment, each]) =>
      [...(each["_ws.malformed"] ?? []), ...(each["_ws.expert.message"] ?? [])]
        // tshark reports the comment of a packet too.
        .filter((message) => message !== comment)
        .map((message) => [comment, message]),
    );
    expect(remarks).toEqual([
      ["IPv4, corrupted: łość 💥", expect.stringMatching(/^Bad checksum/)],
      ["IPv6, corrupted", expect.stringMatching(/^Bad checksum/)],
    ]);
  });

  test("all other checksums are right, also those of quoted headers", () => {
    const statuses = (each: Dissected) =>
      protocols.flatMap((name) => (each[`${name}.checksum.status`] ?? []).map((status) => [name, status]));
    const [wrong, right, cut] = ["0", "1", "2"];
    const [ip, udp, icmp, icmpv6] = protocols.map((name) => [name, right]);
    const udpCut = ["udp", cut];
    expect(Object.entries(read).map(([comment, each]) => [comment, statuses(each)])).toEqual([
      ["IPv4", [ip, udp]],
      ["IPv4, empty", [ip, udp]],
      ["IPv4, odd", [ip, udp]],
      ["IPv4 from 0", [ip]],
      ["IPv4 from 1480", [ip]],
      ["IPv4 from 2960", [ip, udp]],
      ["IPv6", [udp]],
      ["IPv6, odd", [udp]],
      ["IPv6 from 0", []],
      ["IPv6 from 1448", []],
      ["IPv6 from 2896", [udp]],
      ["port unreachable", [ip, ip, udp, icmp]],
      ["fragmentation needed", [ip, ip, udpCut, icmp]],
      ["reassembly time exceeded", [ip, ip, udpCut, icmp]],
      ["an error from 0", [ip]],
      ["an error from 400", [ip, ip, udpCut, icmp]],
      ["port unreachable, IPv6", [udp, icmpv6]],
      ["packet too big", [udpCut, icmpv6]],
      ["IPv4, corrupted: łość 💥", [ip, ["udp", wrong]]],
      ["IPv6, corrupted", [["udp", wrong]]],
    ]);
  });

  test("datagrams have their payload, and fragments are reassembled", () => {
    const payloads = (comment: string) => read[comment]?.["udp.payload"];
    expect(payloads("IPv4")).toEqual([hex(ping.payload)]);
    expect(payloads("IPv6")).toEqual([hex(ping.payload)]);
    expect(payloads("IPv4, corrupted: łość 💥")).toEqual([hex(corrupted.payload)]);
    expect(read["IPv4, empty"]?.["udp.length"]).toEqual(["8"]);
    expect(payloads("IPv4 from 0")).toBeUndefined();
    expect(payloads("IPv4 from 2960")).toEqual([hex(long.payload)]);
    expect(payloads("IPv6 from 2896")).toEqual([hex(long.payload)]);
  });

  test("ICMP errors have their type, and the MTU of the next link", () => {
    const icmp = (comment: string) =>
      ["icmp.type", "icmp.code", "icmp.mtu", "icmpv6.type", "icmpv6.code", "icmpv6.mtu"].flatMap(
        (name) => read[comment]?.[name] ?? [],
      );
    expect(icmp("port unreachable")).toEqual(["3", "3"]);
    expect(icmp("an error from 400")).toEqual(["3", "3"]);
    expect(icmp("reassembly time exceeded")).toEqual(["11", "1"]);
    expect(icmp("fragmentation needed")).toEqual(["3", "4", "1280"]);
    expect(icmp("port unreachable, IPv6")).toEqual(["1", "4"]);
    expect(icmp("packet too big")).toEqual(["2", "0", "1280"]);
  });
});

function datagram(payload: Buffer): UdpDatagram {
  return { protocol: "udp", sourcePort: 9000, destinationPort: 9001, payload, intact: undefined };
}

function icmpError(about: Packet, type: number, code: number, mtu = 0): IcmpError {
  return { protocol: "icmp", type, code, mtu, about };
}

let made = 0;

function whole(version: 4 | 6, content: UdpDatagram | IcmpError): Packet {
  made++;
  return {
    ...addresses[version],
    number: made,
    version,
    content,
    ttl: 64,
    tos: 0,
    identification: made,
    dontFragment: true,
    offset: 0,
    length: contentBytes(version, content),
    moreFragments: false,
  };
}

/** The fragments of a packet, with at most `most` bytes of content each. */
function taken(packet: Packet, most: number): Packet[] {
  const fragments: Packet[] = [];
  for (let offset = 0; offset < packet.length; offset += most) {
    const length = Math.min(most, packet.length - offset);
    const moreFragments = offset + length < packet.length;
    fragments.push({ ...packet, dontFragment: packet.version === 6, offset, length, moreFragments });
  }
  return fragments;
}

function capture(packets: readonly (readonly [string, Packet])[]): Buffer {
  const writer = new BlockWriter();
  writer.sectionHeader({ application: "datagram" });
  for (const name of ["desk to router", "router to camera"])
    writer.interfaceDescription({ linkType: LINKTYPE_RAW, snapLength: 0, name });
  for (const [index, [comment, packet]] of packets.entries()) {
    const data = frameOf(packet);
    const time = captureTime(start + BigInt(index));
    const at = writer.beginPacket(index % 2, time, data.length, data.length);
    writer.bytes.set(data, at);
    writer.endPacket({ direction: index % 2 === 0 ? "out" : "in", comment });
  }
  return Buffer.from(writer.written);
}

const fields = [
  "frame.comment",
  "frame.interface_name",
  "frame.packet_flags_direction",
  "frame.time_epoch",
  "frame.len",
  "frame.cap_len",
  ...protocols.map((name) => `${name}.checksum.status`),
  "udp.length",
  "udp.payload",
  "icmp.type",
  "icmp.code",
  "icmp.mtu",
  "icmpv6.type",
  "icmpv6.code",
  "icmpv6.mtu",
  "_ws.malformed",
  "_ws.expert.message",
];
/** The values that each field has in a packet, beginning with the outermost header. */
type Dissected = Readonly<Record<string, readonly string[]>>;

function dissect(file: Buffer): Dissected[] {
  const checks = ["ip", "udp"].flatMap((each) => ["-o", `${each}.check_checksum:TRUE`]);
  const wanted = fields.flatMap((field) => ["-e", field]);
  const folder = mkdtempSync(join(tmpdir(), "datagram-frame-"));
  const path = join(folder, "packets.pcapng");
  writeFileSync(path, file);
  const { stdout, stderr, status, error } = spawnSync(
    "tshark",
    ["-n", "-r", path, ...checks, "-T", "fields", "-E", "aggregator=|", ...wanted],
    // Without the preferences of the user.
    { encoding: "utf8", timeout: 20_000, env: { ...process.env, WIRESHARK_CONFIG_DIR: folder } },
  );
  rmSync(folder, { recursive: true });
  expect(status, error?.message ?? stderr).toBe(0);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => {
      const values = line.split("\t").map((value, index) => [fields[index] ?? "", value.split("|")] as const);
      return Object.fromEntries(values.filter(([, [first]]) => first !== ""));
    });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function digits(...parts: string[]): string {
  return parts.join("").replaceAll(" ", "");
}
