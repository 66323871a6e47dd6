/** The page of a relay: what its server tells of both sides. */

import { once } from "node:events";
import { join } from "node:path";

import { type Relay, proxy } from "datagram/proxy";
import { socket } from "datagram";
import { read } from "datagram/capture";
import { type Watch, watch } from "datagram/watch";
import { type TestContext, expect, test } from "vitest";
import { WebSocket } from "ws";

import type { RelaySender } from "../../src/watch/protocol.js";
import { folderOf } from "../capture/files.js";
import { answerAll, bound, client, until } from "../proxy/network.js";
import { PageClient } from "./client.js";
import { get } from "./watched.js";

interface WatchedRelay {
  readonly relay: Relay;
  readonly page: Watch;
  readonly shown: PageClient;
}

/** A relay to a socket that answers everything, and its page. */
async function watchedRelay(
  t: TestContext,
  options: Parameters<typeof proxy>[0] = {},
): Promise<WatchedRelay> {
  const target = await bound(t);
  void answerAll(target).catch(() => undefined);
  const relay = await proxy({ target: target.getsockname(), seed: 7, ...options });
  const page = await watch(relay);
  t.onTestFinished(async () => {
    await page.close();
    await relay.close();
  });
  return { relay, page, shown: await PageClient.open(page) };
}

/** Sends datagrams, each after the relay has read the one before. */
async function sendEach(t: TestContext, relay: Relay, count: number): Promise<string> {
  const s = await client(t, relay);
  for (let number = 0; number < count; number++) {
    const before = relay.stats().up.received.datagrams;
    await s.send(`number ${number}`);
    await until(() => relay.stats().up.received.datagrams > before);
  }
  return String(s.getsockname());
}

/** Waits until the page was told of a sender what holds. */
async function told(
  shown: PageClient,
  address: string,
  holds: (sender: RelaySender) => boolean,
): Promise<RelaySender> {
  const of = ({ senders }: { readonly senders: readonly RelaySender[] }): RelaySender | undefined =>
    senders.find((each) => each.address === address && holds(each));
  return of(await shown.next("relay", (state) => of(state) !== undefined))!;
}

test("a client has a row before the faults and one after them, and the relay says why they differ", async (t) => {
  const rules = [
    { action: "drop", direction: "up", numbers: "1-3" },
    { action: { delayMs: 2 }, direction: "up", bytes: "number 5" },
  ] as const;
  const { relay, shown } = await watchedRelay(t, { rules, link: { up: { duplicateRatio: 1 } } });
  const address = await sendEach(t, relay, 10);
  const target = String(relay.target);
  const { senders } = await shown.next(
    "relay",
    ({ senders: all }) => all.length === 2 && all.every(({ forwarded }) => forwarded === 14),
  );
  expect(senders.find(({ direction }) => direction === "up")).toEqual({
    ...{ address, direction: "up", arrived: 10, forwarded: 14, duplicated: 7, reordered: 0, corrupted: 0 },
    dropped: [{ by: "rule drop up numbers=1-3", datagrams: 3 }],
    ...{ meanDelayMs: 2 / 7, maxDelayMs: 2 },
  });
  expect(senders.find(({ direction }) => direction === "down")).toMatchObject({
    ...{ address: target, arrived: 14, forwarded: 14, dropped: [] },
  });
  const has = (source: number, datagrams: number): boolean =>
    shown.messages.some(
      (each) =>
        each.type === "peers" &&
        each.rows.some(
          (row) => row.source === source && row.address === address && row.datagrams === datagrams,
        ),
    );
  await until(() => has(0, 10) && has(1, 14));
});

test("a loss of the relay is told as its own, with the setting, without advice, and not again for the side after it", async (t) => {
  const { relay, shown } = await watchedRelay(t, { link: { up: { lossRatio: 1 } } });
  const address = await sendEach(t, relay, 20);
  const loss = await shown.next("loss", ({ cause }) => cause === "relay");
  expect(loss.sentence).toMatch(
    /^The relay dropped \d+ of \d+ datagrams so far, by its settings: loss 100%\.$/,
  );
  expect(loss).toMatchObject({ source: 0, atLeast: false });
  expect(loss.advice).toBeUndefined();
  await told(shown, address, ({ dropped }) => dropped[0]?.datagrams === 20);
  const others = shown.messages.filter((each) => each.type === "loss" && each.cause !== "relay");
  expect(others).toEqual([]);
});

test("reports of one cause come when its total has doubled, so real losses stay among the last 200", async (t) => {
  const { relay, shown } = await watchedRelay(t, { rules: [{ action: "drop" }] });
  const address = await sendEach(t, relay, 5);
  const first = await shown.next("loss");
  const total = first.datagrams!;
  const s = socket();
  t.onTestFinished(() => s.close());
  await told(shown, address, ({ arrived }) => arrived === 5);
  for (let sent = 5; sent < 2 * total; sent++) await s.sendto("x", relay.address);
  const second = await shown.next("loss");
  expect(second.datagrams).toBeGreaterThanOrEqual(2 * total);
  expect(second.sentence).toContain("by its settings: rule drop.");
});

test("an ICMP error of the target is a real loss", async (t) => {
  const gone = await bound(t);
  const at = gone.getsockname();
  await gone.close();
  const { relay, shown } = await watchedRelay(t, { target: at });
  await sendEach(t, relay, 2);
  expect(await shown.next("loss")).toMatchObject({
    ...{ cause: "unreachable", source: 1, sentence: expect.stringContaining(String(at)) as string },
  });
});

test("the record button records both sides of the relay", async (t) => {
  const { relay, page, shown } = await watchedRelay(t);
  shown.send({ type: "record", on: true });
  await shown.next("recording", ({ running }) => running !== undefined);
  await sendEach(t, relay, 1);
  await until(() => relay.stats().down.delivered.datagrams === 1);
  shown.send({ type: "record", on: false });
  const { files } = await shown.next(
    "recording",
    ({ running, files: all }) => running === undefined && all.length > 0,
  );
  expect(files).toMatchObject([{ datagrams: 4 }]);
  const { host, port } = page.address;
  const response = await fetch(`http://${host}:${port}/recordings/${files[0]!.id}.pcapng`);
  const sides: (string | undefined)[] = [];
  for await (const each of read(new Uint8Array(await response.arrayBuffer()))) sides.push(each.interface);
  expect(sides.sort()).toEqual(["clients", "clients", "targets", "targets"]);
  expect((await get(page, "/recordings/99.pcapng")).status).toBe(404);
});

test("a page that comes later gets the counts so far, and the page ends without the relay", async (t) => {
  const { relay, page, shown } = await watchedRelay(t);
  const address = await sendEach(t, relay, 3);
  await told(shown, address, ({ arrived }) => arrived === 3);
  const later = new WebSocket(page.url.replace("http", "ws") + "socket", { origin: page.url.slice(0, -1) });
  const [text] = (await once(later, "message")) as [Buffer];
  later.close();
  const hello: unknown = JSON.parse(text.toString());
  expect(hello).toMatchObject({
    sources: [
      { id: 0, kind: "before", label: String(relay.address), sends: false },
      { id: 1, kind: "after", label: String(relay.target), sends: false },
    ],
    relay: { before: 0, after: 1, others: 0 },
  });
  await page.close();
  await sendEach(t, relay, 1);
  expect(relay.stats().up.received.datagrams).toBe(4);
});

test("the file of a relay shows on both sides what the page of the relay showed", async (t) => {
  const file = join(folderOf(t), "relay.pcapng");
  const rules = [
    { action: "drop", direction: "up", numbers: "1-3" },
    { action: { delayMs: 2 }, direction: "up", bytes: "number 5" },
    { action: "corrupt", direction: "down", numbers: "2" },
  ] as const;
  const { relay, shown } = await watchedRelay(t, {
    ...{ rules, link: { up: { duplicateRatio: 1 } }, record: file },
  });
  const addresses = [await sendEach(t, relay, 10), await sendEach(t, relay, 5)];
  const isComplete = ({ senders }: { readonly senders: readonly RelaySender[] }): boolean =>
    senders.reduce((sum, { forwarded }) => sum + forwarded, 0) === 2 * (14 + 10);
  const live = await shown.next("relay", isComplete);
  await relay.close();
  const page = await watch(file);
  t.onTestFinished(() => page.close());
  const mover = await PageClient.open(page);
  mover.send({ type: "seek", positionMs: Number.MAX_SAFE_INTEGER, speed: 0 });
  let played = mover;
  const isAtEnd = async (): Promise<boolean> => {
    played = await PageClient.open(page);
    const state = played.hello?.relay;
    return state !== undefined && isComplete(state);
  };
  await expect.poll(isAtEnd, { timeout: 60_000 }).toBe(true);
  const { hello } = played;
  expect(hello?.sources).toMatchObject([
    { kind: "before", label: String(relay.address), sends: false },
    { kind: "after", label: String(relay.target), sends: false },
  ]);
  const sorted = (senders: readonly RelaySender[] = []): RelaySender[] =>
    [...senders].sort((one, other) => one.address.localeCompare(other.address));
  expect(sorted(hello?.relay?.senders)).toEqual(sorted(live.senders));
  const { rows } = await played.next("peers", ({ rows: all }) => all.length >= 6);
  expect(
    rows
      .filter(({ source, address }) => source === 1 && addresses.includes(address))
      .map(({ datagrams }) => datagrams),
  ).toEqual([14, 10]);
  // Reports come at the end of each second of the file.
  const { cause, sentence } = await played.next("loss");
  expect(cause).toBe("relay");
  expect(sentence).toMatch(
    /^The relay dropped [123] of \d+ datagrams so far, by its settings: rule drop up numbers=1-3\.$/,
  );
});
