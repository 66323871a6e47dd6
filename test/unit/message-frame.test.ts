/** Frames of messages: what is written is read again, and bytes that are no frame are refused with the cause. */

import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { crcShift } from "../../src/wire/crc32.js";
import {
  type Frame,
  chunkBytes,
  chunksOf,
  endOfSealed,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  maxFrameChunks,
  frameOverheadBytes,
  newFrame,
  readFrame,
  readSealedFrame,
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

describe("a run of datagrams that were merged", () => {
  const run = fc
    .record({
      datagrams: fc.integer({ min: 1, max: 20 }),
      size: fc.integer({ min: 0, max: 60 }),
      rest: fc.integer({ min: 0, max: 60 }),
      seed: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    })
    .map(({ datagrams, size, rest, seed }) => {
      const segment = frameOverheadBytes + size;
      const bytes = Buffer.alloc(datagrams * segment + (rest < segment ? rest : 0));
      for (let at = 0; at < bytes.length; at++) bytes[at] = (seed[at % 64] as number) ^ ((at >> 6) * 29);
      for (let at = 0; at < datagrams; at++)
        sealFrame(bytes.subarray(at * segment, (at + 1) * segment), crc32);
      return { bytes, segment, datagrams };
    });

  test("has right checksums up to the end of its last full datagram, if it has 8 of them", () => {
    fc.assert(
      fc.property(run, ({ bytes, segment, datagrams }) => {
        expect(endOfSealed(bytes, segment, crc32)).toBe(datagrams < 8 ? 0 : datagrams * segment);
      }),
    );
  });

  test("is read datagram by datagram if one bit of it is wrong", () => {
    fc.assert(
      fc.property(run, fc.nat(), ({ bytes, segment, datagrams }, bit) => {
        const at = bit % (datagrams * segment * 8);
        (bytes[at >> 3] as number) ^= 1 << (at & 7);
        expect(endOfSealed(bytes, segment, crc32)).toBe(0);
      }),
    );
  });

  test("may have datagrams that are too short for a frame", () => {
    expect(endOfSealed(Buffer.alloc(800), 10, crc32)).toBe(0);
    expect(endOfSealed(Buffer.alloc(800), 0, crc32)).toBe(0);
  });

  test("has the same frames as its datagrams alone, and the CRC of each payload", () => {
    const frame = { ...newFrame(), kind: frameKind.data, id: 7, size: 100, length: 1000, crc: 12345 };
    const segment = frameOverheadBytes + frame.size;
    const bytes = Buffer.alloc(10 * segment);
    for (let index = 0; index < 10; index++) {
      const datagram = bytes.subarray(index * segment, (index + 1) * segment);
      datagram.fill(index, frameHeaderBytes);
      writeFrame({ ...frame, index }, datagram);
      sealFrame(datagram, crc32);
    }
    expect(endOfSealed(bytes, segment, crc32)).toBe(bytes.length);
    crcShift(frame.size);
    for (let index = 0; index < 10; index++) {
      const found = newFrame();
      const payload = { bytes: Buffer.alloc(0), crc: undefined as number | undefined };
      const [start, end] = [index * segment, (index + 1) * segment];
      expect(readSealedFrame(bytes, found, payload, start, end)).toBeUndefined();
      expect(found).toEqual({ ...frame, index });
      expect(payload.bytes).toEqual(Buffer.alloc(frame.size, index));
      expect(payload.crc).toBe(crc32(payload.bytes) | 0);
    }
  });
});
