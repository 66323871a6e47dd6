import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { AF_INET, OSError, socket } from "datagram";
import { type TestContext, expect, test } from "vitest";

import type { Recording } from "../../src/capture/index.js";
import { recordingSummary } from "../../src/cli/recording.js";
import { datagramsOf, folderOf } from "../capture/files.js";
import { commandsInOneProcess } from "./one-process.js";
import { lineWith } from "./listening.js";
import { Program, bin, datagram, everyTestRequired } from "./program.js";

const runHere = commandsInOneProcess();

/** Waits until a command listens. Returns its port. */
async function listening(program: Program): Promise<number> {
  for (;;) {
    const [, port] = /^listening on .*:(\d+)$/.exec(await program.line("stderr")) ?? [];
    if (port !== undefined) return Number(port);
  }
}

async function sendTexts(
  t: TestContext,
  ...datagrams: (readonly [text: string, port: number])[]
): Promise<void> {
  const s = socket(AF_INET);
  t.onTestFinished(() => s.close());
  for (const [text, port] of datagrams) await s.sendto(text, ["127.0.0.1", port]);
}

test("record writes what arrives at several ports, and Ctrl-C completes the file and prints a summary", async (t) => {
  const file = join(folderOf(t), "today.pcapng");
  const program = datagram(t, ["record", "0", "0", "-o", file]);
  const ports = [await listening(program), await listening(program)] as const;
  await sendTexts(t, ["one", ports[0]], ["two", ports[1]], ["three", ports[0]]);
  // What is in memory is written soon.
  while (!readFileSync(file).includes("three")) await new Promise((resolve) => setTimeout(resolve, 20));
  program.child.kill("SIGINT");
  const { code, stdout, stderr } = await program.ended;
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toMatch(/\nrecorded 3 datagrams from 1 peer, \d+ bytes, to ".*today\.pcapng"\n/);
  const found = await datagramsOf(file);
  expect(found.map(({ data, destination }) => `${destination.port} ${data.toString()}`).sort()).toEqual(
    [`${ports[0]} one`, `${ports[1]} two`, `${ports[0]} three`].sort(),
  );
  expect(await runHere(["record", "0", "-o", file])).toMatchObject({
    code: 1,
    stderr: `datagram record: cannot record to ${JSON.stringify(file)}: it exists: --overwrite replaces it\n`,
  });
});

test("a second Ctrl-C before the file is written loses nothing of it, and no signal finds the command without a listener", async (t) => {
  const file = join(folderOf(t), "twice.pcapng");
  const root = new URL("../../build/src/", import.meta.url).href;
  const script = `
    import { once } from "node:events";
    import { socket } from "${root}index.js";
    import { record } from "${root}capture/index.js";
    import { startRecording } from "${root}cli/recording.js";
    import { stopSignal } from "${root}cli/terminal.js";
    const s = socket();
    await s.bind(["127.0.0.1", 0]);
    startRecording((path, options) => record(s, path, options), process.argv[1]);
    const stop = stopSignal();
    const onRemoved = (name) => {
      if (process.listenerCount(name) === 0) console.log(name, "has no listener");
    };
    process.on("removeListener", onRemoved);
    // Neither listeners to signals nor recordings keep the process alive.
    setInterval(() => {}, 1000);
    process.kill(process.pid, "SIGINT");
    await once(stop, "abort");
    await s.sendto("just now", s.getsockname());
    await s.recvfrom(20);
    process.off("removeListener", onRemoved);
    process.kill(process.pid, "SIGINT");`;
  const program = new Program(t, process.execPath, ["--input-type=module", "-e", script, file]);
  expect(await program.ended).toEqual({ code: null, signal: "SIGINT", stdout: "", stderr: "" });
  expect((await datagramsOf(file)).map(({ direction }) => direction)).toEqual(["out", "in"]);
});

test("record --overwrite replaces a file by a new one, and a recorder that writes the old one says so", async (t) => {
  const file = join(folderOf(t), "same.pcapng");
  const first = datagram(t, ["record", "0", "-o", file]);
  const port = await listening(first);
  const old = openSync(file, "r");
  t.onTestFinished(() => closeSync(old));
  const second = datagram(t, ["record", "0", "-o", file, "--overwrite"]);
  const secondPort = await listening(second);
  expect(fstatSync(old).nlink).toBe(0);
  await sendTexts(t, ["of the second", secondPort]);
  // The first one looks for its file once a second.
  let isTold = false;
  const told = lineWith(first, "was removed").finally(() => (isTold = true));
  while (!isTold) {
    await sendTexts(t, ["of the first", port]);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await told;
  first.child.kill("SIGINT");
  await first.ended;
  while (!readFileSync(file).includes("second")) await new Promise((resolve) => setTimeout(resolve, 20));
  second.child.kill("SIGINT");
  expect(await second.ended).toMatchObject({ code: 0 });
  expect((await datagramsOf(file)).map(({ data }) => data.toString())).toEqual(["of the second"]);
});

test("record --output - tells of a reader that has gone, and not of a disk", async (t) => {
  const program = datagram(t, ["record", "0", "-o", "-"]);
  const port = await listening(program);
  program.child.stdout!.destroy();
  await once(program.child.stdout!, "close");
  await sendTexts(t, ["one", port], ["two", port]);
  const { stderr } = await program.ended;
  expect(stderr).toContain("\n  not written, because the reader of standard output has gone: 2\n");
  expect(stderr).not.toMatch(/disk|EPIPE/);
});

test("a file on a full disk is told by its cause", () => {
  const stats = { datagrams: 1, bytes: 1, unreachable: 0, missed: 5, lost: 0, fileBytes: 1, files: 1 };
  const recording = (code: string): Recording =>
    ({ file: "x", stats: () => ({ ...stats, ended: "closed", error: new OSError(code) }) }) as Recording;
  expect(recordingSummary(recording("ENOSPC"), undefined)).toContain(
    "  not written, because the disk is full: 5",
  );
  expect(recordingSummary(recording("EIO"), undefined)).toContain(
    "  not written, because the disk was too slow or failed: 5",
  );
});

test("a disk without room for the end of the file: the error says that the file does not tell what is missing", async (t) => {
  const root = new URL("../../build/src/", import.meta.url).href;
  const script = `
    import { openSync, statSync, writeSync } from "node:fs";
    import { setTimeout } from "node:timers/promises";
    import { socket } from "${root}index.js";
    import { record } from "${root}capture/index.js";
    import { endRecording, startRecording } from "${root}cli/recording.js";
    const [folder] = process.argv.slice(-1);
    const [s, peer] = [socket(), socket()];
    await s.bind(["127.0.0.1", 0]);
    const file = folder + "/full.pcapng";
    const recording = startRecording((path, options) => record(s, path, options), file);
    const receive = async (bytes) => {
      await peer.sendto(Buffer.alloc(bytes), s.getsockname());
      await s.recvfrom(65_535);
    };
    // Until no page of memory, which is the block of this disk, has room for the end.
    let seen = statSync(file).size;
    for (let left = Infinity; left > 40; left = 65536 - (seen % 65536)) {
      await receive(left < 96 ? 1000 : Math.min(left - 96, 30_000));
      while (statSync(file).size === seen) await setTimeout(20);
      seen = statSync(file).size;
    }
    const filler = openSync(folder + "/filler", "w");
    try {
      for (;;) writeSync(filler, Buffer.alloc(4096));
    } catch {}
    await receive(1000);
    while (recording.stats().missed === 0) await setTimeout(20);
    await endRecording(recording).catch((error) => console.log(error.exitCode, error.message));
    await Promise.all([s.close(), peer.close()]);`;
  const folder = folderOf(t);
  const mount = 'mount -t tmpfs -o size=512k none "$1" || exit 9; exec "$2" --input-type=module -e "$3" "$1"';
  const args = ["--map-root-user", "--mount", "sh", "-c", mount, "sh", folder, process.execPath, script];
  const { code, stdout, stderr } = await new Program(t, "unshare", args).ended;
  if (code !== 0 && /mount|unshare/.test(stderr) && !everyTestRequired)
    t.skip("no small disk can be mounted here");
  const name = JSON.stringify(join(folder, "full.pcapng"));
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `1 cannot write the end of ${name}: the disk is full: nothing in it says that 1 datagram is missing after its last one\n`,
  });
  expect(stderr).toContain("\n  not written, because the disk is full: 1\n");
});

test("listen --record replaces a file only with --overwrite, and a missing folder is told", async (t) => {
  const file = join(folderOf(t), "listened.pcapng");
  writeFileSync(file, "mine");
  expect(await runHere(["listen", "0", "--record", file])).toMatchObject({
    code: 1,
    stderr: `datagram listen: cannot record to ${JSON.stringify(file)}: it exists: --overwrite replaces it\n`,
  });
  const args = ["listen", "0", "--record", file, "--overwrite", "--timeout", "1ms"];
  expect(await runHere(args)).toMatchObject({ code: 3 });
  expect(await datagramsOf(file)).toEqual([]);
  expect((await runHere(["record", "0", "-o", join(file, "..", "no", "a.pcapng")])).stderr).toMatch(
    /cannot record to ".*": there is no such folder\n$/,
  );
});

test("record ends at --limit, and names several files by number and time", async (t) => {
  const folder = folderOf(t);
  const limits = ["--rotate-size", "64k", "--limit", "128k", "--max-files", "1"];
  const program = datagram(t, ["record", "0", "-o", join(folder, "day.pcapng"), ...limits]);
  const port = await listening(program);
  const s = socket();
  t.onTestFinished(() => s.close());
  let over = false;
  void program.ended.then(() => (over = true));
  while (!over) {
    await s.sendMany(new Array<Buffer>(20).fill(Buffer.alloc(1000)), ["127.0.0.1", port]);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { code, stderr } = await program.ended;
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /\nrecorded \d+ datagrams .*, to \d files, the last of them ".*day_0000\d_\d{14}\.pcapng"\n/,
  );
  expect(stderr).toContain("\n  the limit of the size is reached\n");
  expect(readdirSync(folder).length).toBe(1);
});

test("record --count ends with that datagram, and --timeout when no more come", async (t) => {
  const folder = folderOf(t);
  const files = ["all", "few", "none"].map((name) => join(folder, `${name}.pcapng`));
  const all = datagram(t, ["record", "0", "-o", files[0]!, "--count", "3"]);
  const port = await listening(all);
  const s = socket();
  t.onTestFinished(() => s.close());
  // In one call, so that they may be read in one piece.
  await s.sendMany(["1", "2", "3", "4", "5"].map(Buffer.from), ["127.0.0.1", port]);
  const { code, stderr } = await all.ended;
  expect(code).toBe(0);
  expect(stderr).toContain("\nrecorded 3 datagrams from 1 peer, ");
  expect(stderr).not.toContain("limit");
  expect((await datagramsOf(files[0]!)).map(({ data }) => data.toString())).toEqual(["1", "2", "3"]);

  const few = datagram(t, ["record", "0", "-o", files[1]!, "--count", "3", "--timeout", "2s"]);
  await sendTexts(t, ["one", await listening(few)]);
  const ended = await few.ended;
  expect(ended.code).toBe(3);
  expect(ended.stderr).toMatch(/\ndatagram record: 1 of 3 datagrams came, and no more in 2 s\n$/);
  expect(await datagramsOf(files[1]!)).toHaveLength(1);
  const none = await datagram(t, ["record", "0", "-o", files[2]!, "--timeout", "10ms"]).ended;
  expect(none.code).toBe(3);
  expect(none.stderr).toMatch(/\nrecorded 0 datagrams [^]*\ndatagram record: no datagram came in 10 ms\n$/);
});

test("record --output - appends to a file, and does not remove what it has", async (t) => {
  const file = join(folderOf(t), "redirected.pcapng");
  const script = 'exec "$0" "$1" record 0 --output - >> "$2"';
  for (const text of ["first", "second"]) {
    const program = new Program(t, "sh", ["-c", script, process.execPath, bin, file]);
    const port = await listening(program);
    await sendTexts(t, [text, port]);
    while (!readFileSync(file).includes(text)) await new Promise((resolve) => setTimeout(resolve, 20));
    program.child.kill("SIGTERM");
    expect((await program.ended).stderr).toMatch(
      /\nrecorded 1 datagram from 1 peer, \d+ bytes, to standard output\n/,
    );
  }
  expect((await datagramsOf(file)).map(({ data }) => data.toString())).toEqual(["first", "second"]);
});

test("record --output - writes to a socket, as which Node and others connect standard output", async (t) => {
  const child = spawn(process.execPath, [bin, "record", "0", "--output", "-"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.onTestFinished(() => void child.kill("SIGKILL"));
  const output: Buffer[] = [];
  const closed = once(child, "close");
  child.stdout.on("data", (bytes: Buffer) => {
    output.push(bytes);
    // A second signal would end it without the end of the file.
    if (!child.killed && Buffer.concat(output).includes("by a socket")) child.kill("SIGINT");
  });
  let notices = "";
  let isSent = false;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    notices += text;
    const [, port] = /listening on .*:(\d+)\n/.exec(notices) ?? [];
    if (port === undefined || isSent) return;
    isSent = true;
    void sendTexts(t, ["by a socket", Number(port)]);
  });
  expect(await closed).toEqual([0, null]);
  const found = await datagramsOf(Buffer.concat(output));
  expect(found.map(({ data }) => data.toString())).toEqual(["by a socket"]);
});

test("listen --record writes the datagrams and the answers", async (t) => {
  const file = join(folderOf(t), "listen.pcapng");
  const program = datagram(t, ["listen", "0", "--reply", "ack {}", "--record", file, "--count", "1"]);
  const port = await listening(program);
  await sendTexts(t, ["hello", port]);
  const { code, stderr } = await program.ended;
  expect(code).toBe(0);
  expect(stderr).toMatch(/\nrecorded 2 datagrams, \d+ bytes, to ".*listen\.pcapng"\n/);
  const found = await datagramsOf(file);
  expect(found.map(({ direction, data }) => `${direction} ${data.toString()}`)).toEqual([
    "in hello",
    "out ack hello",
  ]);
});

test("a file that cannot be written is an error, and nothing is listened to", async (t) => {
  const file = join(folderOf(t), "missing", "x.pcapng");
  for (const args of [
    ["record", "0", "-o", file],
    ["listen", "0", "--record", file],
  ])
    expect(await runHere(args)).toMatchObject({
      code: 1,
      stderr: `datagram ${args[0]}: cannot record to ${JSON.stringify(file)}: there is no such folder\n`,
    });
  expect(existsSync(file)).toBe(false);
});
