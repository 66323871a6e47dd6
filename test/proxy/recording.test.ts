/** The capture file of a relay: both of its sides, and what it did to each datagram. */

import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import type { CapturedDatagram } from "datagram/capture";
import { type Relay, proxy } from "datagram/proxy";
import { Network } from "datagram/sim";
import { type TestContext, expect, test } from "vitest";

import { datagramsOf, folderOf, need, run } from "../capture/files.js";
import { unusedPort } from "../ports.js";
import { answerAll, bound, client, drain, numbersOf, relayTo, sendNumbers, take, until } from "./network.js";

/** Ends a relay, and reads its file. */
async function endOf(relay: Relay, file: string): Promise<CapturedDatagram[]> {
  await relay.close();
  return datagramsOf(file);
}

const side = (found: readonly CapturedDatagram[], name: string, direction: string): CapturedDatagram[] =>
  found.filter((each) => each.interface === name && each.direction === direction);
const texts = (found: readonly CapturedDatagram[]): string[] => found.map(({ data }) => data.toString());

/** Sends texts one after the other, each after the relay has read the one before. */
async function sendTexts(t: TestContext, relay: Relay, ...each: string[]): Promise<void> {
  const s = await client(t, relay);
  for (const text of each) {
    const before = relay.stats().up.received.datagrams;
    await s.send(text);
    await until(() => relay.stats().up.received.datagrams > before);
  }
}

test("the file has each datagram as it came in and as it left, with the addresses of both sides", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const target = await bound(t);
  void answerAll(target).catch(() => undefined);
  const relay = await relayTo(t, target, { record: file });
  const s = await client(t, relay);
  await s.send("one");
  const [answer] = await take(s, 1);
  const found = await endOf(relay, file);
  const own = s.getsockname();
  const [, upstream] = [own, side(found, "targets", "out")[0]!.source];
  const lines = found.map(
    ({ interface: name, direction, source, destination, data }) =>
      `${name} ${direction} ${source} ${destination} ${data.toString()}`,
  );
  expect(lines.sort()).toEqual(
    [
      `clients in ${own} ${relay.address} one`,
      `targets out ${upstream} ${target.getsockname()} one`,
      `targets in ${target.getsockname()} ${upstream} ${answer!.data.toString()}`,
      `clients out ${relay.address} ${own} ${answer!.data.toString()}`,
    ].sort(),
  );
  expect(found.map(({ comment, dropped }) => [comment, dropped])).toEqual(
    found.map(({ direction, data }) =>
      direction === "in"
        ? [undefined, undefined]
        : [`sender: ${data.equals(answer!.data) ? target.getsockname() : own}`, undefined],
    ),
  );
  expect(relay.recording?.stats()).toMatchObject({ datagrams: 4, ended: "sockets", files: 1 });
});

test("each file of a recording that rotates says who sent, at its first datagram of each flow", async (t) => {
  const folder = folderOf(t);
  const target = await bound(t);
  const record = { file: join(folder, "relay.pcapng"), rotateBytes: 65_536 };
  const relay = await relayTo(t, target, { record });
  // Files end on both sides.
  await sendTexts(
    t,
    relay,
    ...Array.from({ length: 300 }, (_, index) => "x".repeat(500 + ((index * 37) % 900))),
  );
  await relay.close();
  const files = readdirSync(folder);
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) {
    const [first] = side(await datagramsOf(join(folder, file)), "targets", "out");
    expect(first?.comment, file).toMatch(/^sender: 127\.0\.0\.1:\d+$/);
  }
});

test("a limit of bytes leaves no room for the name of a sender that the file has already", async (t) => {
  const folder = folderOf(t);
  const recorded = async (name: string, limitBytes?: number): Promise<{ bytes: number; left: number }> => {
    const file = join(folder, name);
    const target = await bound(t);
    const relay = await relayTo(t, target, { record: { file, ...(limitBytes && { limitBytes }) } });
    // The smallest limit is 65,536 bytes.
    await sendTexts(t, relay, "x".repeat(34_000), "two", "x".repeat(2000));
    await take(target, 3);
    const left = side(await endOf(relay, file), "targets", "out").length;
    return { bytes: statSync(file).size, left };
  };
  const { bytes, left } = await recorded("whole.pcapng");
  expect(left).toBe(3);
  // About 650 bytes more are kept for the end of the file than it needs. With room for a name, it would be more than 720.
  expect(await recorded("limited.pcapng", bytes + 700)).toEqual({ bytes, left: 3 });
});

test("a dropped datagram is in the file once, with the setting or the rule that dropped it", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const target = await bound(t);
  const rules = [{ action: "drop", numbers: "1", direction: "up" } as const];
  const relay = await relayTo(t, target, { record: { file }, link: { mtuBytes: 100 }, rules });
  await sendTexts(t, relay, "ruled", "x".repeat(73), "passes");
  relay.set({ up: { lossRatio: 1 } });
  await sendTexts(t, relay, "lost");
  relay.set({ up: { rateBps: 100, queueBytes: 1 } });
  await sendTexts(t, relay, "first of the queue", "queued");
  const found = await endOf(relay, file);
  const causes = side(found, "clients", "in").map(({ data, dropped }) => [
    data.toString().slice(0, 6),
    dropped,
  ]);
  expect(causes).toEqual([
    ["ruled", "rule drop up numbers=1"],
    ["xxxxxx", "mtu 100"],
    ["passes", undefined],
    ["lost", "loss 100%"],
    ["first ", undefined],
    ["queued", "full queue of 1 bytes before 100 bit/s"],
  ]);
  expect(texts(side(found, "targets", "out"))).toEqual(["passes"]);
});

test("datagrams that are delayed, duplicated or corrupted say so on both sides, and by what", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const target = await bound(t);
  const rules = [
    { action: { delayMs: 5 }, bytes: "late" },
    { action: "corrupt", bytes: "broken" },
  ] as const;
  const relay = await relayTo(t, target, { record: file, rules });
  await sendTexts(t, relay, "late", "broken");
  relay.set({ up: { duplicateRatio: 1, latencyMs: 2 } });
  await sendTexts(t, relay, "twice");
  await take(target, 4);
  const found = await endOf(relay, file);
  const comments = (name: string, direction: string): (string | undefined)[] =>
    side(found, name, direction).map(({ comment }) => comment);
  const delay = "delayed 2.0 ms: delay 2 ms";
  expect(comments("clients", "in")).toEqual([
    "delayed 5.0 ms: rule delay=5ms text=late",
    "corrupted: rule corrupt text=broken",
    `duplicated: duplicate 100%\n${delay}`,
  ]);
  // The two clients are two flows, whose first datagrams say who sent them.
  expect(
    comments("targets", "out")
      .map((comment) => comment?.replace(/\n?sender: 127\.0\.0\.1:\d+$/, ""))
      .sort(),
  ).toEqual(
    [
      "delayed 5.0 ms: rule delay=5ms text=late",
      "corrupted: rule corrupt text=broken",
      `duplicated: duplicate 100%\n${delay}`,
      `duplicate: duplicate 100%\n${delay}`,
    ].sort(),
  );
  expect(texts(side(found, "clients", "in"))[1]).toBe("broken");
  expect(texts(side(found, "targets", "out"))).not.toContain("broken");
});

test("what enters without loss is the sum of what the counts say, for a thousand datagrams", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const target = await bound(t);
  const relay = await relayTo(t, target, {
    record: file,
    link: { up: { lossRatio: 0.1, duplicateRatio: 0.05 } },
  });
  await sendNumbers(await client(t, relay), relay, 1000);
  await drain(target);
  const { lost, duplicated, delivered } = relay.stats().up;
  const found = await endOf(relay, file);
  const before = side(found, "clients", "in");
  const after = side(found, "targets", "out");
  expect(before).toHaveLength(1000);
  expect(before.filter(({ dropped }) => dropped === "loss 10%")).toHaveLength(lost);
  expect(after).toHaveLength(delivered.datagrams);
  expect(after.filter(({ comment }) => comment?.startsWith("duplicate: "))).toHaveLength(duplicated);
});

test("datagrams of refused clients, and answers that clients do not get, are in the file with the reason", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const [first, second] = [await bound(t), await bound(t)];
  for (const each of [first, second]) void answerAll(each).catch(() => undefined);
  const targets = [first.getsockname(), second.getsockname()];
  const relay = await proxy({ targets, maxClients: 1, record: file });
  t.onTestFinished(() => relay.close());
  await sendTexts(t, relay, "from one");
  await until(() => relay.stats().down.ignored === 1 && relay.stats().down.delivered.datagrams === 1);
  await sendTexts(t, relay, "from another");
  const found = await endOf(relay, file);
  expect(found.flatMap(({ dropped }) => dropped ?? []).sort()).toEqual([
    "answer of another target than the first",
    "limit of clients",
  ]);
  expect(
    side(found, "targets", "out")
      .map(({ destination }) => String(destination))
      .sort(),
  ).toEqual(targets.map(String).sort());
});

test("a recording begins and ends while the relay runs, and the file of the option ends with it", async (t) => {
  const folder = folderOf(t);
  const target = await bound(t);
  const relay = await relayTo(t, target);
  expect(relay.recording).toBeUndefined();
  await sendTexts(t, relay, "before");
  const recording = relay.record(join(folder, "part.pcapng"), { limitBytes: 1 << 20 });
  await sendTexts(t, relay, "during");
  await take(target, 2);
  expect(await recording.close()).toMatchObject({ datagrams: 2, ended: "closed" });
  await sendTexts(t, relay, "after");
  const found = await endOf(relay, join(folder, "part.pcapng"));
  expect(texts(found)).toEqual(["during", "during"]);
  expect(() => relay.record(join(folder, "late.pcapng"))).toThrow(expect.objectContaining({ code: "EBADF" }));
});

test("a file that exists, and wrong options, are refused before the relay runs", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const port = unusedPort();
  const options = { target: ["127.0.0.1", 9], listen: ["127.0.0.1", port] } as const;
  for (const [record, error] of [
    [{ file, maxFiles: 3 }, { code: "ERR_OUT_OF_RANGE" }],
    [{ file, rotate: 3 }, { code: "ERR_OUT_OF_RANGE" }],
    [{ file: true }, { code: "ERR_INVALID_ARG_TYPE" }],
    [join(file, "no-folder"), { code: "ENOENT" }],
  ] as const)
    await expect(proxy({ ...options, record: record as string })).rejects.toMatchObject(error);
  expect(existsSync(file)).toBe(false);
  await (await proxy({ ...options, record: file })).close();
  await expect(proxy({ ...options, record: file })).rejects.toMatchObject({ code: "EEXIST" });
  // The port is free again.
  await (await proxy({ ...options, record: { file, overwrite: true } })).close();
});

test("tshark reads the file: both interfaces, right checksums, and the comments", async (t) => {
  need(t, "tshark");
  const file = join(folderOf(t), "relay.pcapng");
  const relay = await relayTo(t, await bound(t), { record: file, link: { up: { lossRatio: 0.5 } } });
  await sendNumbers(await client(t, relay), relay, 50);
  await relay.close();
  const fields = ["frame.interface_name", "udp.checksum.status", "frame.comment"].flatMap((name) => [
    "-e",
    name,
  ]);
  const checks = ["-o", "udp.check_checksum:TRUE"];
  const rows = run("tshark", "-r", file, ...checks, "-T", "fields", ...fields)
    .trimEnd()
    .split("\n");
  const { lost } = relay.stats().up;
  expect(lost).toBeGreaterThan(0);
  expect(rows.filter((row) => row === "clients\t1\tdropped: loss 50%")).toHaveLength(lost);
  const after = rows.filter((row) => row.startsWith("targets\t1"));
  expect(after.filter((row) => row.includes("sender: 127.0.0.1:"))).toHaveLength(1);
  expect(after).toHaveLength(50 - lost);
});

test("a recorded relay is replayed on a simulated network: before its faults, and after them", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const target = await bound(t);
  const relay = await relayTo(t, target, { record: file, link: { up: { lossRatio: 0.2 } } });
  await sendNumbers(await client(t, relay), relay, 200);
  const arrived = numbersOf(await drain(target));
  await relay.close();
  expect(arrived.length).toBeLessThan(200);
  const [before, after] = [
    { port: relay.address.port, options: { direction: "in", filter: ofSide("clients") } },
    { port: target.getsockname().port, options: { direction: "out", filter: ofSide("targets") } },
  ] as const;
  for (const [{ port, options }, expected] of [
    [before, Array.from({ length: 200 }, (_, index) => index)],
    [after, arrived],
  ] as const) {
    const network = new Network({ seed: 7 });
    const server = network.host("server", { address: "10.0.0.1" });
    const received: number[] = [];
    await network.run(async () => {
      const s = server.socket();
      await s.bind(["0.0.0.0", port]);
      s.settimeout(1);
      const { datagrams } = await network.replay(file, { to: server, ...options });
      while (received.length < datagrams) received.push(...numbersOf(await s.recvMany(100)));
    });
    expect(received).toEqual(expected);
  }
});

function ofSide(name: string): (datagram: CapturedDatagram) => boolean {
  return (datagram) => datagram.interface === name;
}
