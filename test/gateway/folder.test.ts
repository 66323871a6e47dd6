/** The gateway into capture files, without a server. */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { type TestContext, expect, test } from "vitest";

import { type CaptureError, read } from "datagram/capture";
import { type Losses, gateway } from "datagram/gateway";
import { folderOf, need, run } from "../capture/files.js";
import { Program, bin, datagram } from "../cli/program.js";
import { requireAll } from "../process/programs.js";
import { bound, expectClosed, sendNumbered, started, until } from "./sending.js";

const dist = fileURLToPath(new URL("../../dist/", import.meta.url));

/** The capture files of a folder, the oldest one first. */
function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".pcapng"))
    .sort()
    .map((name) => join(folder, name));
}

/** The payloads of all files of a folder. @param mayBeCut whether the last file may end within a block. */
async function payloadsOf(folder: string, mayBeCut = false): Promise<string[]> {
  const payloads: string[] = [];
  const files = filesOf(folder);
  for (const file of files) {
    try {
      for await (const { data } of read(file)) payloads.push(String(data));
    } catch (error) {
      if (!mayBeCut || file !== files.at(-1) || (error as CaptureError).code !== "ENODATA") throw error;
    }
  }
  return payloads;
}

function numbers(count: number, start = 0): string[] {
  return Array.from({ length: count }, (_, index) => String(start + index));
}

/** Makes a folder in a namespace of its own, a disk of 256 KiB, and runs a program there. */
function onSmallDisk(t: TestContext, script: string): Record<string, unknown> {
  const mount = 'mount -t tmpfs -o size=256k none "$1" || exit 9; exec "$2" --input-type=module -e "$3" "$1"';
  const args = ["--map-root-user", "--mount", "sh", "-c", mount, "sh", folderOf(t), process.execPath, script];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  if ((status === 9 || status === null) && !requireAll) t.skip("a file system cannot be mounted here");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as Record<string, unknown>;
}

test("each datagram is once in the files, with its addresses, and tshark finds its checksums right", async (t) => {
  need(t, "tshark");
  const into = join(folderOf(t), "made");
  const { running, at } = await started(t, { into });
  const from = await bound(t);
  await sendNumbered(running, from, at, 300);
  await from.sendto("", at);
  await from.sendto(Buffer.alloc(65_507, "x"), at);
  await until(running, ({ stored }) => stored === 302);
  await running.close();
  const { answers, ...stats } = running.stats();
  const [file = ""] = filesOf(into);
  expect(answers).toBeUndefined();
  expect(stats).toMatchObject({
    received: 302,
    stored: 302,
    shed: 0,
    refused: 0,
    inFlight: 0,
    resent: 0,
    folder: { files: 1, removedFiles: 0, bytes: statSync(file).size },
  });
  expect(await payloadsOf(into)).toEqual([...numbers(300), "", "x".repeat(65_507)]);
  const fields = ["udp.srcport", "udp.dstport", "ip.checksum.status", "udp.checksum.status", "udp.payload"];
  const checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
  const rows = run("tshark", "-r", file, ...checks, "-T", "fields", ...fields.flatMap((name) => ["-e", name]))
    .trimEnd()
    .split("\n");
  const ports = `${from.getsockname().port}\t${at.port}\t1\t1\t`;
  expect(rows.slice(0, 301)).toEqual(
    [...numbers(300), ""].map((text) => ports + Buffer.from(text).toString("hex")),
  );
  expect(rows.length).toBe(302);
});

test("datagrams of IPv6 are stored as IPv6", async (t) => {
  const into = folderOf(t);
  const s = await bound(t, "::1");
  const running = await gateway(s, { into });
  t.onTestFinished(() => running.close());
  const from = await bound(t, "::1");
  await from.sendto("six", s.getsockname());
  await until(running, ({ stored }) => stored === 1);
  const found = [];
  for await (const { source, destination } of read(filesOf(into)[0] ?? ""))
    found.push(`${source} ${destination}`);
  expect(found).toEqual([`${from.getsockname()} ${s.getsockname()}`]);
});

test("above the limit the oldest files are removed and counted, those of earlier runs too, and no other file", async (t) => {
  const into = folderOf(t);
  const s = await bound(t);
  const at = s.getsockname();
  const from = await bound(t);
  const name = `datagram_127-0-0-1_${at.port}`;
  const others = [
    "notes.txt",
    `${name}.pcapng`,
    `${name}_00001_now.pcapng`,
    "datagram_127-0-0-1_1_00001_20261128115308.pcapng",
  ];
  for (const other of others) writeFileSync(join(into, other), "not of this gateway");
  mkdirSync(join(into, `${name}_00000_20261128115308.pcapng`));
  const limits = { into, rotateBytes: 131_072, limitBytes: 524_288 };
  const own = (): string[] =>
    filesOf(into).filter(
      (file) => /_\d{14}[.]pcapng$/.test(file) && file.includes(name) && statSync(file).isFile(),
    );
  let sent = 0;
  const store = async (datagrams: number): Promise<Awaited<ReturnType<typeof gateway>>> => {
    const running = await gateway(s, limits);
    t.onTestFinished(() => running.close());
    for (let done = 0; done < datagrams; done += 10) {
      await from.sendMany(
        Array.from({ length: 10 }, () => Buffer.alloc(5000, `${sent++} `)),
        at,
      );
      await until(running, ({ received }) => received === done + 10);
    }
    await running.close();
    return running;
  };
  const first = await store(60);
  const ofFirst = own();
  expect(first.stats().folder).toMatchObject({ files: ofFirst.length, removedFiles: 0 });
  const second = await store(200);
  const { folder, stored, refused } = second.stats();
  expect({ stored, refused }).toEqual({ stored: 200, refused: 0 });
  const rest = own();
  const bytes = rest.reduce((sum, file) => sum + statSync(file).size, 0);
  expect(folder?.bytes).toBe(bytes);
  expect(bytes).toBeLessThanOrEqual(524_288);
  expect(folder?.removedFiles).toBe(ofFirst.length + (folder?.files ?? 0) - rest.length);
  for (const file of ofFirst) expect(rest).not.toContain(file);
  for (const file of rest) expect(statSync(file).size).toBeLessThanOrEqual(131_072);
  // The newest datagrams are there, without a gap.
  const found: number[] = [];
  for (const file of rest) for await (const { data } of read(file)) found.push(Number.parseInt(String(data)));
  expect(found).toEqual(numbers(found.length, sent - found.length).map(Number));
  for (const other of others) expect(readFileSync(join(into, other), "utf8")).toBe("not of this gateway");
});

test("after rotateMs the next datagram starts another file", async (t) => {
  const into = folderOf(t);
  const { running, at } = await started(t, { into, rotateMs: 1000 });
  const from = await bound(t);
  let sent = 0;
  while ((running.stats().folder?.files ?? 0) < 3) {
    await from.sendto(String(sent++), at);
    await until(running, ({ stored }) => stored === sent);
  }
  await running.close();
  expect(filesOf(into).length).toBe(3);
  expect(await payloadsOf(into)).toEqual(numbers(sent));
});

test("datagrams for a folder that is gone are refused, and when it is back they are stored", async (t) => {
  const into = join(folderOf(t), "folder");
  const told: Losses[] = [];
  const { running, at } = await started(t, { into, onLosses: (losses) => told.push(losses) });
  const from = await bound(t);
  let sent = 0;
  const send = async (): Promise<void> => {
    await from.sendto(String(sent++), at);
    await until(running, ({ received, inFlight }) => received === sent && inFlight === 0);
  };
  await send();
  const before = running.stats().stored;
  rmSync(into, { recursive: true });
  while (running.stats().refused < 3) await send();
  mkdirSync(into);
  while (running.stats().stored === before) await send();
  await running.close();
  const { stored, refused, refusedBy } = running.stats();
  expect(stored + refused).toBe(sent);
  expect(refusedBy).toEqual({ "the folder or the file is not there": refused });
  expect(told.map((losses) => Object.keys(losses.refused))).toContainEqual(Object.keys(refusedBy));
  expect((await payloadsOf(into)).length).toBe(stored - before);
});

test("a full disk refuses datagrams, what is stored can be read once, and with room the gateway goes on", (t) => {
  const result = onSmallDisk(
    t,
    `
    import { readdirSync, rmSync, writeFileSync } from "node:fs";
    import { setTimeout } from "node:timers/promises";
    import { socket } from "${dist}index.js";
    import { read } from "${dist}capture/index.js";
    import { gateway } from "${dist}gateway/index.js";
    const [folder] = process.argv.slice(-1);
    writeFileSync(folder + "/filler", Buffer.alloc(128 << 10));
    const s = socket();
    await s.bind(["127.0.0.1", 0]);
    const running = await gateway(s, { into: folder });
    let number = 0;
    const sendUntil = async (isTrue) => {
      while (!isTrue(running.stats())) {
        await s.sendMany([0, 0, 0].map(() => Buffer.alloc(1000, number++ + " ")), s.getsockname());
        await setTimeout(20);
      }
    };
    await sendUntil(({ refused }) => refused > 0);
    const { stored } = running.stats();
    rmSync(folder + "/filler");
    await sendUntil((stats) => stats.stored > stored);
    await running.close();
    const found = [];
    const files = readdirSync(folder);
    for (const file of files) for await (const { data } of read(folder + "/" + file)) found.push(Number.parseInt(data));
    const unique = new Set(found).size;
    process.stdout.write(JSON.stringify({ ...running.stats(), found: found.length, unique, number, names: files.length }));`,
  ) as Record<
    "stored" | "refused" | "shed" | "inFlight" | "found" | "unique" | "number" | "names",
    number
  > & {
    refusedBy: object;
    folder: { files: number };
  };
  expect(result.refusedBy).toEqual({ "the disk is full": result.refused });
  expect(result).toMatchObject({ found: result.stored, unique: result.stored, shed: 0, inFlight: 0 });
  expect(result.stored + result.refused).toBe(result.number);
  expect(result.names).toBe(result.folder.files);
});

test("a file that the system lets grow no further refuses datagrams, the next file takes others, and each is counted", async (t) => {
  const into = join(folderOf(t), "limited");
  // A write that fails in the middle leaves a part of it in the file: setrlimit(2), RLIMIT_FSIZE.
  const words = [process.execPath, bin, "gateway", "0", "--into", into, "--json"];
  const script = 'trap "" XFSZ; ulimit -f 100; exec "$@"';
  const program = new Program(t, "sh", ["-c", script, "sh", ...words]);
  const [, port] = /^listening on .*:(\d+)$/.exec(await program.line("stderr")) ?? [];
  const from = await bound(t);
  let counts = { stored: 0, refused: 0, received: 0 };
  let sent = 0;
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      await from.sendto(`${sent++} `.padEnd(1000, "x"), ["127.0.0.1", Number(port)]);
      await sleep(5);
    }
  })();
  let before = Infinity;
  while (counts.stored <= before) {
    counts = JSON.parse(await program.line("stdout")) as typeof counts;
    if (counts.refused > 0) before = Math.min(before, counts.stored);
  }
  isOver = true;
  await sending;
  program.child.kill("SIGINT");
  const { stdout, stderr } = await program.ended;
  counts = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as typeof counts;
  expect(counts.stored + counts.refused).toBe(counts.received);
  expect(stderr).toContain(
    `the file would be longer than the system allows: let files be smaller: ${counts.refused}\n`,
  );
  const payloads = await payloadsOf(into);
  expect([payloads.length, new Set(payloads).size]).toEqual([counts.stored, counts.stored]);
});

test("more than the memory holds is shed, the account closes, and the files have the rest", async (t) => {
  const into = folderOf(t);
  const { running, at } = await started(t, { into, maxBytes: 131_072 });
  const from = await bound(t);
  while (running.stats().shed === 0) {
    const before = running.stats().received;
    await from.sendMany(
      Array.from({ length: 150 }, () => Buffer.alloc(1000)),
      at,
    );
    await until(running, ({ received }) => received > before);
    expectClosed(running.stats());
  }
  await running.close();
  expectClosed(running.stats());
  const { stored, refused, inFlight } = running.stats();
  expect({ refused, inFlight }).toEqual({ refused: 0, inFlight: 0 });
  expect((await payloadsOf(into)).length).toBe(stored);
});

test("after kill -9, everything that was reported as stored is in the files, and nothing twice", async (t) => {
  const into = join(folderOf(t), "killed");
  const program = datagram(t, ["gateway", "0", "--into", into, "--rotate-size", "128k", "--json"]);
  const [, port] = /^listening on .*:(\d+)$/.exec(await program.line("stderr")) ?? [];
  const from = await bound(t);
  let sent = 0;
  let isOver = false;
  const sending = (async () => {
    for (; !isOver; await new Promise((resolve) => setTimeout(resolve, 1)))
      await from.sendMany(
        numbers(20, (sent += 20) - 20).map((text) => Buffer.from(text.padEnd(100))),
        ["127.0.0.1", Number(port)],
      );
  })();
  let stored = 0;
  while (stored < 2000) ({ stored } = JSON.parse(await program.line("stdout")) as { stored: number });
  program.child.kill("SIGKILL");
  const { stdout } = await program.ended;
  isOver = true;
  await sending;
  const reports = stdout.split("\n").filter((line) => line.endsWith("}"));
  const last = JSON.parse(reports.at(-1) ?? "{}") as { stored: number; received: number };
  const found = (await payloadsOf(into, true)).map((text) => text.trimEnd());
  expect(filesOf(into).length).toBeGreaterThan(1);
  expect(last.stored).toBeGreaterThanOrEqual(2000);
  expect(found.length).toBeGreaterThanOrEqual(last.stored);
  expect(new Set(found).size).toBe(found.length);
});

test("a file that ends within a block can be read up to there", async (t) => {
  const into = folderOf(t);
  const { running, at } = await started(t, { into });
  await sendNumbered(running, await bound(t), at, 20);
  await running.close();
  const [file = ""] = filesOf(into);
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.subarray(0, bytes.length - 10));
  expect(await payloadsOf(into, true)).toEqual(numbers(19));
  await expect(payloadsOf(into)).rejects.toMatchObject({ code: "ENODATA" });
});

test("the client of NATS is not imported", (t) => {
  const hook = `export async function resolve(name, context, next) {
    if (name.startsWith("@nats-io")) throw new Error("the client of NATS is imported");
    return next(name, context);
  }`;
  const script = `
    import { register } from "node:module";
    register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hook)}));
    const { socket } = await import("${dist}index.js");
    const { gateway } = await import("${dist}gateway/index.js");
    const s = socket();
    await s.bind(["127.0.0.1", 0]);
    const running = await gateway(s, { into: process.argv.at(-1) });
    await s.sendto("hello", s.getsockname());
    while (running.stats().received < 1) await new Promise((resolve) => setImmediate(resolve));
    await running.close();
    console.log(running.stats().stored);
    await gateway(s, { nats: "nats://127.0.0.1:9", stream: "x" }).catch(({ message }) => console.log(message));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script, folderOf(t)], {
    encoding: "utf8",
  });
  expect({ stdout, stderr }).toEqual({ stdout: "1\nthe client of NATS is imported\n", stderr: "" });
});

test("the command ends with its account, and says what is wrong with a folder", async (t) => {
  const folder = folderOf(t);
  const program = datagram(t, ["gateway", "0", "--into", join(folder, "files")]);
  const [, port] = /^listening on .*:(\d+)$/.exec(await program.line("stderr")) ?? [];
  await program.line("stderr");
  expect(await program.line("stderr")).toBe(`storing in the folder "${join(folder, "files")}"`);
  await (await bound(t)).sendto("hello", ["127.0.0.1", Number(port)]);
  await expect.poll(() => filesOf(join(folder, "files")).length, { timeout: 60_000 }).toBe(1);
  program.child.kill("SIGINT");
  const { code, stderr } = await program.ended;
  expect(code).toBe(0);
  expect(stderr).toContain(
    "1 datagram received\n  stored: 1\n  shed: 0\n  refused: 0\n  without an answer of the disk: 0\n  files: 1\n",
  );
  renameSync(join(folder, "files"), join(folder, "moved"));
  writeFileSync(join(folder, "files"), "");
  expect(await datagram(t, ["gateway", "0", "--into", join(folder, "files")]).ended).toMatchObject({
    code: 1,
    stderr: `datagram gateway: cannot store in "${join(folder, "files")}": a part of the path is not a folder\n`,
  });
});
