/** Makes capture files byte by byte, and reads files with this package and with tshark. */

import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { TestContext } from "vitest";

import { type CaptureInput, type CapturedDatagram, read } from "datagram/capture";
import { parseLiteral } from "../../src/core/ip.js";
import { ipv4Header } from "../../src/wire/ipv4.js";
import { ipv6Header } from "../../src/wire/ipv6.js";
import { udpHeader } from "../../src/wire/udp.js";
import { requireAll } from "../process/programs.js";

/** Nanoseconds since 1970 of the first packet of a test. */
export const startNs = 1_790_000_000_123_456_000n;

/** Whether a program is installed. A start of tshark takes a quarter of a second of CPU time, so each is asked once. */
const installed = new Map<string, boolean>();

/** Skips a test if a program is missing. */
export function need(t: TestContext, ...programs: string[]): void {
  for (const program of programs) {
    const isThere = installed.get(program) ?? spawnSync(program, ["--version"]).error === undefined;
    installed.set(program, isThere);
    if (!isThere && !requireAll) t.skip(`${program} is not installed`);
  }
}

/** A folder that is removed after the test. */
export function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "datagram-capture-"));
  t.onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Writes a file, and returns its path. */
export function saved(folder: string, name: string, ...bytes: readonly Uint8Array[]): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(bytes));
  return path;
}

/** Runs a program to its end. */
export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 28,
  });
}

/** A datagram of a test, from port 5000 to port 9000. */
export interface TestDatagram {
  readonly source?: string;
  readonly destination?: string;
  readonly payload: Uint8Array;
  /** Bytes of the content of each fragment; without it there are no fragments. */
  readonly fragmentBytes?: number;
  readonly identification?: number;
  /** Destination options (RFC 8200) before the UDP header, which are divided with it. */
  readonly options?: Uint8Array;
}

/** The IP packets of a datagram: one, or one for each fragment. */
export function ipPackets(datagram: TestDatagram): Uint8Array[] {
  const { source: from = "10.0.0.1", destination: to = "10.0.0.2", payload, fragmentBytes } = datagram;
  const { identification = 7, options = new Uint8Array() } = datagram;
  const [source, destination] = [from, to].map((host) => parseLiteral(host)!.bytes) as [
    Uint8Array,
    Uint8Array,
  ];
  const ports = { sourcePort: 5000, destinationPort: 9000 };
  const content = Buffer.concat([options, udpHeader(ports, source, destination, payload), payload]);
  const size = fragmentBytes ?? content.length;
  const packets: Uint8Array[] = [];
  for (let offset = 0; offset < content.length; offset += size) {
    const part = content.subarray(offset, offset + size);
    const moreFragments = offset + size < content.length;
    const where = { identification, moreFragments, offset };
    const common = { source, destination, protocol: options.length > 0 ? 60 : 17 };
    const header =
      source.length === 4
        ? ipv4Header({ ...common, ttl: 61, tos: 0x28, dontFragment: false, ...where }, part.length)
        : ipv6Header(
            {
              ...common,
              hopLimit: 62,
              trafficClass: 0x28,
              fragment: fragmentBytes === undefined ? undefined : where,
            },
            part.length,
          );
    packets.push(Buffer.concat([header, part]));
  }
  return packets;
}

/** One IP packet with a text. */
export function ipPacket(text: string, source = "10.0.0.1", destination = "10.0.0.2"): Uint8Array {
  return ipPackets({ source, destination, payload: Buffer.from(text) })[0]!;
}

/** Bytes of numbers of 16 or 32 bits. */
function words(
  littleEndian: boolean,
  ...numbers: readonly (readonly [bits: 16 | 32, value: number])[]
): Buffer {
  return Buffer.concat(
    numbers.map(([bits, value]) => {
      const bytes = Buffer.alloc(bits / 8);
      const number = bits === 16 ? value : value >>> 0;
      if (littleEndian) bytes.writeUIntLE(number, 0, bits / 8);
      else bytes.writeUIntBE(number, 0, bits / 8);
      return bytes;
    }),
  );
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

/** The blocks of pcapng in one byte order. */
export class Blocks {
  readonly #le: boolean;

  constructor(littleEndian = true) {
    this.#le = littleEndian;
  }

  block(type: number, body: Uint8Array): Buffer {
    const length = 12 + padded(body).length;
    return Buffer.concat([
      words(this.#le, [32, type], [32, length]),
      padded(body),
      words(this.#le, [32, length]),
    ]);
  }

  section(): Buffer {
    const magic = [32, 0x1a2b_3c4d] as const;
    return this.block(0x0a0d_0d0a, words(this.#le, magic, [16, 1], [16, 0], [32, -1], [32, -1]));
  }

  option(code: number, value: Uint8Array): Buffer {
    return Buffer.concat([words(this.#le, [16, code], [16, value.length]), padded(value)]);
  }

  interface(linkType: number, options: readonly Uint8Array[] = [], snapLength = 0): Buffer {
    const fixed = words(this.#le, [16, linkType], [16, 0], [32, snapLength]);
    return this.block(1, Buffer.concat([fixed, ...this.#ended(options)]));
  }

  packet(
    data: Uint8Array,
    units: bigint,
    options: readonly Uint8Array[] = [],
    id = 0,
    original = data.length,
  ): Buffer {
    const time = [[32, Number(units >> 32n)] as const, [32, Number(units & 0xffff_ffffn)] as const];
    const fixed = words(this.#le, [32, id], ...time, [32, data.length], [32, original]);
    return this.block(6, Buffer.concat([fixed, padded(data), ...this.#ended(options)]));
  }

  simplePacket(data: Uint8Array, original = data.length): Buffer {
    return this.block(3, Buffer.concat([words(this.#le, [32, original]), data]));
  }

  obsoletePacket(data: Uint8Array, units: bigint, lost: number, options: readonly Uint8Array[] = []): Buffer {
    const time = [[32, Number(units >> 32n)] as const, [32, Number(units & 0xffff_ffffn)] as const];
    const fixed = words(this.#le, [16, 0], [16, lost], ...time, [32, data.length], [32, data.length]);
    return this.block(2, Buffer.concat([fixed, padded(data), ...this.#ended(options)]));
  }

  /** A 64-bit number, as an option has it. */
  uint64(value: bigint): Buffer {
    const bytes = Buffer.alloc(8);
    if (this.#le) bytes.writeBigInt64LE(BigInt.asIntN(64, value));
    else bytes.writeBigInt64BE(BigInt.asIntN(64, value));
    return bytes;
  }

  uint32(value: number): Buffer {
    return words(this.#le, [32, value]);
  }

  #ended(options: readonly Uint8Array[]): readonly Uint8Array[] {
    return options.length === 0 ? [] : [...options, Buffer.alloc(4)];
  }
}

/** A pcap file with packets a millisecond apart. */
export function pcap(
  packets: readonly Uint8Array[],
  {
    littleEndian = true,
    nano = false,
    linkType = 101,
  }: { littleEndian?: boolean; nano?: boolean; linkType?: number } = {},
): Buffer {
  const magic = nano ? 0xa1b2_3c4d : 0xa1b2_c3d4;
  const header = words(
    littleEndian,
    [32, magic],
    [16, 2],
    [16, 4],
    [32, 0],
    [32, 0],
    [32, 262_144],
    [32, linkType],
  );
  const records = packets.map((data, index) => {
    const ns = startNs + BigInt(index) * 1_000_000n + (nano ? 789n : 0n);
    const fraction = Number(ns % 1_000_000_000n) / (nano ? 1 : 1000);
    const times = [[32, Number(ns / 1_000_000_000n)] as const, [32, fraction] as const];
    return Buffer.concat([words(littleEndian, ...times, [32, data.length], [32, data.length]), data]);
  });
  return Buffer.concat([header, ...records]);
}

/** A pcapng file of one interface with microseconds, and packets a millisecond apart. */
export function pcapng(packets: readonly Uint8Array[], linkType = 101, littleEndian = true): Buffer {
  const blocks = new Blocks(littleEndian);
  const times = packets.map((data, index) => blocks.packet(data, startNs / 1000n + BigInt(index) * 1000n));
  return Buffer.concat([blocks.section(), blocks.interface(linkType), ...times]);
}

/** All datagrams of a file. */
export async function datagramsOf(file: CaptureInput): Promise<CapturedDatagram[]> {
  const found: CapturedDatagram[] = [];
  for await (const datagram of read(file)) found.push(datagram);
  return found;
}

/** What tshark and this package must agree on. */
const compared = [
  "frame.number",
  "frame.time_epoch",
  "ip.src",
  "ipv6.src",
  "udp.srcport",
  "ip.dst",
  "ipv6.dst",
  "udp.dstport",
  "udp.length",
  "ip.ttl",
  "ipv6.hlim",
  "ip.dsfield",
  "udp.payload",
];

/** The datagrams of a file as tshark reads them, a line for each. */
export function byTshark(path: string): string[] {
  const fields = compared.flatMap((field) => ["-e", field]);
  const filter = ["-Y", "udp && !icmp && !icmpv6"];
  const output = run("tshark", "-n", "-r", path, ...filter, "-T", "fields", "-E", "separator=,", ...fields);
  return output.split("\n").slice(0, -1);
}

/** The datagrams of a file as this package reads them, in the form of `byTshark`. */
export async function byRead(path: string): Promise<string[]> {
  const datagrams = await datagramsOf(path);
  return datagrams.map(({ packet, timestamp, source, destination, size, ttl, tos, data }) => {
    const isIpv4 = !source.host.includes(":");
    const [v4, v6] = isIpv4 ? [(host: string) => host, () => ""] : [() => "", (host: string) => host];
    return [
      packet,
      timestamp === undefined ? "" : secondsOf(timestamp),
      v4(source.host),
      v6(source.host),
      source.port,
      v4(destination.host),
      v6(destination.host),
      destination.port,
      size + 8,
      isIpv4 ? ttl : "",
      isIpv4 ? "" : ttl,
      isIpv4 ? `0x${tos.toString(16).padStart(2, "0")}` : "",
      data.toString("hex"),
    ].join(",");
  });
}

function secondsOf(ns: bigint): string {
  return `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, "0")}`;
}
