/** Files that are cut or damaged, and every form in which a file can be passed to `read`. */

import { Buffer } from "node:buffer";
import { readdirSync } from "node:fs";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CaptureError, type CaptureInput, read } from "datagram/capture";
import { Network } from "datagram/sim";
import { AF_INET, SOCK_DGRAM } from "../../src/core/constants.js";
import { icmpError } from "../../src/wire/icmp.js";
import { ipv4Header } from "../../src/wire/ipv4.js";
import { Blocks, datagramsOf, folderOf, ipPacket, ipPackets, pcap, pcapng, saved } from "./files.js";

const texts = ["one", "two", "three"];
const packets = texts.map((text) => ipPacket(text));
const blocks = new Blocks();

/** The texts of the datagrams before the error, and the error. */
async function attempt(file: CaptureInput): Promise<{ found: string[]; error: CaptureError | undefined }> {
  const found: string[] = [];
  try {
    for await (const { data } of read(file)) found.push(data.toString());
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    return { found, error };
  }
  return { found, error: undefined };
}

describe("a file that is cut", () => {
  test.each([
    ["pcap", pcap(packets), 24, packets.map(({ length }) => 16 + length)],
    ["pcapng", pcapng(packets), 48, packets.map(({ length }) => 32 + Math.ceil(length / 4) * 4)],
  ] as const)(
    "%s: at every byte, the datagrams before it, then ENODATA with the offset of the cut packet",
    async (_, file, header, lengths) => {
      const starts = lengths.reduce<number[]>((sum, length) => [...sum, sum.at(-1)! + length], [header]);
      expect(starts.at(-1)).toBe(file.length);
      for (let length = header; length <= file.length; length++) {
        const { found, error } = await attempt(file.subarray(0, length));
        const whole = starts.filter((start) => start <= length).length - 1;
        expect(found).toEqual(texts.slice(0, whole));
        const isCut = !starts.includes(length);
        expect(error && { code: error.code, offset: error.offset }).toEqual(
          isCut ? { code: "ENODATA", offset: starts[whole] } : undefined,
        );
      }
    },
  );

  test("an empty file, and one that ends in its header", async () => {
    expect((await attempt(new Uint8Array())).error).toMatchObject({ code: "ENODATA", offset: 0 });
    for (const file of [pcap(packets), pcapng(packets)])
      for (const length of [1, 4, 20])
        expect((await attempt(file.subarray(0, length))).error).toMatchObject({ code: "ENODATA", offset: 0 });
  });

  test("in a block that is passed over", async () => {
    const long = blocks.block(0xbad, Buffer.alloc(100_000));
    const file = Buffer.concat([pcapng(packets), long]);
    const start = file.length - long.length;
    for (const length of [start + 8, start + 50_000, file.length - 1]) {
      const { found, error } = await attempt(file.subarray(0, length));
      expect(found).toEqual(texts);
      expect(error).toMatchObject({ code: "ENODATA", offset: start });
    }
  });
});

describe("a file that is damaged", () => {
  const head = Buffer.concat([pcapng(packets)]);
  const damaged = (part: Uint8Array): Buffer => Buffer.concat([head, part]);
  const changed = (part: Buffer, at: number, value: number): Buffer => {
    const copy = Buffer.from(part);
    copy.writeUInt32LE(value, at);
    return copy;
  };
  const packet = blocks.packet(packets[0]!, 0n);
  const withOption = blocks.packet(packets[0]!, 0n, [blocks.option(1, Buffer.from("text"))]);
  test.each([
    ["a block shorter than 12 bytes", changed(packet, 4, 8)],
    ["a block whose length is no multiple of 4", changed(packet, 4, 65)],
    ["a packet in a block of 4 GB", changed(packet, 4, 0xffff_fffc)],
    ["different lengths at both ends", changed(packet, packet.length - 4, packet.length + 4)],
    [
      "different lengths at both ends of a block that is passed over",
      changed(blocks.block(0xbad, packet), packet.length + 8, 0),
    ],
    ["a packet that is longer than its block", changed(packet, 20, 100)],
    ["a packet of 4 GB", changed(packet, 20, 0xffff_ffff)],
    ["an interface that is not described", changed(packet, 8, 1)],
    ["an option that is longer than its block", changed(withOption, withOption.length - 16, 0x00ff_0001)],
    ["a packet block without its fields", blocks.block(6, Buffer.alloc(16))],
    ["a simple packet block without its field", blocks.block(3, Buffer.alloc(0))],
    ["statistics without an interface", blocks.block(5, Buffer.alloc(0))],
    ["a section of unknown byte order", changed(blocks.section(), 8, 0x1234_5678)],
  ])("%s is EBADMSG with the offset of the block, after all datagrams before it", async (_, part) => {
    const { found, error } = await attempt(damaged(part));
    expect(found).toEqual(texts);
    expect(error).toMatchObject({ code: "EBADMSG", offset: head.length });
    expect(error?.message).toMatch(new RegExp(`^read: .+, at byte ${head.length} \\(EBADMSG\\)$`));
  });

  test("a packet of pcap that is longer than 16 MiB is EBADMSG", async () => {
    const file = Buffer.concat([
      pcap(packets),
      Buffer.alloc(8),
      blocks.uint32((16 << 20) + 1),
      Buffer.alloc(100),
    ]);
    const { found, error } = await attempt(file);
    expect(found).toEqual(texts);
    expect(error).toMatchObject({ code: "EBADMSG", offset: pcap(packets).length });
  });

  test("other formats and versions are EPROTONOSUPPORT, with a hint for compressed files", async () => {
    const version3 = Buffer.from(pcap(packets));
    version3.writeUInt16LE(3, 4);
    const version2 = Buffer.from(pcapng(packets));
    version2.writeUInt16LE(2, 12);
    const errors = await Promise.all(
      [Buffer.from("no capture"), gzipSync(pcap(packets)), version3, version2].map(attempt),
    );
    expect(errors.map(({ error }) => error?.code)).toEqual(new Array(4).fill("EPROTONOSUPPORT"));
    expect(errors.map(({ error }) => error?.message)).toEqual([
      expect.stringContaining("not a capture file"),
      expect.stringContaining("compressed"),
      expect.stringContaining("version 3.4 of pcap "),
      expect.stringContaining("version 2.0 of pcapng "),
    ]);
  });

  test("random changes never fail otherwise, and datagrams never have bytes from outside of the file", async () => {
    const files = [
      pcap([...packets, ...ipPackets({ payload: Buffer.alloc(3000, 1), fragmentBytes: 1200 })]),
      Buffer.concat([
        pcapng(packets),
        blocks.simplePacket(packets[0]!),
        pcapng(packets, 1, false),
        withOption,
      ]),
    ];
    const change = fc.tuple(fc.nat(2000), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(change, { minLength: 1, maxLength: 6 }),
        async (file, changes) => {
          const copy = Buffer.from(file);
          for (const [at, value] of changes) copy[at % copy.length] = value;
          const { found } = await attempt(copy);
          expect(found.join("").length).toBeLessThanOrEqual(copy.length);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("the forms of a file", () => {
  const file = pcapng(packets);
  const textsOf = async (input: CaptureInput): Promise<string[]> =>
    (await datagramsOf(input)).map(({ data }) => data.toString());

  test("a path, a URL, all bytes, and a stream in pieces of any size", async (t) => {
    const path = saved(folderOf(t), "file.pcapng", file);
    const pieces = (size: number): Readable =>
      Readable.from(
        Array.from({ length: Math.ceil(file.length / size) }, (_, index) =>
          file.subarray(index * size, (index + 1) * size),
        ),
      );
    for (const input of [path, pathToFileURL(path), file, pieces(1), pieces(7), pieces(100)])
      expect(await textsOf(input)).toEqual(texts);
  });

  test("a file with more than a piece of memory, whose blocks cross its borders", async () => {
    const many = Array.from({ length: 5000 }, (_, index) => ipPacket(String(index).padStart(150, "x")));
    const found = await textsOf(pcapng(many));
    expect(found).toEqual(many.map((_, index) => String(index).padStart(150, "x")));
  });

  test("the trace of a simulated network", async () => {
    const host = "10.0.0.2";
    const network = new Network({ seed: 1 });
    const [one, two] = [
      network.host("one", { address: "10.0.0.1" }),
      network.host("two", { address: "10.0.0.2" }),
    ];
    network.link(one, two, { latencyMs: 5, mtuBytes: 600 });
    await network.run(async () => {
      const from = one.socket(AF_INET, SOCK_DGRAM);
      const to = two.socket(AF_INET, SOCK_DGRAM);
      await to.bind([host, 9000]);
      await from.sendto("a".repeat(1500), [host, 9000]);
      await to.recvfrom(2000);
      // Nobody listens there.
      await from.sendto("b", [host, 9001]);
      await from.recvfrom(10, { timeoutMs: 100 }).catch(() => undefined);
    });
    const errors: unknown[] = [];
    const reading = read(network.trace.toPcapng(), { onUnreachable: (error) => errors.push(error) });
    const found = [];
    for await (const { data, destination } of reading) found.push([data.length, destination.port]);
    expect(found).toEqual([
      [1500, 9000],
      [1, 9001],
    ]);
    expect(errors).toMatchObject([{ from: host, destination: { host, port: 9001 }, type: 3, code: 3 }]);
    expect(reading.stats()).toMatchObject({ fragments: 2, unreachable: 1, packets: 5 });
  });

  test("a missing file is the error of Node, and a stream that fails is its error", async () => {
    await expect(datagramsOf("/no/such/file")).rejects.toMatchObject({ code: "ENOENT", syscall: "open" });
    const broken = new Readable({
      read() {
        this.destroy(new Error("the cable is out"));
      },
    });
    await expect(datagramsOf(broken)).rejects.toThrow("the cable is out");
  });

  test("wrong arguments are refused at the call", () => {
    expect(() => read(7 as never)).toThrow(TypeError);
    expect(() => read(null as never)).toThrow(
      "file must be a path, a URL, bytes or a stream of bytes, not null",
    );
    expect(() => read(file, { mtu: 67 })).toThrow(RangeError);
    expect(() => read(file, { mut: 1500 } as never)).toThrow(/did you mean mtu/);
    expect(() => read(file, { onUnreachable: true as never })).toThrow(TypeError);
  });
});

test("comments of many zero bytes are read in a time that grows with their length", async () => {
  const comment = Buffer.alloc(65_532);
  comment[comment.length - 1] = 0x61;
  // A search that begins at each zero byte would take ten minutes.
  const options = Array.from({ length: 200 }, () => blocks.option(1, comment));
  const packet = blocks.packet(packets[0]!, 0n, [...options, blocks.option(1, Buffer.from("b\0\0"))]);
  const [found] = await datagramsOf(Buffer.concat([blocks.section(), blocks.interface(101), packet]));
  expect(found?.comment?.split("\n").map(({ length }) => length)).toEqual([
    ...options.map(() => comment.length),
    1,
  ]);
});

describe("the iteration", () => {
  test("break, an error and the end close the file", async (t) => {
    const path = saved(folderOf(t), "file.pcapng", pcapng(packets), Buffer.alloc(20));
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    for await (const { data } of read(path)) {
      expect(data.toString()).toBe("one");
      break;
    }
    expect(open()).toBe(before);
    expect((await attempt(path)).error).toMatchObject({ code: "EBADMSG" });
    expect(open()).toBe(before);
  });

  test("calls of next() that do not wait for each other get one datagram each, in order", async () => {
    const reading = read(pcapng(packets));
    const steps = await Promise.all([1, 2, 3, 4, 5].map(() => reading.next()));
    expect(steps.map(({ value }) => value?.data.toString())).toEqual([...texts, undefined, undefined]);
  });

  test("after an error the iteration is over", async () => {
    const reading = read(Buffer.concat([pcapng(packets), Buffer.alloc(20)]));
    for (const _ of texts) await reading.next();
    await expect(reading.next()).rejects.toMatchObject({ code: "EBADMSG" });
    expect(await reading.next()).toEqual({ done: true, value: undefined });
  });

  test("an error of onUnreachable ends the iteration", async () => {
    const onUnreachable = (): void => {
      throw new Error("enough");
    };
    await expect(read(pcap([icmpPacket(packets[0]!)]), { onUnreachable }).next()).rejects.toThrow("enough");
  });
});

test("an ICMP error of IPv4 that quotes a packet of IPv6 is no error about a datagram", async () => {
  const reading = read(pcap([icmpPacket(ipPacket("six", "fd00::1", "fd00::2"))]));
  expect(await reading.next()).toEqual({ done: true, value: undefined });
  expect(reading.stats()).toMatchObject({ unreachable: 0, skipped: { otherProtocol: 1 } });
});

/** An IPv4 packet with an ICMP error of a closed port, which quotes a packet. */
function icmpPacket(quoted: Uint8Array): Uint8Array {
  const error = icmpError({ type: 3, code: 3, mtu: 0 }, quoted);
  const [source, destination] = [Uint8Array.of(10, 0, 0, 2), Uint8Array.of(10, 0, 0, 1)];
  const where = { identification: 0, dontFragment: false, moreFragments: false, offset: 0 };
  const header = ipv4Header({ source, destination, protocol: 1, ttl: 64, tos: 0, ...where }, error.length);
  return Buffer.concat([header, error]);
}
