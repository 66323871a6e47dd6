import { crc32 } from "node:zlib";

import fc from "fast-check";
import { expect, test } from "vitest";

import type { CopyPieces } from "../../src/core/driver/driver.js";
import { Outbound } from "../../src/core/driver/outbound.js";
import { Batches, Burst } from "../../src/message/burst.js";
import { Outgoing } from "../../src/message/outgoing.js";
import {
  ChunkHeader,
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
