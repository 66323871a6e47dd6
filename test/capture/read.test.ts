/** `read` finds in capture files of real tools the same datagrams as tshark. */

import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { read } from "datagram/capture";

import {
  Blocks,
  byRead,
  byTshark,
  datagramsOf,
  folderOf,
  ipPacket,
  ipPackets,
  need,
  pcap,
  pcapng,
  run,
  saved,
  startNs,
} from "./files.js";

const four = ipPacket("over IPv4");
const six = ipPacket("over IPv6", "fd00::1", "fe80::2:3");

/** Headers of each kind of link, in hex, before an IPv4 and an IPv6 packet. */
const links: readonly (readonly [name: string, linkType: number, before4: string, before6: string])[] = [
  ["Ethernet", 1, "020000000001 020000000002 0800", "020000000001 020000000002 86dd"],
  ["Ethernet with a VLAN tag", 1, `${"02".repeat(12)} 8100 0064 0800`, `${"02".repeat(12)} 8100 6064 86dd`],
  [
    "Ethernet with QinQ",
    1,
    `${"02".repeat(12)} 88a8 0001 8100 0002 0800`,
    `${"02".repeat(12)} 9100 0001 8100 0002 86dd`,
  ],
  ["raw IP (101)", 101, "", ""],
  ["raw IP (12)", 12, "", ""],
  ["raw IPv4 or IPv6 (228, 229)", 228, "", ""],
  ["BSD loopback, little-endian", 0, "02000000", "1e000000"],
  ["BSD loopback, big-endian", 0, "00000002", "0000001c"],
  ["OpenBSD loopback", 108, "00000002", "00000018"],
  ["Linux cooked", 113, "0000 0001 0006 0200000000010000 0800", "0004 0304 0006 0000000000000000 86dd"],
  [
    "Linux cooked, version 2",
    276,
    "0800 0000 00000002 0001 00 06 0200000000010000",
    "86dd 0000 00000001 0304 04 06 0000000000000000",
  ],
];

test("the datagrams of each kind of link are those of tshark", async (t) => {
  need(t, "tshark");
  const blocks = new Blocks();
  const packets = links.flatMap(([, linkType, before4, before6]) => [
    { linkType, packet: behind(before4, four) },
    { linkType: linkType === 228 ? 229 : linkType, packet: behind(before6, six) },
  ]);
  const file = saved(
    folderOf(t),
    "links.pcapng",
    blocks.section(),
    ...packets.map(({ linkType }) => blocks.interface(linkType)),
    ...packets.map(({ packet }, index) => blocks.packet(packet, startNs / 1000n, [], index)),
  );
  const found = await datagramsOf(file);
  expect(found.map(({ data }) => data.toString())).toEqual(links.flatMap(() => ["over IPv4", "over IPv6"]));
  expect(await byRead(file)).toEqual(byTshark(file));
});

test("the direction is that of Linux cooked packets, and of the flags of a packet", async () => {
  const cooked = links.filter(([, type]) => type === 113 || type === 276);
  for (const [, type, before4, before6] of cooked) {
    const found = await datagramsOf(pcapng([behind(before4, four), behind(before6, six)], type));
    expect(found.map(({ direction }) => direction)).toEqual(["in", "out"]);
  }
  const blocks = new Blocks();
  const flags = [0, 1, 2, 3].map((each) => blocks.packet(four, 0n, [blocks.option(2, blocks.uint32(each))]));
  const found = await datagramsOf(Buffer.concat([blocks.section(), blocks.interface(101), ...flags]));
  expect(found.map(({ direction }) => direction)).toEqual([undefined, "in", "out", undefined]);
});

test("bits about frame check sequences above the link type are ignored", async () => {
  const file = pcap([behind("02".repeat(12) + "0800", four)], { linkType: 0x2400_0001 });
  expect(await datagramsOf(file)).toMatchObject([{ data: Buffer.from("over IPv4") }]);
});

describe("formats", () => {
  test.for(["pcap", "nsecpcap", "modpcap", "pcapng"])("what editcap writes as %s", async (format, t) => {
    need(t, "editcap", "tshark");
    const folder = folderOf(t);
    const from = saved(folder, "from.pcap", pcap([four, six, four], { nano: true }));
    const to = join(folder, "to");
    run("editcap", "-F", format, from, to);
    const found = await byRead(to);
    expect(found).toHaveLength(3);
    expect(found).toEqual(byTshark(to));
  });

  test.for([
    [true, false],
    [true, true],
    [false, false],
    [false, true],
  ] as const)("pcap with little-endian %s and nanoseconds %s", async ([littleEndian, nano], t) => {
    need(t, "tshark");
    const file = saved(folderOf(t), "file.pcap", pcap([four, six], { littleEndian, nano }));
    const [first] = await datagramsOf(file);
    expect(first?.timestamp).toBe(startNs + (nano ? 789n : 0n));
    expect(await byRead(file)).toEqual(byTshark(file));
  });

  test("what mergecap writes of files with different links, and two sections of different byte order", async (t) => {
    need(t, "mergecap", "tshark");
    const folder = folderOf(t);
    const ethernet = saved(folder, "1", pcapng([behind("02".repeat(12) + "0800", four)], 1));
    const raw = saved(folder, "2", pcap([six, four, six], { nano: true }));
    const merged = join(folder, "merged.pcapng");
    run("mergecap", "-w", merged, ethernet, raw);
    expect(await byRead(merged)).toHaveLength(4);
    expect(await byRead(merged)).toEqual(byTshark(merged));
    const both = saved(folder, "both.pcapng", readFileSync(merged), pcapng([four, six], 101, false));
    expect(await byRead(both)).toHaveLength(6);
    expect(await byRead(both)).toEqual(byTshark(both));
  });

  test.for([true, false])(
    "times of any if_tsresol and if_tsoffset, little-endian %s",
    async (littleEndian, t) => {
      need(t, "tshark");
      const blocks = new Blocks(littleEndian);
      const resolutions = [0, 3, 6, 9, 12, 0x80, 0x8a, 0x9e, 0xa0];
      const offset = 1_789_999_000n;
      const times = resolutions.map((resolution) => {
        const perSecond =
          (resolution & 0x80) === 0 ? 10n ** BigInt(resolution) : 2n ** BigInt(resolution & 0x7f);
        const units = ((startNs - offset * 1_000_000_000n) * perSecond) / 1_000_000_000n;
        return { units, ns: (units * 1_000_000_000n) / perSecond + offset * 1_000_000_000n };
      });
      const file = saved(
        folderOf(t),
        "times.pcapng",
        blocks.section(),
        ...resolutions.map((resolution) =>
          blocks.interface(101, [
            blocks.option(9, Uint8Array.of(resolution)),
            blocks.option(14, blocks.uint64(offset)),
          ]),
        ),
        ...times.map(({ units }, index) => blocks.packet(four, units, [], index)),
      );
      const found = await datagramsOf(file);
      expect(found.map(({ timestamp }) => timestamp)).toEqual(times.map(({ ns }) => ns));
      // tshark 4.0 computes the fraction of 10^-12 in 64 bits, which overflow.
      const [ours, theirs] = [await byRead(file), byTshark(file)];
      for (const lines of [ours, theirs]) lines.splice(resolutions.indexOf(12), 1);
      expect(ours).toEqual(theirs);
    },
  );

  test("a simple packet has no time, and is cut at the limit of the interface", async (t) => {
    need(t, "tshark");
    const blocks = new Blocks();
    const head = [blocks.section(), blocks.interface(101, [], 32)];
    const file = saved(folderOf(t), "file", ...head, blocks.simplePacket(four.subarray(0, 32), four.length));
    const found = await datagramsOf(file);
    expect(found).toMatchObject([
      { timestamp: undefined, data: Buffer.from("over"), size: 9, truncated: true, direction: undefined },
    ]);
    expect(withoutTime(await byRead(file))).toEqual(withoutTime(byTshark(file)));
  });

  test("an obsolete packet block has its losses, and 65535 is unknown", async () => {
    for (const blocks of [new Blocks(), new Blocks(false)]) {
      const packets = [3, 65_535, 0].map((lost) => blocks.obsoletePacket(four, startNs / 1000n, lost));
      const found = await datagramsOf(Buffer.concat([blocks.section(), blocks.interface(101), ...packets]));
      expect(found.map(({ lostBefore }) => lostBefore)).toEqual([3, undefined, 0]);
      expect(found[0]?.timestamp).toBe(startNs);
    }
  });

  test("names, secrets, custom and unknown blocks are passed over, however long they are", async () => {
    const blocks = new Blocks();
    const others = [4, 10, 0xbad, 0x4000_0bad, 0x1234].map((type) =>
      blocks.block(type, Buffer.alloc(700_001, 7)),
    );
    const parts = [
      blocks.section(),
      ...others,
      blocks.interface(101),
      ...others,
      blocks.packet(four, 0n),
      ...others,
    ];
    expect(await datagramsOf(Buffer.concat(parts))).toMatchObject([
      { data: Buffer.from("over IPv4"), packet: 1 },
    ]);
  });

  test("what editcap injects and comments is read", async (t) => {
    need(t, "editcap", "tshark");
    const folder = folderOf(t);
    const from = saved(folder, "from.pcapng", pcapng([four, six]));
    const secrets = saved(folder, "secrets", Buffer.from("CLIENT_RANDOM 00 00\n"));
    const to = join(folder, "to.pcapng");
    run("editcap", "--inject-secrets", `tls,${secrets}`, "-a", "2:seen on the desk", from, to);
    const found = await datagramsOf(to);
    expect(found.map(({ comment }) => comment)).toEqual([undefined, "seen on the desk"]);
    expect(await byRead(to)).toEqual(byTshark(to));
  });

  test("the name of the interface, several comments, and losses in packets and in statistics", async () => {
    const blocks = new Blocks(false);
    const comments = [blocks.option(1, Buffer.from("one")), blocks.option(1, Buffer.from("two"))];
    const lost = blocks.option(4, blocks.uint64(5n));
    const drop = Buffer.concat([
      blocks.uint32(0),
      blocks.uint64(0n),
      blocks.option(5, blocks.uint64(9n)),
      Buffer.alloc(4),
    ]);
    const file = Buffer.concat([
      blocks.section(),
      blocks.interface(101, [blocks.option(2, Buffer.from("eth0"))]),
      blocks.packet(four, 0n, comments),
      blocks.packet(four, 0n, [lost]),
      blocks.block(5, drop),
    ]);
    const reading = read(file);
    const found = [];
    for await (const datagram of reading) found.push(datagram);
    expect(found).toMatchObject([
      { interface: "eth0", comment: "one\ntwo", lostBefore: undefined },
      { interface: "eth0", comment: undefined, lostBefore: 5 },
    ]);
    expect(reading.stats().lost).toBe(9);
  });
});

describe("datagrams", () => {
  test.for([
    ["10.0.0.1", "10.0.0.2"],
    ["fd00::1", "fd00::2"],
  ] as const)(
    "fragments from %s in any order, with repetitions, are joined as tshark does",
    async ([source, destination], t) => {
      need(t, "tshark");
      const payload = Buffer.alloc(4000, "0123456789abcdef");
      const one = ipPackets({ source, destination, payload, fragmentBytes: 1200, identification: 1 });
      const other = ipPackets({ source, destination, payload, fragmentBytes: 800, identification: 2 });
      const order = [one[3]!, other[0]!, one[0]!, other[1]!, one[2]!, one[1]!, ...other.slice(2)];
      const file = saved(folderOf(t), "file.pcap", pcap(order));
      const found = await byRead(file);
      expect(found).toHaveLength(2);
      expect(found).toEqual(byTshark(file));
    },
  );

  test("fragments of a datagram with destination options are joined as tshark does", async (t) => {
    need(t, "tshark");
    const hosts = { source: "fd00::1", destination: "fd00::2" };
    // Next header 17, two units of 8 bytes after the first, PadN.
    const options = Buffer.concat([Buffer.from([17, 2, 1, 20]), Buffer.alloc(20)]);
    const payload = Buffer.alloc(3000, "0123456789abcdef");
    const packets = [24, 1200].flatMap((fragmentBytes, index) =>
      ipPackets({ ...hosts, payload, fragmentBytes, options, identification: index + 1 }),
    );
    const file = saved(folderOf(t), "file.pcap", pcap(packets.reverse()));
    const found = await byRead(file);
    expect(found).toHaveLength(2);
    expect(found).toEqual(byTshark(file));
    // Another protocol after the options is no datagram.
    const others = ipPackets({ ...hosts, payload, fragmentBytes: 1200, options: options.fill(6, 0, 1) });
    const reading = read(pcap(others));
    for await (const _ of reading) expect.fail("a datagram of another protocol");
    expect(reading.stats()).toMatchObject({ packets: 3, fragments: 2, skipped: { otherProtocol: 1 } });
  });

  test("fragments of two VLANs are not mixed, though their addresses and identifications are equal", async () => {
    const [one, other] = ["1", "2"].map((text) =>
      ipPackets({ payload: Buffer.alloc(2000, text), fragmentBytes: 1200, identification: 5 }),
    );
    const inVlan = (id: string, packet: Uint8Array) => behind(`${"02".repeat(12)} 8100 ${id} 0800`, packet);
    const packets = [
      inVlan("0001", one![0]!),
      inVlan("0002", other![1]!),
      inVlan("6002", other![0]!),
      inVlan("0001", one![1]!),
    ];
    const found = await datagramsOf(pcap(packets, { linkType: 1 }));
    expect(found.map(({ data }) => data.toString("latin1", 1990))).toEqual(["2222222222", "1111111111"]);
  });

  test("a datagram with fragments that are missing, cut or overlap counts as incomplete", async () => {
    const payload = Buffer.alloc(3000);
    const fragments = (identification: number) => ipPackets({ payload, fragmentBytes: 1200, identification });
    const blocks = new Blocks();
    const [missing, cut, overlapping, whole] = [1, 2, 3, 4].map(fragments);
    const shifted = Buffer.from(overlapping![1]!);
    shifted.writeUInt16BE(0x2000 | (1192 / 8), 6);
    const packets = [...missing!.slice(1), ...overlapping!.slice(0, 1), shifted, ...whole!].map((each) =>
      blocks.packet(each, 0n),
    );
    const ofCut = cut!.map((each) => blocks.packet(each.subarray(0, 500), 0n, [], 0, each.length));
    const reading = read(Buffer.concat([blocks.section(), blocks.interface(101), ...ofCut, ...packets]));
    const found = [];
    for await (const { packet } of reading) found.push(packet);
    expect(found).toEqual([10]);
    expect(reading.stats()).toMatchObject({
      packets: 10,
      datagrams: 1,
      fragments: 9,
      incomplete: 3,
      truncated: 0,
    });
  });

  test("waiting fragments take at most 4 MiB, and the oldest are given up", async () => {
    const payload = Buffer.alloc(2000);
    const firsts = Array.from({ length: 6000 }, (_, index) =>
      ipPackets({ payload, fragmentBytes: 1480, identification: index + 1 }),
    );
    const packets = [...firsts.map(([first]) => first!), firsts.at(-1)![1]!, firsts[0]![1]!];
    const reading = read(pcap(packets));
    const found = [];
    for await (const { packet } of reading) found.push(packet);
    expect(found).toEqual([6001]);
    // The second fragment of the first datagram begins it again.
    expect(reading.stats()).toMatchObject({ packets: 6002, fragments: 6001, incomplete: 6000 });
  });

  test("datagrams whose fragments were cut take part in that limit", async () => {
    const payload = Buffer.alloc(2000);
    const blocks = new Blocks();
    const cut = (index: number): Uint8Array => {
      const [first] = ipPackets({ payload, fragmentBytes: 1480, identification: index });
      return blocks.packet(first!.subarray(0, 60), 0n, [], 0, first!.length);
    };
    // A datagram takes 256 bytes, so the first one is forgotten, and its whole fragments are joined.
    const whole = ipPackets({ payload, fragmentBytes: 1480, identification: 0 });
    const packets = [
      ...Array.from({ length: (4 << 20) / 256 + 1 }, (_, index) => cut(index)),
      ...whole.map((each) => blocks.packet(each, 0n)),
    ];
    const reading = read(Buffer.concat([blocks.section(), blocks.interface(101), ...packets]));
    expect((await reading.next()).value?.size).toBe(2000);
    expect(await reading.next()).toEqual({ done: true, value: undefined });
  });

  test("datagrams that the recorder cut have their size and the rest of their data, as in tshark", async (t) => {
    need(t, "editcap", "tshark");
    const folder = folderOf(t);
    const from = saved(folder, "from.pcapng", pcapng([ipPacket("a".repeat(100)), six, four]));
    for (const length of [48, 52, 60]) {
      const to = join(folder, `cut-${length}.pcapng`);
      run("editcap", "-s", String(length), from, to);
      const found = await datagramsOf(to);
      expect(found[0]).toMatchObject({ size: 100, truncated: true, data: Buffer.alloc(length - 28, "a") });
      // Without its whole UDP header, a datagram is malformed here.
      const headers = byTshark(to).filter((line) => length >= 48 || !line.includes("fd00"));
      expect(await byRead(to)).toEqual(headers);
    }
  });

  test("a long packet is probably several datagrams, unless its checksum is right or it was fragmented", async () => {
    const long = ipPacket("a".repeat(6000));
    const wrong = Uint8Array.from(long);
    wrong[26]! ^= 1;
    const short = Uint8Array.from(four);
    short[26]! ^= 1;
    const fragments = ipPackets({ payload: Buffer.alloc(4000), fragmentBytes: 1480 });
    const found = await datagramsOf(pcap([long, wrong, short, ...fragments]));
    expect(found.map(({ probablySeveral }) => probablySeveral)).toEqual([false, true, false, false]);
    expect(found[1]?.size).toBe(6000);
  });

  test("an IPv6 datagram behind extension headers is found, as by tshark", async (t) => {
    need(t, "tshark");
    const hopByHop = Buffer.from("3c00010400000000", "hex");
    const options = Buffer.from("1100010400000000", "hex");
    const packet = Buffer.concat([six.subarray(0, 40), hopByHop, options, six.subarray(40)]);
    packet[6] = 0;
    packet.writeUInt16BE(packet.length - 40, 4);
    const file = saved(folderOf(t), "file.pcap", pcap([packet]));
    expect(await byRead(file)).toHaveLength(1);
    expect(await byRead(file)).toEqual(byTshark(file));
  });

  test("other protocols, other links and damaged headers are counted, and the counts add up", async () => {
    const tcp = Uint8Array.from(four);
    tcp[9] = 6;
    const arp = Buffer.from(`${"02".repeat(12)}0806${"00".repeat(28)}`, "hex");
    const damaged = Uint8Array.from(four);
    damaged[25] = 200;
    const blocks = new Blocks();
    const interfaces = [101, 1, 147].map((type) => blocks.interface(type));
    const packets = [
      blocks.packet(tcp, 0n),
      blocks.packet(arp, 0n, [], 1),
      blocks.packet(damaged, 0n),
      blocks.packet(four.subarray(0, 10), 0n),
      blocks.packet(new Uint8Array(), 0n, [], 1),
      blocks.packet(four, 0n, [], 2),
      blocks.packet(four, 0n),
    ];
    const reading = read(Buffer.concat([blocks.section(), ...interfaces, ...packets]));
    for await (const { packet } of reading) expect(packet).toBe(7);
    expect(reading.stats()).toEqual({
      packets: 7,
      datagrams: 1,
      fragments: 0,
      unreachable: 0,
      skipped: { otherLink: 1, otherProtocol: 2, malformed: 3 },
      truncated: 0,
      incomplete: 0,
      probablySeveral: 0,
      lost: undefined,
    });
  });
});

function behind(header: string, packet: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(header.replaceAll(" ", ""), "hex"), packet]);
}

/** Lines of `byRead` or `byTshark` without their second field. */
function withoutTime(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/^(\d+),[^,]*/, "$1"));
}
