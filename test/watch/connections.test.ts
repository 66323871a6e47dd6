import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type Socket as TcpSocket, connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { Address, socket } from "datagram";
import { type Recording, record } from "datagram/capture";
import { WebSocket, WebSocketServer } from "ws";
import { type TestContext, expect, test, vi } from "vitest";

import { Model } from "../../src/watch/model/model.js";
import { maxPeers } from "../../src/watch/model/peer-table.js";
import { watchSources } from "../../src/watch/watch.js";
import { PageClient } from "./client.js";
import { get, upgrade, watched } from "./watched.js";

/** Returns the server's ends of the connections of pages, in their order. Call it before the pages are opened. */
function serverEnds(t: TestContext): (index: number) => TcpSocket {
  const upgraded = vi.spyOn(WebSocketServer.prototype, "handleUpgrade");
  t.onTestFinished(() => upgraded.mockRestore());
  return (index) => upgraded.mock.calls[index]?.[1] as TcpSocket;
}

/** Asks for lists in the name of a page until something holds, and lets the server answer another page after each. */
async function askUntil(holds: () => boolean, page: PageClient, other: PageClient): Promise<void> {
  while (!holds()) {
    page.send({ type: "list", request: 1, live: true, text: "" });
    other.send({ type: "detail", id: 0xffff_ffff });
    await other.next("gone");
  }
}

/** Unsent bytes of a page above which it gets no updates. */
const slowBytes = 1 << 20;

test("a message above 1 MiB and a seventeenth page are refused, and the others stay", async (t) => {
  const { page } = await watched(t);
  const shown = await PageClient.open(page);
  const loud = await PageClient.open(page);
  const closed = once(loud.socket, "close");
  loud.socket.send("x".repeat(1_100_000));
  expect((await closed)[0]).toBe(1009);
  for (let more = 0; more < 15; more++) await PageClient.open(page);
  expect(await upgrade(page, { origin: new URL(page.url).origin })).toBe(503);
  shown.send({ type: "detail", id: 5 });
  expect(await shown.next("gone")).toMatchObject({ id: 5 });
});

test("a page that does not read gets no updates meanwhile, and all peers when it reads again", async (t) => {
  const { page, peer, at } = await watched(t);
  const ends = serverEnds(t);
  const slow = await PageClient.open(page);
  const quick = await PageClient.open(page);
  await peer.sendto("hello", at);
  await quick.next("peers", ({ rows }) => rows.length > 0);
  slow.socket.pause();
  await peer.sendMany(Array<Buffer>(200).fill(Buffer.alloc(60, "text ")), at);
  await quick.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 201));
  await askUntil(() => ends(0).writableLength > slowBytes, slow, quick);
  await peer.sendto("the last one", at);
  await quick.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 202));
  slow.socket.resume();
  await slow.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 202));
  expect(slow.socket.readyState).toBe(WebSocket.OPEN);
});

test("a page that asks for more than it reads is disconnected", async (t) => {
  const { page, peer, at } = await watched(t);
  const ends = serverEnds(t);
  const greedy = await PageClient.open(page);
  const quick = await PageClient.open(page);
  await peer.sendMany(Array<Buffer>(200).fill(Buffer.alloc(60, "text ")), at);
  await quick.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 200));
  greedy.socket.pause();
  await askUntil(() => ends(0).destroyed, greedy, quick);
  const closed = once(greedy.socket, "close");
  greedy.socket.resume();
  expect((await closed)[0]).toBe(1006);
});

test("close disconnects the pages, and leaves the socket open", async (t) => {
  const { page, s, peer } = await watched(t);
  const shown = await PageClient.open(page);
  const closed = once(shown.socket, "close");
  await page.close();
  expect((await closed)[0]).toBe(1001);
  await s.sendto("still open", peer.getsockname());
  expect(String(await peer.recv(100))).toBe("still open");
  await expect(get(page, "/")).rejects.toThrow(/ECONNREFUSED/);
  await page.close();
});

test("a page that comes while the recording ends is refused with 503, and close ends", async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), "watch-test-")), "slow.pcapng");
  t.onTestFinished(() => rmSync(dirname(file), { recursive: true }));
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  t.onTestFinished(() => s.close());
  let end = (): void => undefined;
  // A recording that ends when the test says so, as one to a slow disk does.
  const slow = (recording: Recording): Recording => ({
    ...{ file: recording.file, finished: recording.finished, stats: () => recording.stats() },
    close: () => new Promise<void>((resolve) => (end = resolve)).then(() => recording.close()),
    [Symbol.asyncDispose]: () => recording[Symbol.asyncDispose](),
  });
  const page = await watchSources((model) => {
    model.addSource({ kind: "socket", label: "test", simulated: false, sends: false });
    const none = { send: undefined, socket: undefined, report: () => undefined, close: () => undefined };
    return [{ ...none, record: () => slow(record(s, file)) }];
  }, {});
  const shown = await PageClient.open(page);
  const { host, port } = page.address;
  const raw = connect({ host, port });
  t.onTestFinished(() => void raw.destroy());
  await once(raw, "connect");
  shown.send({ type: "record", on: true });
  await shown.next("recording", ({ running }) => running !== undefined);
  const closed = page.close();
  const answered = once(raw, "data");
  const origin = new URL(page.url).origin;
  raw.write(
    `GET /socket HTTP/1.1\r\nHost: ${host}:${port}\r\nOrigin: ${origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const [answer] = (await answered) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 503 /);
  end();
  await closed;
});

test("close ends within its second for a page that does not answer", async (t) => {
  const { page } = await watched(t);
  const gone = await PageClient.open(page);
  gone.socket.pause();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  t.onTestFinished(() => void vi.useRealTimers());
  const closed = page.close();
  await vi.advanceTimersByTimeAsync(1000);
  await closed;
  gone.socket.resume();
  expect((await once(gone.socket, "close"))[0]).toBe(1001);
});

test("a page that gives no sign of life is disconnected, and the others stay", async (t) => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  t.onTestFinished(() => void vi.useRealTimers());
  const { page } = await watched(t);
  const gone = await PageClient.open(page);
  const alive = await PageClient.open(page);
  gone.socket.pause();
  for (let each = 0; each < 2; each++) {
    const pinged = once(alive.socket, "ping");
    vi.advanceTimersByTime(30_000);
    await pinged;
    // Its answer to the ping is before this on the connection.
    alive.send({ type: "detail", id: each });
    await alive.next("gone");
  }
  const closed = once(gone.socket, "close");
  gone.socket.resume();
  expect((await closed)[0]).toBe(1006);
  expect(alive.socket.readyState).toBe(WebSocket.OPEN);
});

test("a page that was too slow keeps no peer that was forgotten meanwhile", async (t) => {
  let model = new Model();
  const page = await watchSources((made) => {
    model = made;
    model.addSource({ kind: "socket", label: "test", simulated: false, sends: false });
    return [];
  }, {});
  t.onTestFinished(() => page.close());
  const to = new Address("10.0.0.1", 9000);
  const arrive = (host: string, port: number, data = "x"): void =>
    model.arrived(
      0,
      Buffer.from(data),
      0,
      { from: new Address(host, port), to, timestamp: 0n, lostBefore: 0 },
      port,
    );
  arrive("10.0.0.7", 1);
  const ends = serverEnds(t);
  const slow = await PageClient.open(page);
  const quick = await PageClient.open(page);
  await slow.next("peers", ({ rows }) => rows.length === 1);
  slow.socket.pause();
  for (let each = 0; each < 200; each++) arrive("10.0.0.8", 1, "text ".repeat(12));
  await quick.next("peers", ({ rows }) => rows.some(({ datagrams }) => datagrams === 200));
  await askUntil(() => ends(0).writableLength > slowBytes, slow, quick);
  for (let port = 1; port <= maxPeers; port++) arrive("10.9.9.9", port);
  const { forgotten } = await quick.next("peers", (message) => message.forgotten.length > 0);
  expect(forgotten).toContain(0);
  slow.socket.resume();
  await slow.next("hello");
  const shown = new Set<number>();
  while (shown.size < maxPeers) for (const { id } of (await slow.next("peers")).rows) shown.add(id);
  expect(shown).not.toContain(0);
});
