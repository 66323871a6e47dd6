/**
 * Compares the timing of `datagram replay` with that of tcpreplay, for the same file, from one network namespace to another over a
 * veth pair. The kernel's times of arrival are compared with the recorded times. In each round, all senders run one after
 * the other. It needs root, iproute2 and tcpreplay:
 *
 *     npm run bench:replay -- [seconds, 5] [rounds, 3]
 *
 * The error of a datagram is how far its arrival is from its time, if the middle one of all errors is 0: a sender may start at any time.
 * "duration" is the time from the first to the last arrival, compared with the recording.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { ipv4Header } from "../src/wire/ipv4.js";
import { udpHeader, udpProtocol } from "../src/wire/udp.js";

const [from, to, port] = ["10.77.0.1", "10.77.0.2", 9000] as const;
const macs = ["02:00:00:00:00:01", "02:00:00:00:00:02"] as const;
const senders: readonly (readonly [name: string, command: (file: string) => readonly string[]])[] = [
  ["datagram", (file) => [process.execPath, ourCommand, "replay", file, "--to", `${to}:${port}`]],
  ["tcpreplay", (file) => ["tcpreplay", "--quiet", "--intf1=near", file]],
  ["tcpreplay --timer=nano", (file) => ["tcpreplay", "--quiet", "--timer=nano", "--intf1=near", file]],
];
const ourCommand = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const self = fileURLToPath(import.meta.url);

const [first, second, third] = process.argv.slice(2);
if (first === "--receive") await receive(Number(second), third ?? "");
else await compare(Number(first ?? 5), Number(second ?? 3));

/** Receives datagrams, and writes their times of arrival to a file, in nanoseconds, a line for each number. */
async function receive(count: number, path: string): Promise<void> {
  const s = socket(AF_INET, SOCK_DGRAM);
  await s.bind([to, port]);
  process.stdout.write("ready\n");
  const times: string[] = [];
  s.settimeout(20);
  try {
    while (times.length < count) {
      const { timestamp, data } = await s.recvmsg();
      times.push(`${data.readUInt32BE(0)} ${timestamp}`);
    }
  } finally {
    writeFileSync(path, times.join("\n"));
    await s.close();
  }
}

async function compare(seconds: number, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "datagram-bench-"));
  const names = [`near-${process.pid}`, `far-${process.pid}`] as const;
  try {
    connect(names);
    const times = recordedTimes(seconds);
    const file = join(folder, "recorded.pcap");
    writeFileSync(file, recording(times));
    for (let round = 1; round <= rounds; round++) {
      for (const [name, command] of senders) {
        const arrivals = await measure(names, command(file), times.length, join(folder, "arrivals"));
        process.stdout.write(`${name.padEnd(24)} ${report(times, arrivals)}\n`);
      }
    }
  } finally {
    for (const name of names) ip("netns", "delete", name);
    rmSync(folder, { recursive: true });
  }
}

/** Makes two namespaces with a cable between them. */
function connect([near, far]: readonly [string, string]): void {
  for (const name of [near, far]) ip("netns", "add", name);
  ip("-n", near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far);
  for (const [name, device, address, own, peer, peerMac] of [
    [near, "near", from, macs[0], to, macs[1]],
    [far, "far", to, macs[1], from, macs[0]],
  ] as const) {
    ip("-n", name, "link", "set", device, "address", own, "up");
    ip("-n", name, "address", "add", `${address}/24`, "dev", device);
    ip("-n", name, "neigh", "replace", peer, "lladdr", peerMac, "dev", device, "nud", "permanent");
  }
}

/** Nanoseconds of each datagram from the first one: bursts 0.2 ms apart, and gaps of 5 ms and more between them, as of a camera. */
function recordedTimes(seconds: number): number[] {
  const times: number[] = [];
  for (let at = 0, index = 0; at < seconds * 1e9; index++) {
    times.push(Math.round(at / 1000) * 1000);
    at += index % 8 < 7 ? 200_000 : 5_000_000 + ((index * 7919) % 20) * 100_000;
  }
  return times;
}

function recording(times: readonly number[]): Uint8Array {
  const [source, destination] = [from, to].map((host) => Uint8Array.from(host.split("."), Number)) as [
    Uint8Array,
    Uint8Array,
  ];
  const ethernet = Buffer.from(`${macs[1]}${macs[0]}0800`.replaceAll(":", ""), "hex");
  const startSeconds = 1_790_000_000;
  const head = Buffer.alloc(24);
  // The magic number of nanoseconds, version 2.4, the length of the longest packet, and the link type of Ethernet.
  for (const [at, value] of [
    [0, 0xa1b2_3c4d],
    [4, 0x0004_0002],
    [16, 262_144],
    [20, 1],
  ] as const)
    head.writeUInt32LE(value, at);
  return Buffer.concat([
    head,
    ...times.map((ns, index) => {
      const payload = Buffer.alloc(200);
      payload.writeUInt32BE(index);
      const udp = udpHeader({ sourcePort: 5000, destinationPort: port }, source, destination, payload);
      const flags = { identification: 0, offset: 0, dontFragment: true, moreFragments: false };
      const header = { source, destination, protocol: udpProtocol, ttl: 64, tos: 0, ...flags };
      const data = Buffer.concat([ethernet, ipv4Header(header, udp.length + payload.length), udp, payload]);
      const record = Buffer.alloc(16);
      record.writeUInt32LE(startSeconds + Math.floor(ns / 1e9), 0);
      record.writeUInt32LE(ns % 1e9, 4);
      record.writeUInt32LE(data.length, 8);
      record.writeUInt32LE(data.length, 12);
      return Buffer.concat([record, data]);
    }),
  ]);
}

/** Runs a sender. Returns the times of arrival in nanoseconds, by the number of the datagram. */
async function measure(
  [near, far]: readonly [string, string],
  command: readonly string[],
  count: number,
  path: string,
): Promise<Map<number, bigint>> {
  const receiver = spawn(
    "ip",
    ["netns", "exec", far, process.execPath, self, "--receive", String(count), path],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await once(receiver.stdout, "data");
  const ended = once(receiver, "exit");
  // Other programs of the machine delay both senders less.
  execFileSync("nice", ["-n", "-20", "ip", "netns", "exec", near, ...command], { stdio: "ignore" });
  await ended;
  const lines = readFileSync(path, "utf8").split("\n");
  return new Map(lines.map((line) => line.split(" ")).map(([index, ns]) => [Number(index), BigInt(ns ?? 0)]));
}

function report(times: readonly number[], arrivals: ReadonlyMap<number, bigint>): string {
  const firstNs = arrivals.get(0) ?? 0n;
  const offsets = [...arrivals].map(([index, ns]) => Number(ns - firstNs) - (times[index] ?? 0));
  const middle = percentile(offsets, 0.5);
  const errors = offsets.map((offset) => Math.abs(offset - middle) / 1000);
  const last = times.length - 1;
  const duration = Number((arrivals.get(last) ?? 0n) - firstNs) / (times[last] ?? 1);
  const texts = [0.5, 0.9, 0.99, 1].map((share) => percentile(errors, share).toFixed(1));
  return `${arrivals.size} arrived, error in us: p50 ${texts[0]}, p90 ${texts[1]}, p99 ${texts[2]}, max ${texts[3]}; duration ${((duration - 1) * 100).toFixed(3)} %`;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function ip(...args: readonly string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
}
