/** Recordings of processes that are killed, on disks that are full, and of files that vanish. */

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { expect, onTestFinished, test } from "vitest";

import { SOL_SOCKET, SO_RCVBUF, socket } from "datagram";
import { read, record } from "datagram/capture";
import { type Host, Network } from "datagram/sim";
import { requireAll } from "../process/programs.js";
import { datagramsOf, folderOf } from "./files.js";

const dist = fileURLToPath(new URL("../../dist/", import.meta.url));
/** The start of a program that records its own datagrams to the file that is its first argument. */
const program = `
  import { readFileSync, rmSync } from "node:fs";
  import { setTimeout } from "node:timers/promises";
  import { socket } from "${dist}index.js";
  import { read, record } from "${dist}capture/index.js";
  const [folder] = process.argv.slice(-1);
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  const to = s.getsockname();`;

test("a recorder that is killed has written all but the last second, and its file can be read to its end", async (t) => {
  const folder = folderOf(t);
  const script = `${program}
    const recording = record(s, folder + "/killed.pcapng");
    for (let index = 0; ; index++) {
      await s.sendto(String(index), to);
      await s.recvfrom(20);
      process.stdout.write(index + " " + performance.now() + "\\n");
      await setTimeout(1);
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.onTestFinished(() => void child.kill("SIGKILL"));
  const seen: { index: number; ms: number }[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [index = 0, ms = 0] = line.split(" ").map(Number);
    seen.push({ index, ms });
    if (ms - (seen[0]?.ms ?? 0) > 1500) break;
  }
  child.kill("SIGKILL");
  const lastMs = seen.at(-1)?.ms ?? 0;
  const old = seen.filter(({ ms }) => ms < lastMs - 1000).length;
  expect(old).toBeGreaterThan(0);
  const found = await datagramsOf(join(folder, "killed.pcapng"));
  const received = found.filter(({ direction }) => direction === "in").map(({ data }) => Number(data));
  expect(received).toEqual(received.map((_, index) => index));
  expect(received.length).toBeGreaterThanOrEqual(old);
});

test("a process that ends by itself or by an exception has written everything", async (t) => {
  const folder = folderOf(t);
  const script = `${program}
    record(s, folder + "/thrown.pcapng");
    await s.sendMany(new Array(500).fill("last words"), to);
    throw new Error("as planned");`;
  const { status } = spawnSync(process.execPath, ["--input-type=module", "-e", script, folder]);
  expect(status).toBe(1);
  expect((await datagramsOf(join(folder, "thrown.pcapng"))).length).toBe(500);
});

test("a full disk leaves whole packets, what is missing is counted, and the file goes on when there is room", (t) => {
  const folder = folderOf(t);
  const script = `${program}
    import { writeFileSync } from "node:fs";
    const file = folder + "/full.pcapng";
    writeFileSync(folder + "/filler", Buffer.alloc(128 << 10));
    const errors = [];
    const recording = record(s, file, { onError: (error) => errors.push(error.code) });
    const sendUntil = async (isTrue) => {
      while (!isTrue()) {
        await s.sendMany(new Array(3).fill(Buffer.alloc(1000, "x")), to);
        await setTimeout(20);
      }
    };
    await sendUntil(() => errors.length > 0);
    const atFull = { ...recording.stats(), error: undefined };
    const reading = read(file);
    for await (const datagram of reading);
    const datagramsAtFull = reading.stats().datagrams;
    rmSync(folder + "/filler");
    const before = recording.stats().fileBytes;
    await sendUntil(() => recording.stats().fileBytes > before);
    const { datagrams, missed, error } = await recording.close();
    const again = read(file);
    const comments = [];
    let told = 0;
    for await (const { comment, lostBefore = 0 } of again) {
      told += lostBefore;
      if (comment) comments.push(comment);
    }
    process.stdout.write(JSON.stringify({ errors, code: error.code, atFull, datagramsAtFull, datagrams, missed, told, comments, read: again.stats() }));`;
  const mount = 'mount -t tmpfs -o size=256k none "$1" || exit 9; exec "$2" --input-type=module -e "$3" "$1"';
  const args = ["--map-root-user", "--mount", "sh", "-c", mount, "sh", folder, process.execPath, script];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  if ((status === 9 || status === null) && !requireAll) t.skip("a file system cannot be mounted here");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const result = JSON.parse(stdout) as Record<string, number> & {
    read: { lost: number; datagrams: number };
    atFull: { datagrams: number; missed: number };
  };
  expect(result).toMatchObject({
    errors: ["ENOSPC"],
    code: "ENOSPC",
    datagramsAtFull: result.atFull.datagrams,
  });
  expect(result.atFull.missed).toBeGreaterThan(0);
  expect(result.read).toMatchObject({ datagrams: result.datagrams, lost: result.missed });
  expect(result.told).toBe(result.missed);
  expect(result.comments).toEqual([
    `${result.missed} datagrams before this: not recorded, because the disk was too slow or failed`,
  ]);
});

test("a pipe that does not block gets everything, however slowly it is read", async (t) => {
  const script = `${program}
    const recording = record(s, 1);
    await s.sendMany(new Array(500).fill(Buffer.alloc(1000, "x")), to);
    process.stderr.write("sent\\n");
    await recording.close();`;
  // The pipe is read once the recording has more for it than it holds.
  const reader = `
import fcntl, os, subprocess, sys
source, sink = os.pipe()
fcntl.fcntl(sink, fcntl.F_SETFL, os.O_NONBLOCK)
child = subprocess.Popen(sys.argv[1:], stdout=sink, stderr=subprocess.PIPE)
os.close(sink)
child.stderr.readline()
while True:
    part = os.read(source, 4096)
    if not part: break
    sys.stdout.buffer.write(part)
sys.exit(child.wait())`;
  const args = ["-S", "-c", reader, process.execPath, "--input-type=module", "-e", script, folderOf(t)];
  const { status, stdout } = spawnSync("python3", args, { maxBuffer: 1 << 24 });
  expect(status).toBe(0);
  expect((await datagramsOf(stdout)).length).toBe(500);
});

test("a descriptor on a full disk keeps whole packets after what was there, and stays open", (t) => {
  const folder = folderOf(t);
  const script = `${program}
    import { closeSync, openSync, writeSync } from "node:fs";
    const file = folder + "/full.pcapng";
    const fd = openSync(file, "w");
    writeSync(fd, "before");
    const errors = [];
    const recording = record(s, fd, { onError: (error) => errors.push(error.code) });
    while (errors.length === 0) {
      await s.sendMany(new Array(3).fill(Buffer.alloc(1000, "x")), to);
      await setTimeout(20);
    }
    const end = await recording.close().catch((error) => error);
    closeSync(fd);
    const bytes = readFileSync(file);
    const found = [];
    for await (const { data } of read(bytes.subarray(6))) found.push(data.length);
    process.stdout.write(JSON.stringify({ errors, start: bytes.toString("latin1", 0, 6), found: found.length,
      datagrams: recording.stats().datagrams, bytes: bytes.length, fileBytes: recording.stats().fileBytes }));`;
  const mount = 'mount -t tmpfs -o size=128k none "$1" || exit 9; exec "$2" --input-type=module -e "$3" "$1"';
  const args = ["--map-root-user", "--mount", "sh", "-c", mount, "sh", folder, process.execPath, script];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  if ((status === 9 || status === null) && !requireAll) t.skip("a file system cannot be mounted here");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const result = JSON.parse(stdout) as Record<string, number>;
  expect(result).toMatchObject({
    errors: ["ENOSPC"],
    start: "before",
    found: result.datagrams,
    bytes: (result.fileBytes ?? 0) + 6,
  });
  expect(result.found).toBeGreaterThan(0);
});

test("a file that is removed is reported, and started again", async (t) => {
  const file = join(folderOf(t), "removed.pcapng");
  const s = socket();
  t.onTestFinished(() => s.close());
  await s.bind(["127.0.0.1", 0]);
  const codes: string[] = [];
  const recording = record(s, file, { onError: ({ code }) => codes.push(code) });
  rmSync(file);
  while (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    await s.sendto("x", s.getsockname());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { datagrams, files } = await recording.close();
  expect({ codes, files }).toEqual({ codes: ["ENOENT"], files: 2 });
  // The counts include the datagrams of the file that was removed.
  const found = await datagramsOf(file);
  expect(found.length).toBeGreaterThan(0);
  expect(found.length).toBeLessThan(datagrams);
});

test("losses at the receive buffer are told by the next packet, and counted at the end", async (t) => {
  const file = join(folderOf(t), "lost.pcapng");
  const [s, peer] = [socket(), socket()];
  for (const each of [s, peer]) t.onTestFinished(() => each.close());
  if (!s.capabilities.kernelDropCount.available) t.skip("the driver does not count drops");
  s.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096);
  await s.bind(["127.0.0.1", 0]);
  const recording = record(s, file);
  for (let index = 0; index < 200; index++) await peer.sendto(Buffer.alloc(1000), s.getsockname());
  while (s.stats().droppedKernel === 0) await s.recvfrom(1000);
  await peer.sendto("after", s.getsockname());
  for (let text = ""; text !== "after"; text = (await s.recvfrom(1000))[0].toString());
  await peer.sendto("cut", s.getsockname());
  await s.recvfrom(1);
  const { lost, datagrams } = await recording.close();
  expect(lost).toBe(s.stats().droppedKernel);
  const found = await datagramsOf(file);
  const reading = read(file);
  for await (const each of reading) expect(each.packet).toBeGreaterThan(0);
  expect(reading.stats()).toMatchObject({ datagrams, lost });
  const told = found.filter(({ lostBefore = 0 }) => lostBefore > 0);
  expect(told.reduce((sum, { lostBefore = 0 }) => sum + lostBefore, 0)).toBe(lost);
  expect(told[0]?.comment).toMatch(
    /^at least \d+ datagrams? before this: lost, because the receive buffer was full$/,
  );
});

test.each([
  ["a last file tells what is missing", { overwrite: true }],
  ["a new file is named after it", { rotateMs: 60_000 }],
])("a file that was removed when the end of a full chunk is written: %s", async (_, options) => {
  const folder = mkdtempSync(join(tmpdir(), "datagram-capture-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { network, host } = twoHosts();
  const payloads = new Array<Buffer>(950).fill(Buffer.alloc(1000));
  await network.run(async () => {
    const s = host.socket();
    await s.bind(["10.0.0.1", 9000]);
    const recording = record(s, join(folder, "removed.pcapng"), { ...options, onError: () => undefined });
    await s.sendto("first", ["10.0.0.2", 9]);
    await virtualMs(1100);
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    // Almost all of a chunk: the counts of the end have no room in it.
    await s.sendMany(payloads, ["10.0.0.2", 9]);
    await expect(recording.close()).rejects.toMatchObject({ code: "ENOENT" });
    const { datagrams, missed, ended } = await recording.finished;
    expect({ datagrams, missed, ended }).toEqual({ datagrams: 1, missed: 950, ended: "closed" });
    await s.close();
  });
  const reading = read(join(folder, readdirSync(folder)[0] ?? ""));
  for await (const each of reading) expect(each).toBeUndefined();
  expect(reading.stats().lost).toBe(950);
});

test("a recording that its listener closes at a failure writes nothing more", async (t) => {
  const folder = folderOf(t);
  const { network, host } = twoHosts();
  await network.run(async () => {
    const s = host.socket();
    await s.bind(["10.0.0.1", 9000]);
    const closed: Promise<unknown>[] = [];
    const recording = record(s, join(folder, "closed.pcapng"), {
      rotateBytes: 65_536,
      onError: () => closed.push(recording.close().catch(() => undefined)),
    });
    await s.sendto("first", ["10.0.0.2", 9]);
    await virtualMs(1100);
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    await s.sendMany(new Array<Buffer>(200).fill(Buffer.alloc(1000)), ["10.0.0.2", 9]);
    const { ended } = await recording.finished;
    expect(ended).toBe("closed");
    expect(closed).toHaveLength(1);
    const left = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    await s.sendto("later", ["10.0.0.2", 9]);
    await virtualMs(2000);
    expect(readdirSync(folder).map((name) => statSync(join(folder, name)).size)).toEqual(left);
    await s.close();
  });
});

/** A simulated host that reaches another one, on which nothing answers. */
function twoHosts(): { readonly network: Network; readonly host: Host } {
  const network = new Network({ seed: 1 });
  const host = network.host("host", { address: "10.0.0.1" });
  const other = network.host("other", { address: "10.0.0.2" });
  network.link(host, other, { lossRatio: 1 });
  return { network, host };
}

/** Waits during the run of a network. */
function virtualMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
