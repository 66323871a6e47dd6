/** Traffic of this host, recorded by tcpdump, dumpcap and tshark. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { type TestContext, expect, test } from "vitest";

import { socket } from "datagram";
import { read } from "datagram/capture";
import { whySkipped } from "../process/programs.js";
import { byRead, byTshark, folderOf, need } from "./files.js";

const filter = (port: number): string => `udp port ${port} or icmp`;
const isRoot = process.getuid?.() === 0;

/** Recorders, and the line with which each says that it records. */
const recorders: readonly (readonly [
  name: string,
  program: string,
  args: readonly string[],
  ready: string,
])[] = [
  ["tcpdump of loopback", "tcpdump", ["-i", "lo", "-U", "-w"], "listening on"],
  [
    "tcpdump of every interface",
    "tcpdump",
    ["-i", "any", "-U", "--time-stamp-precision=nano", "-w"],
    "listening on",
  ],
  [
    "tcpdump of every interface, cooked",
    "tcpdump",
    ["-i", "any", "-y", "LINUX_SLL", "-U", "-w"],
    "listening on",
  ],
  ["dumpcap", "dumpcap", ["-q", "-i", "lo", "-w"], "File:"],
];

test.skipIf(!isRoot).for(recorders)("%s", async ([, program, args, ready], t) => {
  need(t, program, "tshark");
  const file = join(folderOf(t), "live");
  const receiver = socket();
  t.onTestFinished(() => receiver.close());
  await receiver.bind(["127.0.0.1", 0]);
  const { port } = receiver.getsockname();
  const stop = await record(
    t,
    program,
    [...args, file, ...(program === "dumpcap" ? ["-f", filter(port)] : [filter(port)])],
    ready,
  );
  const sender = socket();
  t.onTestFinished(() => sender.close());
  await sender.bind(["127.0.0.1", 0]);
  for (const text of ["one", "two", "three", "end"]) {
    await sender.sendto(text, ["127.0.0.1", port]);
    await receiver.recvfrom(10);
  }
  // dumpcap writes what it saw about once a second, and tcpdump at once.
  await until(() => readFileSync(file).includes("end"));
  await stop();
  const found = await byRead(file);
  expect(found.map((line) => Buffer.from(line.split(",").at(-1)!, "hex").toString())).toEqual([
    "one",
    "two",
    "three",
    "end",
  ]);
  expect(found).toEqual(byTshark(file));
});

test.skipIf(!isRoot || whySkipped("native") !== undefined)(
  "a run of datagrams that tcpdump sees as one packet is probably several",
  async (t) => {
    need(t, "tcpdump");
    const file = join(folderOf(t), "run");
    const receiver = socket();
    t.onTestFinished(() => receiver.close());
    await receiver.bind(["127.0.0.1", 0]);
    const { port } = receiver.getsockname();
    const stop = await record(t, "tcpdump", ["-i", "lo", "-U", "-w", file, filter(port)], "listening on");
    const sender = socket();
    t.onTestFinished(() => sender.close());
    const payload = Buffer.alloc(100, "run ");
    await sender.sendMany(new Array<Buffer>(60).fill(payload), ["127.0.0.1", port]);
    for (let count = 0; count < 60; count++) await receiver.recvfrom(100);
    await sender.sendto("end", ["127.0.0.1", port]);
    await until(() => readFileSync(file).includes("end"));
    await stop();
    const reading = read(file);
    const found = [];
    for await (const { size, probablySeveral } of reading) found.push({ size, probablySeveral });
    expect(found).toEqual([
      { size: 6000, probablySeveral: true },
      { size: 3, probablySeveral: false },
    ]);
    expect(reading.stats().probablySeveral).toBe(1);
  },
);

/** Starts a recorder. Returns the function that ends it. */
async function record(
  t: TestContext,
  program: string,
  args: readonly string[],
  ready: string,
): Promise<() => Promise<void>> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  t.onTestFinished(() => void child.kill("SIGKILL"));
  const exit = once(child, "exit");
  let text = "";
  while (!text.includes(ready)) {
    const [more] = (await Promise.race([once(child.stderr, "data"), exit])) as [Buffer | number];
    if (typeof more === "number") throw new Error(`${program} ended: ${text}`);
    text += String(more);
  }
  return async () => {
    child.kill("SIGINT");
    await exit;
  };
}

/** Waits until something is true that no event tells. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20));
}
