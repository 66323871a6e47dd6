import { Address } from "datagram";
import { expect, test, vi } from "vitest";

import { Model } from "../../src/watch/model/model.js";
import { lookOf } from "../../src/watch/model/payload-look.js";
import { maxPeers } from "../../src/watch/model/peer-table.js";
import { DatagramList } from "../../src/watch/server/datagram-list.js";
import { mosaicData, mosaicJpeg } from "../../src/watch/demo/mosaic-jpeg.js";
import { ballScene } from "../../src/watch/demo/scenes.js";

const to = new Address("10.0.0.1", 9000);

function modelWithSource(): Model {
  const model = new Model();
  model.addSource({ kind: "socket", label: "test", simulated: false, sends: false });
  return model;
}

function arrive(model: Model, from: Address, data: Buffer, nowMs: number, segment = 0): void {
  model.arrived(0, data, segment, { from, to, timestamp: 0n, lostBefore: 0 }, nowMs);
}

function lastPictures(model: Model, ids: readonly number[]): unknown[] {
  return [...model.lastPictures(new Set(ids))].filter((found) => found !== undefined);
}

test("strangers without end take no place of a known peer, and are forgotten", () => {
  const model = modelWithSource();
  const known = new Address("10.0.0.7", 5000);
  for (let each = 0; each < 5; each++) arrive(model, known, Buffer.from("x"), each);
  for (let port = 1; port <= 2 * maxPeers; port++)
    arrive(model, new Address("10.9.9.9", port), Buffer.from("x"), 10);
  expect([...model.peers]).toHaveLength(maxPeers);
  expect(model.peers.find(0, "10.0.0.7:5000")?.datagrams).toBe(5);
  expect(model.peers.total).toBe(2 * maxPeers + 1);
});

test("a run counts as its datagrams, and each is kept with its own bytes", () => {
  const model = modelWithSource();
  arrive(model, new Address("10.0.0.7", 5000), Buffer.from("aaabbbc"), 1000, 3);
  const [peer] = model.peers;
  expect(peer?.row(true, 1000)).toMatchObject({ datagrams: 3, bytes: 7, minSize: 1, maxSize: 3 });
  expect([0, 1, 2].map((id) => String(model.ring.find(id)?.data))).toEqual(["aaa", "bbb", "c"]);
  expect(model.ring.find(3)).toBeUndefined();
});

test("all datagrams of a file are listed, and what was counted of a time does not outlive clear()", () => {
  const file = new Model();
  file.addSource({ kind: "recording", label: "test", simulated: false, sends: false });
  file.playback = {
    ...{ type: "playback", firstMs: 1000, lastMs: 1000, positionMs: 1000, speed: 1, overview: undefined },
  };
  const from = new Address("10.0.0.7", 5000);
  for (let each = 0; each < 200; each++) arrive(file, from, Buffer.alloc(32_000), 1000, 1000);
  expect([file.ring.count, file.ring.leftOut]).toEqual([200 * 32, 0]);
  const model = modelWithSource();
  for (let each = 0; each < 200; each++) arrive(model, from, Buffer.alloc(32_000), 1000, 1000);
  model.ring.clear();
  const before = model.ring.count;
  arrive(model, from, Buffer.from("x"), 1000);
  expect(model.ring.count - before).toBe(1);
});

test("of more than 4 MiB in 250 ms some are left out of the list, counted, and an awaited reply is not", () => {
  const model = modelWithSource();
  const from = new Address("10.0.0.7", 5000);
  const run = Buffer.alloc(32_000);
  const list = new DatagramList(model.ring);
  list.begin({
    ...{ type: "list", request: 1, live: true, text: "", peer: undefined, source: undefined },
    ...{ direction: undefined, minSize: undefined, maxSize: undefined },
  });
  for (let each = 0; each < 200; each++) arrive(model, from, run, 1000, 1000);
  expect([model.ring.count, model.ring.leftOut]).toEqual([131 * 32, 69 * 32]);
  const { rows, skipped } = list.take() ?? { rows: [], skipped: 0 };
  expect(rows.length + skipped).toBe(200 * 32);
  const [peer] = model.peers;
  expect(peer?.datagrams).toBe(200 * 32);
  if (peer) model.setAwaited(peer, true);
  arrive(model, from, Buffer.from("reply"), 1001);
  expect(String(model.ring.at(model.ring.count - 1)?.data)).toBe("reply");
  if (peer) model.setAwaited(peer, false);
  arrive(model, from, run, 1250, 1000);
  expect(model.ring.leftOut).toBe(69 * 32);
});

test("a peer that stops is silent, and a long pause of a regular peer is a gap", () => {
  const model = modelWithSource();
  const from = new Address("10.0.0.7", 5000);
  for (let ms = 0; ms <= 10_000; ms += 100) arrive(model, from, Buffer.from("x"), ms);
  model.report(11_000);
  expect(model.losses.count).toBe(0);
  model.report(13_000);
  expect(model.losses.since(0)).toMatchObject([{ cause: "silent", source: 0 }]);
  arrive(model, from, Buffer.from("x"), 14_000);
  expect([...model.peers][0]).toMatchObject({ silent: false, gaps: 1 });
});

test("a JPEG picture in one datagram and one in slices are found and put together", () => {
  const model = modelWithSource();
  const pictures: Buffer[] = [];
  model.listener = { picture: (_, picture) => void pictures.push(picture), answered: () => undefined };
  const jpeg = mosaicJpeg(mosaicData(ballScene(3)));
  const [whole, sliced] = [new Address("10.0.0.7", 1), new Address("10.0.0.7", 2)];
  arrive(model, whole, jpeg, 1);
  arrive(model, sliced, jpeg.subarray(0, 700), 1);
  expect([...model.peers].map(({ picture }) => picture)).toEqual(["datagram", "slices"]);
  model.pictures.want([0, 1]);
  arrive(model, whole, jpeg, 2);
  for (let at = 0; at < jpeg.length; at += 700) arrive(model, sliced, jpeg.subarray(at, at + 700), 3);
  expect(pictures.map((picture) => picture.equals(jpeg))).toEqual([true, true]);
});

/** A packet of RTP (RFC 3550 section 5.1). */
function rtp(number: number, payloadType = 96): Buffer {
  const packet = Buffer.alloc(40);
  packet[0] = 0x80;
  packet[1] = payloadType;
  packet.writeUInt16BE(number & 0xffff, 2);
  packet.writeUInt32BE(7, 8);
  return packet;
}

test("numbers of RTP packets that never come are losses of the network, and late ones are not", () => {
  const model = modelWithSource();
  const from = new Address("10.0.0.7", 5000);
  const send = (numbers: readonly number[], nowMs: number): void =>
    numbers.forEach((number) => arrive(model, from, rtp(number), nowMs));
  const first = 65_530;
  send(
    Array.from({ length: 12 }, (_, index) => first + index),
    1,
  );
  send([first + 15, first + 12, first + 16], 2);
  model.report(1000);
  // It comes after the report, and is not lost either.
  send([first + 13], 1100);
  expect(model.losses.count).toBe(0);
  model.report(2000);
  model.report(3000);
  expect(model.losses.since(0)).toMatchObject([
    { cause: "network", source: 0, peer: 0, datagrams: 1, atLeast: true },
  ]);
  expect(model.losses.since(0)[0]?.sentence).toBe(
    "At least 1 datagram of 10.0.0.7:5000 did not arrive: the numbers of the RTP packets have gaps.",
  );
});

test("bytes from 0x80 up are neither RTP nor pictures, and cause no losses", () => {
  const model = modelWithSource();
  const from = new Address("10.0.0.7", 5000);
  const bytes = Buffer.from(Array.from({ length: 128 }, (_, index) => 0x80 + index));
  for (let start = 0; start < 100; start++) {
    arrive(model, from, Buffer.concat([bytes.subarray(start), bytes]), start);
    // The payload type of JPEG, but no header of a picture after it.
    arrive(model, from, Buffer.concat([Buffer.from([0x80, 26]), bytes.subarray(start)]), start);
  }
  model.report(1000);
  model.report(2000);
  expect([...model.peers][0]?.picture).toBeUndefined();
  expect(model.losses.count).toBe(0);
  expect(lookOf(bytes).looks).toBe("binary");
});

test("UTF-8 with few characters that would not be seen is text, and shows them as escapes", () => {
  expect(lookOf(Buffer.from("21.5 °C\0"))).toEqual({ looks: "text", preview: "21.5 °C\\u{0}" });
  expect(lookOf(Buffer.from("\x1b[31mred"))).toEqual({ looks: "text", preview: "\\u{1b}[31mred" });
  expect(lookOf(Buffer.from("a\u202eb"))).toEqual({ looks: "text", preview: "a\\u{202e}b" });
  expect(lookOf(Buffer.from([1, 2, 0x61, 0x62])).looks).toBe("binary");
  expect(lookOf(Buffer.from("abcdefg\0").fill(0xff, 6)).looks).toBe("binary");
  const { preview } = lookOf(Buffer.from("\u202e".repeat(80)));
  expect(preview).toMatch(/^[ -~]{80}$/);
});

test("a single picture is there for a page that comes later", () => {
  const model = modelWithSource();
  const jpeg = mosaicJpeg(mosaicData(ballScene(3)));
  for (let at = 0; at < jpeg.length; at += 700)
    arrive(model, new Address("10.0.0.7", 1), jpeg.subarray(at, at + 700), 1);
  arrive(model, new Address("10.0.0.7", 2), Buffer.from("no picture"), 2);
  expect(lastPictures(model, [0, 1])).toEqual([{ peer: 0, picture: jpeg }]);
});

test("the last picture of a peer is found in its newest datagrams, behind those of one that still arrives", () => {
  const model = modelWithSource();
  const jpeg = mosaicJpeg(mosaicData(ballScene(3)));
  const last = mosaicJpeg(mosaicData(ballScene(4)));
  const slices = (picture: Buffer): Buffer[] =>
    Array.from({ length: Math.ceil(picture.length / 700) }, (_, at) =>
      picture.subarray(at * 700, (at + 1) * 700),
    );
  const send = (datagrams: readonly Buffer[], port: number): void =>
    datagrams.forEach((each) => arrive(model, new Address("10.0.0.7", port), each, 1));
  for (let each = 0; each < 200; each++) for (const port of [1, 2]) send(slices(jpeg), port);
  for (const port of [1, 2]) {
    send(slices(last), port);
    send(slices(jpeg).slice(0, -1), port);
  }
  const read = vi.spyOn(model.ring, "at");
  expect(lastPictures(model, [0, 1])).toEqual([
    { peer: 1, picture: last },
    { peer: 0, picture: last },
  ]);
  expect(read.mock.calls.length).toBeLessThan(2 * 3 * slices(last).length);
});

test("a search for a last picture that is far back stops after each 64 KiB, and survives what arrives meanwhile", () => {
  const model = modelWithSource();
  const from = new Address("10.0.0.7", 1);
  const jpeg = mosaicJpeg(mosaicData(ballScene(3)));
  arrive(model, from, jpeg, 1);
  // Each of them begins a picture that does not end.
  const part = Buffer.concat([jpeg.subarray(0, -2), Buffer.alloc(30_000)]);
  for (let each = 0; each < 200; each++) arrive(model, from, part, 2);
  const read = vi.spyOn(model.ring, "at");
  const search = model.lastPictures(new Set([0]));
  let turns = 0;
  for (let at = search.next(); at.done !== true; at = search.next()) {
    turns++;
    expect(read.mock.calls.length).toBeLessThanOrEqual(Math.ceil(65_536 / part.length) + 1);
    read.mockClear();
    if (at.value) expect(at.value).toEqual({ peer: 0, picture: jpeg });
  }
  expect(turns).toBeGreaterThan(100);
  // The oldest are overwritten while a search goes on.
  const other = model.lastPictures(new Set([0]));
  other.next();
  for (let each = 0; each < 600; each++) arrive(model, from, part, 1000 * each);
  expect([...other].filter((found) => found !== undefined)).toEqual([]);
});

test("a picture that lacks a part is one report, and the first part of a stream that began earlier is not", () => {
  const model = modelWithSource();
  const from = new Address("10.0.0.7", 1);
  const jpeg = mosaicJpeg(mosaicData(ballScene(3)));
  const half = jpeg.length >> 1;
  arrive(model, from, jpeg.subarray(0, half), 1);
  model.pictures.want([0]);
  arrive(model, from, jpeg.subarray(half), 2);
  arrive(model, from, jpeg, 3);
  model.report(1000);
  expect(model.losses.count).toBe(0);
  arrive(model, from, jpeg.subarray(0, half), 1001);
  arrive(model, from, jpeg, 1002);
  model.report(2000);
  expect(model.losses.since(0)).toMatchObject([{ cause: "message", peer: 0, source: 0 }]);
  expect(model.losses.since(0)[0]?.sentence).toBe(
    "1 picture of 10.0.0.7:1 is not complete: some of its datagrams did not arrive.",
  );
});
