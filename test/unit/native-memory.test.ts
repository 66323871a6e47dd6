/**
 * The calls of the addon on memory: the CRC-32, which is that of zlib, copies of pieces that are the same distance apart, and the
 * chunks of a message. `series.test.ts` has what is taken of chunks.
 */
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { TakeChunks } from "../../src/core/driver/driver.js";
import { nativeSupport } from "../../src/kernel/native/stack.js";
import { zlibCrc32 } from "../../src/message/crc32.js";
import { crcShift } from "../../src/wire/crc32.js";
import {
  frameKind,
  frameOverheadBytes,
  newFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";
import { whySkipped } from "../process/programs.js";

const hasAddon = whySkipped("native") === undefined;
// The addon is loaded once for all tests of this process.
const stack = hasAddon ? nativeSupport().stack : undefined;
const [fast, copyPieces, takeChunks] = [stack?.crc32, stack?.copyPieces, stack?.takeChunks];
/** All lengths below 300 occur: the addon takes 64 bytes, 16 and 1 at a time. */
const lengths = Array.from({ length: 300 }, (_, length) => length);
const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => (at * at + (at >> 8)) & 0xff);

// 32-bit ARM has no such instructions that every CPU knows.
describe.skipIf(!hasAddon || process.arch === "arm")("the CRC-32 of the addon", () => {
  test.each([0, 1, 0x8000_0000, 0xffff_ffff])(
    "is that of zlib for each length, after the CRC %i",
    (value) => {
      const [found, expected] = [fast?.of, crc32].map((crcOf) =>
        lengths.map((length) => (crcOf?.(bytes.subarray(length, 2 * length), value) ?? 0) | 0),
      );
      expect(found).toEqual(expected);
    },
  );

  test("is that of zlib for long bytes, from each place in the memory", () => {
    for (let start = 0; start < 70; start++)
      expect((fast?.of(bytes.subarray(start)) ?? 0) >>> 0).toBe(crc32(bytes.subarray(start)));
  });

  test("of pieces is that of each piece", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 1, max: 3100 }),
        (data, pieceBytes) => {
          const pieces = Math.max(1, Math.ceil(data.length / pieceBytes));
          const [found, expected] = [new Int32Array(pieces), new Int32Array(pieces)];
          fast?.ofPieces(data, pieceBytes, found);
          zlibCrc32.ofPieces(data, pieceBytes, expected);
          expect(found).toEqual(expected);
        },
      ),
    );
  });

  test("of pieces that are not there is that of no bytes", () => {
    const crcs = new Int32Array(3).fill(1);
    fast?.ofPieces(bytes.subarray(0, 5), 4, crcs);
    expect([...crcs]).toEqual([crc32(bytes.subarray(0, 4)) | 0, crc32(bytes.subarray(4, 5)) | 0, 0]);
  });
});

const few = bytes.subarray(0, 100);

describe.skipIf(!hasAddon)("copyPieces of the addon", () => {
  test("copies each piece from its place to its place, and nothing else", () => {
    const to = new Uint8Array(30);
    copyPieces?.(few, 5, 10, to, 2, 7, 3, 4);
    const expected = new Uint8Array(30);
    for (let piece = 0; piece < 4; piece++)
      expected.set(few.subarray(5 + 10 * piece, 8 + 10 * piece), 2 + 7 * piece);
    expect(to).toEqual(expected);
  });

  test("copies up to the last byte of both memories", () => {
    const to = new Uint8Array(20);
    copyPieces?.(few, 80, 10, to, 0, 10, 10, 2);
    expect(to).toEqual(few.subarray(80));
  });

  test.each([
    ["from before its end on", [91, 10, 0, 10, 10, 1]],
    ["from behind its end", [4_000_000_000, 10, 0, 10, 10, 1]],
    ["with a last piece that is not there", [0, 10, 0, 10, 10, 11]],
    ["to where there is no room", [0, 10, 11, 10, 10, 1]],
    ["with a distance that leaves the target", [0, 10, 0, 4_000_000_000, 10, 2]],
    ["with the largest numbers", new Array<number>(6).fill(0xffff_ffff)],
  ])("copies nothing %s, and fails", (_, [from, fromStride, at, toStride, pieceBytes, pieces]) => {
    const to = new Uint8Array(20);
    expect(() => copyPieces?.(few, from!, fromStride!, to, at!, toStride!, pieceBytes!, pieces!)).toThrow(
      "the pieces are in the memory",
    );
    expect(to).toEqual(new Uint8Array(20));
  });

  test("copies nothing if there is no piece, or no byte in them", () => {
    const to = new Uint8Array(1);
    copyPieces?.(few, 1, 1, to, 0, 1, 0, 5);
    copyPieces?.(few, 1, 1, to, 0, 1, 5, 0);
    expect(to[0]).toBe(0);
  });
});

/** A run of three chunks of ten bytes, and what the addon needs to take them. */
function chunksOfTen(): Parameters<TakeChunks> {
  const [size, length] = [10, 30];
  const header = { ...newFrame(), kind: frameKind.data, size, length };
  const run = Buffer.alloc(3 * (size + frameOverheadBytes), 7);
  for (let index = 0; index < 3; index++) {
    const datagram = run.subarray(index * 34, (index + 1) * 34);
    writeFrame({ ...header, index }, datagram);
    sealFrame(datagram, crc32);
  }
  const series = new Int32Array(9);
  writeFrame(header, new Uint8Array(series.buffer));
  return [run, 0, 34, 3, new Uint8Array(length), new Uint8Array(1), crcShift(size), series];
}

describe.skipIf(!takeChunks)("takeChunks of the addon", () => {
  /** What it returns with other arguments, and the message afterwards. */
  function takes(changes: Partial<Record<number, unknown>>): [number | undefined, Uint8Array] {
    const given = Object.assign(chunksOfTen(), changes) as Parameters<TakeChunks>;
    return [takeChunks?.(...given), given[4]];
  }

  test("takes all chunks that are there", () => {
    expect(takes({})).toEqual([3, new Uint8Array(30).fill(7)]);
  });

  test.each([
    ["the last datagram is not there", { 3: 4 }],
    ["the first datagram begins after the first byte", { 1: 1 }],
    ["the start is behind the end", { 1: 4_000_000_000 }],
    ["the numbers are the largest ones", { 1: 0xffff_ffff, 2: 0xffff_ffff, 3: 0x7fff_ffff }],
    ["the datagrams are no bytes", { 0: new Int32Array(100) }],
    ["the message is no bytes", { 4: new Int32Array(30) }],
    ["there is no bit for a chunk", { 5: new Uint8Array(0) }],
    ["the shift is too short", { 6: new Int32Array(1023) }],
    ["the series is too short", { 7: new Int32Array(8) }],
    ["an argument is no number", { 2: "34" }],
  ])("fails and writes nothing if %s", (_, changes) => {
    const [taken, message] = takes(changes);
    expect(taken).toBeLessThan(0);
    expect(new Uint8Array(message.buffer).every((byte) => byte === 0)).toBe(true);
  });

  test.each([
    ["the memory of the message ends before it", { 4: new Uint8Array(29) }, 2],
    ["the message has no memory for one", { 4: new Uint8Array(9) }, 0],
    ["datagrams have another length", { 2: 33 }, 0],
    ["datagrams are shorter than a header", { 2: 0 }, 0],
    ["it shall take none", { 3: 0 }, 0],
    ["their number is negative", { 3: -1 }, 0],
  ])("takes no chunk if %s", (_, changes, expected) => {
    expect(takes(changes)[0]).toBe(expected);
  });

  test("takes only chunks that have a bit", () => {
    const [, , , , , , , series] = chunksOfTen();
    const header = { ...newFrame(), kind: frameKind.data, index: 8, size: 10, length: 30 };
    const datagram = Buffer.alloc(34);
    writeFrame(header, datagram);
    sealFrame(datagram, crc32);
    const given = { 0: datagram, 3: 1, 4: new Uint8Array(100), 7: series };
    expect(takes({ ...given, 5: new Uint8Array(1) })[0]).toBe(0);
    expect(takes({ ...given, 5: new Uint8Array(2) })[0]).toBe(1);
  });
});
