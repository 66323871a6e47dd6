import { on } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { type TestContext, expect, test } from "vitest";
import { WebSocket } from "ws";

import { datagramsOf, folderOf } from "../capture/files.js";
import { commandsInOneProcess } from "./one-process.js";
import { Program, bin, datagram, pythonReceiver, pythonSend } from "./program.js";

const runHere = commandsInOneProcess();

/** Starts `datagram proxy` on a free port, to a Python program that takes `count` datagrams. */
async function relay(
  t: TestContext,
  count: number,
  ...args: string[]
): Promise<{ readonly program: Program; readonly port: number; readonly took: () => Promise<string> }> {
  const peer = await pythonReceiver(t, count);
  const program = datagram(t, ["proxy", "0", peer.address, ...args]);
  const [, port] = /^listening on .*:(\d+) for /.exec(await program.line("stderr")) ?? [];
  return { program, port: Number(port), took: () => peer.line() };
}

const numbers = Array.from({ length: 10 }, (_, index) => `number ${index}`);

test("--record writes both sides, read --losses prints the drops with their rule, and the summary counts", async (t) => {
  const file = join(folderOf(t), "today.pcapng");
  const rule = "drop up numbers=2,4";
  const { program, port, took } = await relay(t, 8, "--record", file, "--rule", rule);
  await pythonSend(t, port, numbers);
  for (let count = 0; count < 8; count++) await took();
  const { code, stderr } = await program.stop("SIGINT");
  expect(code).toBe(0);
  expect(stderr).toMatch(/\nrecorded 18 datagrams, [\d.]+ KiB, to ".*today\.pcapng"\n$/);
  const { stdout, stderr: summary } = await runHere(["read", file, "--losses"]);
  const line = `\\S+ 127\\.0\\.0\\.1:\\d+ > 127\\.0\\.0\\.1:${port} 8 bytes dropped: rule drop up numbers=2,4\n`;
  expect(stdout).toMatch(new RegExp(`^${line}${line}$`));
  expect(summary).toContain("\n  datagrams dropped by a relay or a simulated link: 2\n");
  const objects = (await runHere(["read", file, "--json"])).stdout.trim().split("\n");
  const dropped = objects.map((text) => (JSON.parse(text) as { dropped?: string }).dropped);
  expect(dropped.filter((cause) => cause !== undefined)).toEqual([`rule ${rule}`, `rule ${rule}`]);
});

test("--record refuses a file that is there, which --overwrite replaces, and its options need it", async (t) => {
  const file = join(folderOf(t), "today.pcapng");
  const proxy = (...args: string[]): ReturnType<typeof runHere> =>
    runHere(["proxy", "0", "127.0.0.1:9", "--duration", "1ms", ...args]);
  expect((await proxy("--record", file)).code).toBe(0);
  expect(await proxy("--record", file)).toMatchObject({
    code: 1,
    stderr: `datagram proxy: cannot record to ${JSON.stringify(file)}: it exists: --overwrite replaces it\n`,
  });
  expect((await proxy("--record", file, "--overwrite")).code).toBe(0);
  for (const [args, text] of [
    [["--rotate-size", "1m"], "--rotate-size is for a recording: give --record <path>"],
    [["--rotate-time", "1m"], "--rotate-time is for a recording: give --record <path>"],
    [["--max-files", "2"], "--max-files is for a recording: give --record <path>"],
    [["--limit", "1m"], "--limit is for a recording: give --record <path>"],
    [["--overwrite"], "--overwrite is for a recording: give --record <path>"],
    [["--record", file, "--max-files", "2"], "--max-files needs --rotate-size or --rotate-time"],
    [
      ["--record", "-", "--rotate-size", "1m"],
      "standard output is one file: without --rotate-size and --rotate-time",
    ],
    [["--record", "-", "--json"], "--record - and --json both write to standard output"],
  ] as const) {
    expect(await proxy(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(text) as string });
  }
});

test("--rotate-size and --max-files keep the newest files, and --limit ends the recording but not the relay", async (t) => {
  const folder = folderOf(t);
  const options = ["--rotate-size", "64k", "--rotate-time", "10m", "--max-files", "1", "--limit", "200k"];
  const { program, port, took } = await relay(t, 400, "--record", join(folder, "day.pcapng"), ...options);
  const ended = (async () => {
    for (;;) if ((await program.line("stderr")).startsWith("the limit of --limit is reached")) return;
  })();
  for (let round = 0; round < 8; round++) {
    await pythonSend(t, port, new Array<string>(50).fill("x".repeat(1000)));
    for (let count = 0; count < 50; count++) await took();
  }
  await ended;
  const { code, stderr } = await program.stop("SIGINT");
  expect(code).toBe(0);
  expect(stderr).toMatch(/ {2}up: {3}400 in, 400 out\n/);
  expect(stderr).toMatch(
    /\nrecorded \d+ datagrams, .*, to \d files, .*\n {2}the limit of the size is reached\n$/,
  );
  const [name, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  expect((await datagramsOf(join(folder, name!))).length).toBeGreaterThan(0);
});

test("--record - writes the file to standard output", async (t) => {
  const file = join(folderOf(t), "redirected.pcapng");
  const peer = await pythonReceiver(t, 1);
  const script = 'exec "$0" "$1" proxy 0 "$3" --record - > "$2"';
  const program = new Program(t, "sh", ["-c", script, process.execPath, bin, file, peer.address]);
  const [, port] = /^listening on .*:(\d+) for /.exec(await program.line("stderr")) ?? [];
  await pythonSend(t, Number(port), ["redirected"]);
  await peer.line();
  const { code, stderr } = await program.stop("SIGTERM");
  expect(code).toBe(0);
  expect(stderr).toContain("to standard output\n");
  const found = await datagramsOf(file);
  expect(found.map((each) => `${each.interface} ${each.data.toString()}`).sort()).toEqual([
    "clients redirected",
    "targets redirected",
  ]);
});

test("--watch prints the address of a page that shows both sides, and --page says where it is", async (t) => {
  for (const option of [["--watch"], ["--page", "0"]]) {
    const { program, port } = await relay(t, 1, "--rule", "drop up", ...option);
    const page = await (async () => {
      for (;;) {
        const [, url] = /^the page is at (http:.*)$/.exec(await program.line("stderr")) ?? [];
        if (url !== undefined) return url;
      }
    })();
    const client = new WebSocket(page.replace("http", "ws") + "socket", { origin: page.slice(0, -1) });
    // From now on: several messages may come in one turn of the loop.
    const messages = on(client, "message") as AsyncIterableIterator<[Buffer]>;
    const [hello] = (await messages.next()).value as [Buffer];
    expect(JSON.parse(hello.toString())).toMatchObject({
      sources: [
        { kind: "before", label: `127.0.0.1:${port}` },
        { kind: "after", sends: false },
      ],
    });
    await pythonSend(t, port, ["one"]);
    for await (const [message] of messages) if (message.includes('"by":"rule drop up","datagrams":1')) break;
    client.close();
    expect((await program.stop("SIGINT")).code).toBe(0);
  }
});
