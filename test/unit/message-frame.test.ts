/** Frames of messages: what is written is read again, and bytes that are no frame are refused with the cause. */

import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  type Frame,
  chunkBytes,
  chunksOf,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  maxFrameChunks,
  frameOverheadBytes,
  newFrame,
  readFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";
import {
  type Report,
  delayOf,
  newReport,
  noEcho,
  readReport,
  reportBytes,
  unknownDelay,
  writeReport,
} from "../../src/wire/message-report.js";

/** One entry of docs/wire-vectors.json. */
interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly fault?: string;
  readonly frame?: Frame;
  readonly payload?: string;
  readonly report?: Partial<Report>;
}

const file = new URL("../../docs/wire-vectors.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors: readonly Vector[] };
const { now, fleeting, ordered } = frameFlag;

describe("the vectors of docs/wire-vectors.json", () => {
  test.each(vectors.filter(({ fault }) => fault !== undefined))("$name is refused", ({ hex, fault }) => {
    const bytes = Buffer.from(hex, "hex");
    const frame = newFrame();
    const found = readFrame(bytes, frame, crc32);
    if (fault !== "report") expect(found).toBe(fault);
    else expect([found, readReport(bytes, frame, newReport())]).toEqual([undefined, false]);
  });

  test.each(vectors.filter(({ fault }) => fault === undefined))("$name is read", (vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    const frame = newFrame();
    expect(readFrame(bytes, frame, crc32)).toBeUndefined();
    expect(frame).toEqual(vector.frame);
    if (vector.report) {
      const report = newReport();
      expect(readReport(bytes, frame, report)).toBe(true);
      expect(report).toMatchObject(vector.report);
    } else {
      expect(bytes.subarray(frameHeaderBytes, -4).toString("hex")).toBe(vector.payload);
    }
  });

  test.each(vectors.filter(({ fault }) => fault === undefined))("$name is written", (vector) => {
    const bytes = Buffer.alloc(vector.hex.length / 2);
    writeFrame(vector.frame!, bytes);
    if (vector.report) writeReport({ ...newReport(), ...vector.report }, bytes);
    else Buffer.from(vector.payload!, "hex").copy(bytes, frameHeaderBytes);
    sealFrame(bytes, crc32);
    expect(bytes.toString("hex")).toBe(vector.hex);
  });
});

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const byte = fc.integer({ min: 0, max: 255 });

/** A chunk of a message. */
const chunk = fc
  .record({
    kind: fc.constantFrom(frameKind.data, frameKind.request),
    flags: fc.constantFrom(0, now),
    channel: byte,
    attempt: byte,
    id: uint32,
    size: fc.integer({ min: 1, max: 2000 }),
    chunks: fc.integer({ min: 1, max: maxFrameChunks }),
    rest: fc.double({ min: 0, max: 1, noNaN: true }),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    crc: uint32,
  })
  .map(({ chunks, rest, at, ...frame }): Frame => {
    const length = (chunks - 1) * frame.size + Math.max(chunks > 1 ? 1 : 0, Math.round(rest * frame.size));
    return { ...frame, length, index: Math.min(chunks - 1, Math.floor(at * chunks)) };
  });

/** A report about a message of at most 1,000 chunks. */
const reported = fc
  .record({
    chunks: fc.integer({ min: 1, max: 1000 }),
    lost: fc.array(fc.boolean(), { maxLength: 1000 }),
    credit: fc.integer({ min: 1, max: 65_535 }),
    delay: fc.integer({ min: 0, max: 65_535 }),
  })
  .map(({ chunks, lost, credit, delay }) => {
    const upto = Math.min(chunks, lost.length);
    const missing: number[] = [];
    for (let index = 0; index < upto; index++) {
      if (lost[index] !== true) continue;
      if (index > 0 && lost[index - 1] === true) missing[missing.length - 1]!++;
      else missing.push(index, 1);
    }
    const frame: Frame = { ...newFrame(), kind: frameKind.report, size: 10, length: chunks * 10 };
    frame.index = missing[0] ?? upto;
    return { frame, report: { upto, credit, echo: noEcho, delay, missing, limit: 0 } };
  });

test("a chunk that is written is read again", () => {
  fc.assert(
    fc.property(chunk, (frame) => {
      const bytes = new Uint8Array(frameOverheadBytes + chunkBytes(frame, frame.index));
      writeFrame(frame, bytes);
      sealFrame(bytes, crc32);
      const read = newFrame();
      expect(readFrame(bytes, read, crc32)).toBeUndefined();
      expect(read).toEqual(frame);
    }),
  );
});

test("a chunk with one byte more or less is refused", () => {
  fc.assert(
    fc.property(chunk, fc.constantFrom(-1, 1), (frame, more) => {
      const bytes = new Uint8Array(Math.max(0, frameOverheadBytes + chunkBytes(frame, frame.index) + more));
      if (bytes.length < frameOverheadBytes) return;
      writeFrame(frame, bytes);
      sealFrame(bytes, crc32);
      expect(readFrame(bytes, newFrame(), crc32)).toBe("payload");
    }),
  );
});

test("the chunks of a message cover it without a gap", () => {
  fc.assert(
    fc.property(fc.nat(200_000), fc.integer({ min: 1, max: 2000 }), (length, size) => {
      const chunks = chunksOf(length, size);
      let bytes = 0;
      for (let index = 0; index < chunks; index++) bytes += chunkBytes({ length, size }, index);
      expect(bytes).toBe(length);
    }),
  );
});

test("a report that is written is read again", () => {
  fc.assert(
    fc.property(reported, ({ frame, report }) => {
      const bytes = new Uint8Array(reportBytes(report));
      writeFrame(frame, bytes);
      writeReport(report, bytes);
      sealFrame(bytes, crc32);
      const [read, body] = [newFrame(), newReport()];
      expect(readFrame(bytes, read, crc32)).toBeUndefined();
      expect(readReport(bytes, read, body)).toBe(true);
      expect(body).toEqual(report);
    }),
  );
});

test("any bytes are read or refused", () => {
  const version = fc.constantFrom(0x0d, 0x0d, 0x0d, 0);
  const faults = [undefined, "short", "version", "checksum", "kind", "flags", "size", "index", "payload"];
  fc.assert(
    fc.property(version, fc.uint8Array({ maxLength: 64 }), (first, rest) => {
      expect(faults).toContain(readFrame(Uint8Array.of(first, ...rest), newFrame(), crc32));
    }),
    { numRuns: 2000 },
  );
});

test("any body of a report is refused, or is written as it was read", () => {
  const small = fc.integer({ min: 0, max: 11 });
  let reports = 0;
  fc.assert(
    fc.property(small, fc.array(small, { maxLength: 9 }), (index, body) => {
      const frame: Frame = { ...newFrame(), kind: frameKind.report, size: 100, length: 1000, index };
      const bytes = new Uint8Array(frameOverheadBytes + body.length * 2);
      writeFrame(frame, bytes);
      for (const [at, value] of body.entries()) bytes[frameHeaderBytes + at * 2 + 1] = value;
      const report = newReport();
      if (!readReport(bytes, frame, report)) return;
      reports++;
      const again = new Uint8Array(bytes.length);
      writeFrame(frame, again);
      writeReport(report, again);
      expect(again).toEqual(bytes);
    }),
    { numRuns: 5000, seed: 14 },
  );
  expect(reports).toBeGreaterThan(0);
});

test("a frame with any flipped bit is refused", () => {
  const bytes = Buffer.from(
    vectors.find(({ name }) => name.startsWith("the first of two chunks"))!.hex,
    "hex",
  );
  const found = new Set<string | undefined>();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    found.add(readFrame(flipped, newFrame(), crc32));
  }
  expect([...found].sort()).toEqual(["checksum", "version"]);
});

test("no frame is both fleeting and ordered", () => {
  const bytes = new Uint8Array(frameOverheadBytes);
  writeFrame({ ...newFrame(), kind: frameKind.data, flags: fleeting | ordered, size: 1 }, bytes);
  sealFrame(bytes, crc32);
  expect(readFrame(bytes, newFrame(), crc32)).toBe("flags");
});

test("a delay above 8.19 s is not known", () => {
  expect([delayOf(0), delayOf(10), delayOf(8191.75), delayOf(8192)]).toEqual([0, 80, 65_534, unknownDelay]);
});
