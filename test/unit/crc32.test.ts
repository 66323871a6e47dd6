import { crc32 } from "node:zlib";

import fc from "fast-check";
import { expect, test } from "vitest";

import {
  crcOfHeader,
  crcOfShort,
  crcShift,
  crcWithItself,
  joinCrcs,
  joinCrcsOnce,
  knownCrcShift,
} from "../../src/wire/crc32.js";

const pieces = [fc.uint8Array({ maxLength: 3000 }), fc.uint8Array({ maxLength: 3000 })] as const;

test("the CRC of two pieces follows from the CRC of each", () => {
  fc.assert(
    fc.property(...pieces, (first, second) => {
      const whole = crc32(Buffer.concat([first, second])) | 0;
      const [before, after] = [crc32(first), crc32(second)];
      expect(joinCrcsOnce(before, after, second.length)).toBe(whole);
      expect(joinCrcs(before, after, crcShift(second.length))).toBe(whole);
    }),
  );
});

test("the CRC of the second piece follows from the CRCs of the first and of both", () => {
  fc.assert(
    fc.property(...pieces, (first, second) => {
      const whole = crc32(second, crc32(first));
      expect(joinCrcs(crc32(first), whole, crcShift(second.length))).toBe(crc32(second) | 0);
    }),
  );
});

test("the CRC of bytes and of their own CRC follows from their CRC", () => {
  fc.assert(
    fc.property(pieces[0], (bytes) => {
      const own = Buffer.alloc(4);
      own.writeUInt32BE(crc32(bytes));
      expect(crcWithItself(crc32(bytes))).toBe(crc32(Buffer.concat([bytes, own])) | 0);
    }),
  );
});

test("a CRC of short bytes is that of zlib, for each multiple of 4", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(4), (bytes, start) => {
      const end = bytes.length - ((bytes.length - start) & 3);
      fc.pre(end >= start);
      expect(crcOfShort(bytes, start, end)).toBe(crc32(bytes.subarray(start, end)) | 0);
    }),
  );
});

test("the CRC of two pieces does not depend on the lengths that came before", () => {
  const lengths = fc.array(fc.nat(5000), { minLength: 100, maxLength: 300 });
  fc.assert(
    fc.property(lengths, (each) => {
      for (const bytes of each)
        expect(joinCrcsOnce(crc32("x"), 0, bytes)).toBe(joinCrcs(crc32("x"), 0, crcShift(bytes)));
    }),
    { numRuns: 20 },
  );
});

test("a second piece may be longer than memory", () => {
  // A gigabyte of zeros, as two halves of it, and so on.
  let zeros = crc32(new Uint8Array(1 << 20));
  for (let bytes = 1 << 20; bytes < 2 ** 30; bytes *= 2) zeros = joinCrcsOnce(zeros, zeros, bytes);
  // python3 -c 'import zlib; print(zlib.crc32(bytes(1 << 30)))'
  expect(zeros >>> 0).toBe(1533330096);
  expect(joinCrcs(1, 0, crcShift(0xffff_ffff))).toBe(joinCrcsOnce(1, 0, 0xffff_ffff));
});

test("the CRC of a header is that of its 20 bytes, wherever it is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 30, maxLength: 30 }), fc.nat(10), (bytes, at) => {
      expect(crcOfHeader(bytes, at)).toBe(crc32(bytes.subarray(at, at + 20)) | 0);
    }),
  );
});

test("only the shifts that were used last are kept", () => {
  for (let bytes = 7000; bytes < 7100; bytes++) {
    const shift = crcShift(bytes);
    expect(crcShift(bytes)).toBe(shift);
    expect(knownCrcShift(bytes)).toBe(shift);
  }
  expect(knownCrcShift(7000)).toBeUndefined();
});
