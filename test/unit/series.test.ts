/** Chunks that are taken together make the same message and the same report as chunks that are taken one by one. */
import { Buffer } from "node:buffer";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { expect, test } from "vitest";

import type { CopyPieces } from "../../src/core/driver/driver.js";
import { Incoming } from "../../src/message/incoming.js";
import {
  type Frame,
  frameFlag,
  frameKind,
  frameOverheadBytes,
  isNextChunk,
  newFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";
import { newReport } from "../../src/wire/message-report.js";

const size = 10;
const segment = size + frameOverheadBytes;
const data = Buffer.from(Array.from({ length: 305 }, (_, at) => (at * 7) & 0xff));
const chunks = Math.ceil(data.length / size);
/** Chunks that are as long as `size`. */
const full = chunks - 1;
const header: Frame = {
  ...newFrame(),
  kind: frameKind.data,
  id: 7,
  size,
  length: data.length,
  crc: crc32(data),
};

const copyPieces: CopyPieces = (from, fromStart, fromStride, to, toStart, toStride, pieceBytes, pieces) => {
  for (let piece = 0; piece < pieces; piece++) {
    const start = fromStart + piece * fromStride;
    to.set(from.subarray(start, start + pieceBytes), toStart + piece * toStride);
  }
};

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function frameOf(index: number): Frame {
  return { ...header, index };
}

function payloadOf(index: number): Buffer {
  return data.subarray(index * size, (index + 1) * size);
}

/** The datagrams of chunks, end to end. */
function datagramsOf(indexes: readonly number[]): Buffer {
  return Buffer.concat(
    indexes.map((index) => {
      const datagram = Buffer.alloc(frameOverheadBytes + payloadOf(index).length);
      writeFrame({ ...frameOf(index), flags: index % 3 === 0 ? frameFlag.now : 0 }, datagram);
      payloadOf(index).copy(datagram, frameOverheadBytes - 4);
      sealFrame(datagram, crc32);
      return datagram;
    }),
  );
}

function begun(): Incoming {
  const incoming = new Incoming(frameOf(0), 0);
  incoming.reserve(0, true);
  return incoming;
}

function addOne(incoming: Incoming, index: number): boolean {
  return incoming.add(frameOf(index), payloadOf(index), crc32(payloadOf(index)));
}

function reportOf(incoming: Incoming): unknown {
  const [frame, report] = [newFrame(), newReport()];
  incoming.report(frame, report, 0);
  return { frame, report: { ...report, missing: [...report.missing] } };
}

test("series in any order, some with gaps, make the message and the reports of single chunks", () => {
  const runs = fc.array(fc.tuple(fc.nat(full - 1), fc.integer({ min: 1, max: 12 })), { maxLength: 12 });
  fc.assert(
    fc.property(runs, (starts) => {
      const [together, single] = [begun(), begun()];
      for (const [start, count] of starts) {
        const indexes = Array.from({ length: Math.min(count, full - start) }, (_, at) => start + at);
        const datagrams = datagramsOf(indexes);
        const taken = together.seriesIn(frameOf(start), datagrams, 0, segment, indexes.length);
        const present = indexes.findIndex((index) => single.has(index));
        expect(taken).toBe(present < 0 ? indexes.length : present);
        if (taken === 0) continue;
        const gap = together.addSeries(frameOf(start), datagrams, 0, taken, copyPieces);
        const gaps = indexes.slice(0, taken).map((index) => addOne(single, index));
        expect(gap).toBe(gaps.includes(true));
        expect(reportOf(together)).toEqual(reportOf(single));
      }
      for (let index = 0; index < chunks; index++)
        if (!together.has(index)) for (const each of [together, single]) addOne(each, index);
      expect(together.join()).toEqual(data);
      expect(single.join()).toEqual(data);
    }),
  );
});

test("a series ends before a chunk with another number, and before the last chunk, which is shorter", () => {
  const incoming = begun();
  const seriesIn = (indexes: readonly number[]): number =>
    incoming.seriesIn(frameOf(indexes[0]!), datagramsOf(indexes), 0, segment, indexes.length);
  expect(seriesIn([3, 4, 5])).toBe(3);
  expect(seriesIn([3, 4, 6])).toBe(2);
  expect(seriesIn([3, 3])).toBe(1);
  expect(seriesIn([full - 2, full - 1, full])).toBe(2);
  expect(seriesIn([full])).toBe(0);
});

test("a message without all its memory has no series", () => {
  expect(new Incoming(frameOf(0), 0).seriesIn(frameOf(0), datagramsOf([0, 1]), 0, segment, 2)).toBe(0);
});

test("two chunks follow each other only if their headers have the same fields", () => {
  for (let at = 0; at < 20; at++) {
    const two = datagramsOf([1, 2]);
    expect(isNextChunk(two, 0, segment)).toBe(true);
    two[segment + at]! ^= 1;
    expect(isNextChunk(two, 0, segment), `byte ${at}`).toBe(false);
  }
});

test.each(["reserved as a whole", "in parts"])(
  "a message whose memory was %s is not kept once it is handed out",
  async (memory) => {
    const incoming = memory === "in parts" ? new Incoming(frameOf(0), 0) : begun();
    for (let index = 0; index < chunks; index++) {
      if (incoming.lacksMemory(index)) incoming.reserve(index, false);
      addOne(incoming, index);
    }
    const message = new WeakRef(incoming.join() as Buffer);
    expect(message.deref()?.equals(data)).toBe(true);
    // A WeakRef keeps its target until the end of the turn in which it was read.
    await turn();
    collectGarbage();
    expect(message.deref()).toBeUndefined();
    // The receiver's tables may keep it for longer than this.
    expect(incoming.complete).toBe(true);
  },
);
