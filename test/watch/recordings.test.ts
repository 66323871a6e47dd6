import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { socket } from "datagram";
import { read } from "datagram/capture";
import { watch } from "datagram/watch";
import { type TestContext, expect, test } from "vitest";

import { Recordings } from "../../src/watch/server/recordings.js";
import { Program } from "../cli/program.js";
import { PageClient } from "./client.js";

async function watched(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  const [s, peer] = [socket(), socket()];
  await s.bind(["127.0.0.1", 0]);
  await peer.bind(["127.0.0.1", 0]);
  const page = await watch(s, { records: folder });
  t.onTestFinished(async () => {
    await Promise.all([page.close(), s.close(), peer.close()]);
    rmSync(folder, { recursive: true });
  });
  return { s, peer, page, folder, origin: page.url.slice(0, -1) };
}

async function payloads(file: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of read(file)) found.push(data.toString());
  return found;
}

test("a page records, downloads, and sends the recording again", async (t) => {
  const { s, peer, page, folder } = await watched(t);
  const shown = await PageClient.open(page);
  const other = await PageClient.open(page);
  shown.send({ type: "record", on: true });
  await other.next("recording", ({ running }) => running !== undefined);
  await peer.sendto("first", s.getsockname());
  await peer.sendto("second", s.getsockname());
  await s.recvMany(1);
  await s.recvMany(1).catch(() => []);
  shown.send({ type: "record", on: true });
  expect((await shown.next("refused")).error).toBe("A recording runs already.");
  shown.send({ type: "record", on: false });
  const { files } = await shown.next("recording", ({ running }) => running === undefined);
  expect(files).toMatchObject([{ id: 0, datagrams: 2, missed: 0, uploaded: false }]);
  expect(readdirSync(folder)).toEqual([files[0]?.name]);

  const response = await fetch(new URL("recordings/0.pcapng", page.url));
  expect(response.headers.get("content-disposition")).toBe(`attachment; filename="${files[0]?.name}"`);
  expect(await payloads(new Uint8Array(await response.arrayBuffer()))).toEqual(["first", "second"]);
  for (const name of ["1.pcapng", "0", "../0.pcapng", "0.pcapng/.."])
    expect((await fetch(new URL(`recordings/${name}`, page.url))).status).not.toBe(200);

  const to = String(peer.getsockname());
  shown.send({ type: "replay", file: 0, source: 0, to, speed: 1000, stop: false });
  expect(await shown.next("replaying", ({ ended }) => ended)).toMatchObject({
    file: 0,
    to,
    sent: 2,
    total: 2,
  });
  expect([String(await peer.recv(100)), String(await peer.recv(100))]).toEqual(["first", "second"]);
  shown.send({ type: "replay", file: 7, source: 0, to, speed: 1, stop: false });
  expect((await shown.next("refused")).error).toBe("There is no such recording.");
});

test("a file that a page uploads is replayed, is not downloaded, and its name is no path", async (t) => {
  const { s, peer, page, folder, origin } = await watched(t);
  const shown = await PageClient.open(page);
  shown.send({ type: "record", on: true });
  await shown.next("recording", ({ running }) => running !== undefined);
  await peer.sendto("recorded", s.getsockname());
  await s.recvMany(1);
  shown.send({ type: "record", on: false });
  await shown.next("recording", ({ files }) => files.length === 1);
  const body = await (await fetch(new URL("recordings/0.pcapng", page.url))).arrayBuffer();

  const url = new URL("uploads?name=../../../evil/x.pcapng", page.url);
  expect((await fetch(url, { method: "POST", body })).status).toBe(403);
  const wrong = { method: "POST", body, headers: { origin: "http://evil.example" } };
  expect((await fetch(url, wrong)).status).toBe(403);
  const response = await fetch(url, { method: "POST", body, headers: { origin } });
  expect(response.status).toBe(201);
  expect(await response.json()).toMatchObject({ id: 1, uploaded: true, name: ".._.._.._evil_x.pcapng" });
  expect(readdirSync(folder)).toHaveLength(2);
  expect((await fetch(new URL("recordings/1.pcapng", page.url))).status).toBe(404);
  const to = String(peer.getsockname());
  shown.send({ type: "replay", file: 1, source: 0, to, speed: 1000, stop: false });
  expect(await shown.next("replaying", ({ ended }) => ended)).toMatchObject({ file: 1, sent: 1 });
  expect(String(await peer.recv(100))).toBe("recorded");

  const junk = await fetch(url, { method: "POST", body: "no capture file", headers: { origin } });
  expect(junk.status).toBe(201);
  shown.send({ type: "replay", file: 2, source: 0, to, speed: 1, stop: false });
  const { error } = await shown.next("replaying", ({ ended }) => ended);
  expect(error).toMatch(/EPROTONOSUPPORT/);
});

test("recordings without a folder are removed when the page is closed", async (t) => {
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  t.onTestFinished(() => s.close());
  const before = new Set(readdirSync(tmpdir()));
  const page = await watch(s);
  const shown = await PageClient.open(page);
  shown.send({ type: "record", on: true });
  await shown.next("recording", ({ running }) => running !== undefined);
  const made = readdirSync(tmpdir()).filter(
    (name) => name.startsWith("datagram-watch-") && !before.has(name),
  );
  expect(made).not.toEqual([]);
  const closed = once(shown.socket, "close");
  await page.close();
  await closed;
  expect(readdirSync(tmpdir()).filter((name) => made.includes(name))).toEqual([]);
});

test("recordings without a folder are removed when a second Ctrl-C ends the command", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  t.onTestFinished(() => rmSync(folder, { recursive: true }));
  const root = new URL("../../build/src/", import.meta.url).href;
  const script = `
    import { once } from "node:events";
    import { readdirSync } from "node:fs";
    import { socket } from "${root}index.js";
    import { openPage } from "${root}cli/watch.js";
    import { stopSignal } from "${root}cli/terminal.js";
    import { Recordings } from "${root}watch/server/recordings.js";
    await openPage(() => [], {});
    new Recordings([socket()], undefined, () => {}, () => {}).start(0);
    console.log(readdirSync(process.env.TMPDIR).length);
    const stop = stopSignal();
    setInterval(() => {}, 1000);
    process.kill(process.pid, "SIGINT");
    await once(stop, "abort");
    process.kill(process.pid, "SIGINT");`;
  const env = { ...process.env, TMPDIR: folder };
  const program = new Program(t, process.execPath, ["--input-type=module", "-e", script], { env });
  expect(await program.ended).toEqual({ code: null, signal: "SIGINT", stdout: "1\n", stderr: "" });
  expect(readdirSync(folder)).toEqual([]);
});

test("two recordings of one second have a name each", async (t) => {
  const { s, folder } = await watched(t);
  const recordings = new Recordings(
    [s],
    folder,
    () => undefined,
    () => undefined,
  );
  for (let each = 0; each < 3; each++) {
    expect(recordings.start(0)).toBeUndefined();
    await recordings.stop();
  }
  const names = ["", "-2", "-3"].map((number) => `datagrams-19700101T000000${number}.pcapng`);
  expect(recordings.state().files.map(({ name }) => name)).toEqual(names);
  expect(readdirSync(folder).sort()).toEqual([...names].sort());
  await recordings.close();
});

test("a recording that a page asks for while the server ends is refused, and leaves no file", async (t) => {
  const { s, page, folder } = await watched(t);
  const recordings = new Recordings(
    [s],
    folder,
    () => undefined,
    () => undefined,
  );
  expect(recordings.start(0)).toBeUndefined();
  const closed = recordings.close();
  expect(recordings.start(1000)).toBe("The server ends.");
  await closed;
  expect(recordings.start(1000)).toBe("The server ends.");
  expect(readdirSync(folder)).toEqual(["datagrams-19700101T000000.pcapng"]);
  await page.close();
});
