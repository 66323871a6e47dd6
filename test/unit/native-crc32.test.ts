/** The CRC-32 of the addon: the numbers of zlib. */
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { nativeSupport } from "../../src/kernel/native/stack.js";
import { zlibCrc32 } from "../../src/message/crc32.js";
import { whySkipped } from "../process/programs.js";

const hasAddon = whySkipped("native") === undefined;
// The addon is loaded once for all tests of this process.
const fast = hasAddon ? nativeSupport().stack?.crc32 : undefined;
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
