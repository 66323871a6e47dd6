import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { watch } from "datagram/watch";
import { type TestContext, expect, test } from "vitest";

import { capture, icmpErrors, startMs } from "./capture-file.js";
import { PageClient } from "./client.js";

/** Plays a file in a page. */
async function played(t: TestContext, bytes: Uint8Array): Promise<PageClient> {
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  const file = join(folder, "day.pcapng");
  writeFileSync(file, bytes);
  const page = await watch(file);
  t.onTestFinished(async () => {
    await page.close();
    rmSync(folder, { recursive: true });
  });
  return PageClient.open(page);
}

test("a capture file is played, and a seek shows what had arrived until there", async (t) => {
  const shown = await played(t, capture(600));
  shown.send({ type: "seek", positionMs: startMs + 30_000, speed: 0 });
  const hello = await shown.next("hello");
  expect(hello).toMatchObject({
    nowMs: startMs + 30_000,
    sources: [{ kind: "recording", label: "day.pcapng", sends: false }],
    playback: { firstMs: startMs, lastMs: startMs + 59_900, positionMs: startMs + 30_000, speed: 0 },
  });
  expect(hello.playback?.overview?.reduce((sum, each) => sum + each, 0)).toBe(600);
  const { rows } = await shown.next("peers", (message) =>
    message.rows.some(({ datagrams }) => datagrams > 290),
  );
  expect(rows).toMatchObject([{ address: "10.0.0.7:5000", datagrams: 301, silent: false, gaps: 0 }]);
  shown.send({ type: "seek", positionMs: startMs + 1000, speed: 0 });
  expect(await shown.next("peers", (message) => message.rows[0]?.datagrams === 11)).toBeDefined();
  // A move of two steps forward begins nothing anew, and shows what is between.
  shown.send({ type: "seek", positionMs: startMs + 1100, speed: 0 });
  expect(await shown.next("peers", (message) => message.rows[0]?.datagrams === 12)).toBeDefined();
  shown.send({ type: "seek", positionMs: startMs + 1000, speed: 1000 });
  await shown.next("playback", ({ positionMs, speed }) => positionMs === startMs + 59_900 && speed === 0);
  await shown.next("peers", (message) => message.rows.some(({ datagrams }) => datagrams === 600));
  shown.send({ type: "record", on: true });
  expect((await shown.next("refused")).error).toMatch(/no open socket/);
});

test("a file without datagrams, and one that is not there, are errors", async () => {
  await expect(watch("/no/such/file.pcapng")).rejects.toMatchObject({ code: "ENOENT" });
});

test("losses before the recording are one report for each second of the file", async (t) => {
  const shown = await played(t, capture(35, { dropCount: 2 }));
  shown.send({ type: "seek", positionMs: startMs + 3400, speed: 0 });
  await shown.next("hello");
  const losses = [];
  for (let each = 0; each < 4; each++) losses.push(await shown.next("loss"));
  expect(losses.map(({ atMs, datagrams, sentence }) => [atMs - startMs, datagrams, sentence])).toEqual([
    [0, 20, "At least 20 packets were lost before they were recorded."],
    [1000, 20, "At least 20 packets were lost before they were recorded."],
    [2000, 20, "At least 20 packets were lost before they were recorded."],
    [3000, 10, "At least 10 packets were lost before they were recorded."],
  ]);
  await shown.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 35));
  expect(shown.messages.filter(({ type }) => type === "loss")).toEqual([]);
});

test("ICMP errors of a file are counted at their peer, and told once for each second, also after the last datagram", async (t) => {
  const times = [2100, 2200, 5000].map((ms) => startMs + ms);
  // The datagrams are those of the first second.
  const shown = await played(t, Buffer.concat([capture(10), icmpErrors(times)]));
  shown.send({ type: "seek", positionMs: startMs + 3000, speed: 0 });
  expect((await shown.next("hello")).playback).toMatchObject({ lastMs: startMs + 5000 });
  expect(await shown.next("loss")).toMatchObject({
    ...{ cause: "unreachable", datagrams: 2, atLeast: true },
    sentence:
      "10.0.9.9:7000 cannot be reached (host unreachable, from 10.0.0.254): the last of at least 2 datagrams that did not arrive.",
  });
  const { rows } = await shown.next("peers", (message) => message.rows.length === 2);
  expect(rows.find(({ address }) => address === "10.0.9.9:7000")).toMatchObject({ icmp: 2, datagrams: 0 });
  shown.send({ type: "seek", positionMs: startMs + 3000, speed: 1000 });
  expect(await shown.next("loss")).toMatchObject({ cause: "unreachable", datagrams: 1 });
  // After a move back they are counted anew.
  shown.send({ type: "seek", positionMs: startMs, speed: 0 });
  await shown.next("hello");
  shown.send({ type: "seek", positionMs: startMs + 5000, speed: 0 });
  await shown.next("hello");
  await shown.next("peers", (message) => message.rows.some(({ icmp }) => icmp === 3));
});

test("after a move back, the time of the page is that of the position", async (t) => {
  const shown = await played(t, capture(600));
  for (const positionMs of [startMs + 50_000, startMs + 20_000]) {
    shown.send({ type: "seek", positionMs, speed: 0 });
    const { nowMs, playback } = await shown.next("hello");
    expect([nowMs, playback?.positionMs]).toEqual([positionMs, positionMs]);
    const { atMs } = await shown.next("peers", ({ rows }) => rows.length > 0);
    expect(atMs).toBe(positionMs);
  }
});

test("a time that no clock can show becomes the last one that it can", async (t) => {
  const file = Buffer.from(capture(1));
  // The resolution of the interface, in nanoseconds, becomes seconds: the option if_tsresol (code 9) of one byte.
  const at = file.indexOf(Buffer.from([9, 0, 1, 0, 9]));
  expect(at).toBeGreaterThan(0);
  file[at + 4] = 0;
  const shown = await played(t, file);
  shown.send({ type: "list", request: 1, live: true, text: "" });
  const { rows } = await shown.next("datagrams", (message) => message.rows.length > 0);
  expect(rows).toMatchObject([{ timestamp: "9223372036854775807", preview: "datagram 0" }]);
  shown.send({ type: "seek", positionMs: 0, speed: 0 });
  const { firstMs, lastMs, positionMs } = await shown.next("playback", ({ speed }) => speed === 0);
  expect([firstMs, lastMs, positionMs]).toEqual([8.64e15, 8.64e15, 8.64e15]);
});
