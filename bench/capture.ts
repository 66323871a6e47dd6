/**
 * Compares the speed of `datagram/capture` with `tshark -T fields`. Both read the same file of datagrams of 64 bytes from ten
 * peers, one after the other in each round:
 *
 *     npm run bench:capture -- [datagrams, 1000000] [rounds, 3]
 *
 * It prints the CPU time of each reader, since other programs may run, and the ratio within each round.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { read } from "datagram/capture";
import { ipv4Header } from "../src/wire/ipv4.js";
import { BlockWriter, LINKTYPE_RAW, captureTime } from "../src/wire/pcapng.js";
import { udpHeader, udpProtocol } from "../src/wire/udp.js";

const fields = ["frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "udp.length"];
const payload = new Uint8Array(64).fill(0x78);
const intervalNs = 5000n;

const [first, second] = process.argv.slice(2);
if (first === "--read") await readAll(second ?? "");
else compare(Number(first ?? 1_000_000), Number(second ?? 3));

/** Reads a file to its end, as a process of its own. */
async function readAll(path: string): Promise<void> {
  let datagrams = 0;
  let bytes = 0;
  for await (const { data } of read(path)) {
    datagrams++;
    bytes += data.length;
  }
  process.stdout.write(`${datagrams} ${bytes}\n`);
}

function compare(datagrams: number, rounds: number): void {
  const folder = mkdtempSync(join(tmpdir(), "datagram-bench-"));
  try {
    const path = join(folder, "datagrams.pcapng");
    write(path, datagrams);
    const options = fields.flatMap((field) => ["-e", field]);
    for (let round = 1; round <= rounds; round++) {
      const ours = cpuSeconds([process.execPath, fileURLToPath(import.meta.url), "--read", path]);
      const theirs = cpuSeconds(["tshark", "-n", "-r", path, "-T", "fields", ...options]);
      const rate = (seconds: number): string => `${(datagrams / seconds / 1e6).toFixed(2)} M/s`;
      const ratio = (theirs / ours).toFixed(1);
      process.stdout.write(`read ${rate(ours)}  tshark ${rate(theirs)}  ratio ${ratio}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Writes a file of datagrams. */
function write(path: string, datagrams: number): void {
  const file = openSync(path, "w");
  const writer = new BlockWriter();
  writer.sectionHeader({ application: "datagram/bench" });
  writer.interfaceDescription({ linkType: LINKTYPE_RAW, snapLength: 0, name: "bench" });
  const destination = Uint8Array.of(10, 0, 0, 100);
  const packets = Array.from({ length: 10 }, (_, peer) => {
    const source = Uint8Array.of(10, 0, 0, peer + 1);
    const udp = udpHeader({ sourcePort: 5000 + peer, destinationPort: 9000 }, source, destination, payload);
    const [identification, offset] = [0, 0];
    const flags = { identification, offset, dontFragment: true, moreFragments: false };
    const header = { source, destination, protocol: udpProtocol, ttl: 64, tos: 0, ...flags };
    return Buffer.concat([ipv4Header(header, udp.length + payload.length), udp, payload]);
  });
  const startNs = 1_790_000_000_000_000_000n;
  for (let index = 0; index < datagrams;) {
    for (; writer.at < 1 << 20 && index < datagrams; index++) {
      const data = packets[index % packets.length] as Buffer;
      const time = captureTime(startNs + BigInt(index) * intervalNs);
      const start = writer.beginPacket(0, time, data.length, data.length);
      writer.bytes.set(data, start);
      writer.endPacket({ direction: "in" });
    }
    writeSync(file, writer.written);
    writer.at = 0;
  }
  closeSync(file);
}

/** Runs a program to its end. Returns the seconds of CPU time that it used. */
function cpuSeconds([file = "", ...args]: readonly string[]): number {
  // `times` of a shell has the CPU time of its children.
  const script = '"$@" >/dev/null 2>&1 || exit 1; times';
  const { status, stdout } = spawnSync("sh", ["-c", script, "sh", file, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${file} failed`);
  const ofChildren = stdout.trim().split("\n").at(-1) ?? "";
  const seconds = [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, rest]) => Number(minutes) * 60 + Number(rest),
  );
  return seconds.reduce((sum, each) => sum + each, 0);
}
