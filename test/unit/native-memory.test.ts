/** The calls of the addon on memory: the CRC-32, which is that of zlib, and copies of pieces that are the same distance apart. */
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { nativeSupport } from "../../src/kernel/native/stack.js";
import { zlibCrc32 } from "../../src/message/crc32.js";
import { whySkipped } from "../process/programs.js";

const hasAddon = whySkipped("native") === undefined;
// The addon is loaded once for all tests of this process.
const stack = hasAddon ? nativeSupport().stack : undefined;
const [fast, copyPieces] = [stack?.crc32, stack?.copyPieces];
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
