import { crc32 } from "node:zlib";

import fc from "fast-check";
import { expect, test } from "vitest";

import type { CopyPieces } from "../../src/core/driver/driver.js";
import { Outbound } from "../../src/core/driver/outbound.js";
import { Batches, Burst } from "../../src/message/burst.js";
import { Outgoing } from "../../src/message/outgoing.js";
import { ChunkHeader, setNow } from "../../src/wire/chunk-header.js";
import { crcShift } from "../../src/wire/crc32.js";
import {
  type Frame,
  type Payload,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  newFrame,
  readFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";

const size = 100;

function outgoingOf(bytes: number): Outgoing {
  const data = Uint8Array.from({ length: bytes }, (_, at) => at * 7);
  const header = { ...newFrame(), kind: frameKind.data, id: 0xfedc_ba98, channel: 200, size, length: bytes };
  return new Outgoing(header, data, 0);
}

/** The frames of a burst, with their payloads. A datagram that is no frame fails the test. */
function framesOf(batch: Outbound): { frame: Frame; payload: Uint8Array }[] {
  return Array.from({ length: batch.count }, (_, at) => {
    const frame = newFrame();
    const payload: Payload<Uint8Array> = { bytes: new Uint8Array(), crc: undefined };
    expect(readFrame(batch.view(at), frame, crc32, payload)).toBeUndefined();
    return { frame, payload: Uint8Array.from(payload.bytes) };
  });
}

/** As the addon has it. */
const copyPieces: CopyPieces = (from, fromStart, fromStride, to, toStart, toStride, pieceBytes, pieces) => {
  for (let piece = 0; piece < pieces; piece++) {
    const start = fromStart + piece * fromStride;
    expect(start + pieceBytes).toBeLessThanOrEqual(from.length);
    to.set(from.subarray(start, start + pieceBytes), toStart + piece * toStride);
  }
};

test("the header of a chunk is the one that writeFrame writes, with its CRC", () => {
  const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const uint16 = fc.nat(0xffff);
  fc.assert(
    fc.property(
      uint32,
      uint32,
      uint32,
      uint16,
      uint16,
      fc.nat(255),
      fc.nat(255),
      fc.boolean(),
      (...values) => {
        const [id, length, crc, index, chunkSize, channel, attempt, isNow] = values;
        const { ordered, now } = frameFlag;
        const frame = {
          ...newFrame(),
          kind: frameKind.data,
          flags: ordered,
          id,
          length,
          crc,
          size: chunkSize,
          channel,
        };
        const found = new Uint8Array(30);
        const expected = new Uint8Array(30);
        writeFrame({ ...frame, flags: ordered | (isNow ? now : 0), index, attempt }, expected, 7);
        const found32 = new ChunkHeader(frame).write(new DataView(found.buffer), 7, index, attempt, isNow);
        expect(found).toEqual(expected);
        expect(found32).toBe(crc32(expected.subarray(7, 7 + frameHeaderBytes)) | 0);
      },
    ),
  );
});

test("a run of chunks has the headers and checksums that single chunks have, for every number", () => {
  const [payloadBytes, stride] = [7, 31];
  const shift = crcShift(payloadBytes);
  const payload = Uint8Array.from([1, 2, 3, 4, 5, 6, 255]);
  const crcs = new Int32Array(65_535).fill(crc32(payload) | 0);
  const runs = fc.tuple(fc.nat(65_534), fc.integer({ min: 1, max: 64 }), fc.nat(255), fc.nat(63));
  const holds = ([first, wanted, attempt, asking]: readonly [number, number, number, number]): void => {
    const chunks = Math.min(wanted, 65_535 - first);
    const frame = { ...newFrame(), kind: frameKind.data, id: 0xfedc_ba98, crc: 0x8765_4321, channel: 3 };
    Object.assign(frame, { size: payloadBytes, length: 65_535 * payloadBytes });
    const found = new Uint8Array(chunks * stride);
    const view = new DataView(found.buffer);
    for (let at = frameHeaderBytes; at < found.length; at += stride) found.set(payload, at);
    new ChunkHeader(frame).writeRun(view, 0, first, chunks, attempt, crcs, payloadBytes, shift);
    if (asking < chunks) setNow(view, asking * stride, payloadBytes, shift);
    const wrong: number[] = [];
    for (let chunk = 0; chunk < chunks; chunk++) {
      const read = newFrame();
      const fault = readFrame(found.subarray(chunk * stride, (chunk + 1) * stride), read, crc32);
      const { kind, flags, index, id, length, crc } = read;
      const header = [fault, kind, flags, read.attempt, index, id, length, crc];
      const isNow = chunk === asking ? frameFlag.now : 0;
      const right = [undefined, frame.kind, isNow, attempt, first + chunk, frame.id, frame.length, frame.crc];
      if (header.some((field, at) => field !== right[at])) wrong.push(first + chunk);
    }
    expect(wrong).toEqual([]);
  };
  fc.assert(fc.property(runs, holds), { numRuns: 50 });
  holds([0, 65_535, 0, 9]);
});

test.each([undefined, copyPieces])(
  "chunks in any order, parities and copies are whole frames (%o)",
  (copies) => {
    const outgoing = outgoingOf(950);
    const { data, frame } = outgoing;
    const burst = new Burst(new Outbound({ bytes: 2000, datagrams: 14 }), outgoing, copies);
    const chunks = [0, 1, 2, 3, 7, 8, 9, 5, 4];
    for (const index of chunks) burst.chunk(index, index + 1, index === 9);
    burst.parity(1, 3);
    burst.repeat(6);
    burst.repeat(0);
    const found = framesOf(burst.end());
    const payloadOf = (index: number): Uint8Array => data.slice(index * size, (index + 1) * size);
    for (const [at, index] of [...chunks.entries(), [10, 9] as const, [11, 0] as const]) {
      const flags = index === 9 ? frameFlag.now : 0;
      expect(found[at]?.frame).toEqual({ ...frame, flags, index, attempt: index + 1 });
      expect(found[at]?.payload).toEqual(payloadOf(index));
    }
    const xor = payloadOf(1);
    for (const index of [4, 7])
      payloadOf(index).forEach((byte, at) => (xor[at] = (xor[at] as number) ^ byte));
    expect(found[9]?.frame).toEqual({ ...frame, kind: frameKind.parity, index: 1, attempt: 3 });
    expect(found[9]?.payload).toEqual(xor);
    expect(found).toHaveLength(12);
  },
);

test.each([undefined, copyPieces])("a run between single chunks is whole frames (%o)", (copies) => {
  const outgoing = outgoingOf(950);
  const burst = new Burst(new Outbound({ bytes: 2000, datagrams: 14 }), outgoing, copies);
  burst.chunk(3, 1, false);
  expect(burst.run(4, 5, 0)).toBe(true);
  burst.askIn(5);
  burst.chunk(9, 0, true);
  const found = framesOf(burst.end());
  for (const [at, index] of [3, 4, 5, 6, 7, 8, 9].entries()) {
    const flags = index >= 8 ? frameFlag.now : 0;
    expect(found[at]?.frame).toEqual({ ...outgoing.frame, flags, index, attempt: index === 3 ? 1 : 0 });
    expect(found[at]?.payload).toEqual(outgoing.data.slice(index * size, (index + 1) * size));
  }
  expect(found).toHaveLength(7);
});

test("an empty message is one frame", () => {
  const outgoing = outgoingOf(0);
  const burst = new Burst(new Outbound({ bytes: 24, datagrams: 1 }), outgoing, copyPieces);
  burst.chunk(0, 0, true);
  expect(framesOf(burst.end())).toEqual([
    { frame: { ...outgoing.frame, flags: frameFlag.now }, payload: new Uint8Array() },
  ]);
});

test("memory that was taken away ends as a frame with a wrong checksum, and not as an error", () => {
  const outgoing = outgoingOf(950);
  structuredClone(outgoing.data, { transfer: [outgoing.data.buffer as ArrayBuffer] });
  const burst = new Burst(new Outbound({ bytes: 2000, datagrams: 10 }), outgoing, copyPieces);
  for (let index = 0; index < 10; index++) if (index !== 5) burst.chunk(index, 0, false);
  const batch = burst.end();
  for (let at = 0; at < 9; at++) expect(readFrame(batch.view(at), newFrame(), crc32)).toBe("checksum");
});

test("a batch is used again if it has room", () => {
  const batches = new Batches(1);
  const batch = batches.take(100, 10);
  batches.put(batch);
  expect(batches.take(50, 8)).toBe(batch);
  batches.put(batch);
  expect(batches.take(100, 11)).not.toBe(batch);
});
