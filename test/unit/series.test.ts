/** Chunks that the addon takes together make the same message and the same reports as chunks that are taken one by one. */
import { Buffer } from "node:buffer";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { crc32 } from "node:zlib";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { TakeChunks } from "../../src/core/driver/driver.js";
import { nativeSupport } from "../../src/kernel/native/stack.js";
import { Incoming, type Series } from "../../src/message/incoming.js";
import { belongs } from "../../src/message/same-message.js";
import {
  type Frame,
  type Payload,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  frameOverheadBytes,
  newFrame,
  readFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";
import { newReport } from "../../src/wire/message-report.js";
import { whySkipped } from "../process/programs.js";

const takeChunks = whySkipped("native") === undefined ? nativeSupport().stack?.takeChunks : undefined;

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
      payloadOf(index).copy(datagram, frameHeaderBytes);
      sealFrame(datagram, crc32);
      return datagram;
    }),
  );
}

function begun(all = true): Incoming {
  const incoming = new Incoming(frameOf(0), 0);
  incoming.reserve(0, all);
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

/** Takes the chunks of a run as the receiver does, those of a series together if there is a `take`. Returns which reports are due. */
function receive(incoming: Incoming, run: Buffer, length: number, take: TakeChunks | undefined): boolean {
  let isDue = false;
  const taken: Series = { last: 0, gap: false, isNow: false };
  for (let at = 0, start = 0; at < length; start = at * segment) {
    const chunks = take ? incoming.takeSeries(take, run, start, segment, length - at, taken) : 0;
    if (chunks > 0) {
      isDue ||= taken.gap || taken.isNow;
      incoming.echo(frameOf(taken.last), 0);
      at += chunks;
      continue;
    }
    const frame = newFrame();
    const payload: Payload<Buffer> = { bytes: run, crc: undefined };
    at++;
    if (readFrame(run, frame, crc32, payload, start, start + segment) !== undefined) continue;
    if (frame.id !== header.id || frame.crc !== header.crc || !belongs(frame, header)) continue;
    incoming.echo(frame, 0);
    if (incoming.has(frame.index)) continue;
    const gap = incoming.add(frame, payload.bytes, crc32(payload.bytes));
    isDue ||= gap || (frame.flags & frameFlag.now) !== 0;
  }
  return isDue;
}

describe.skipIf(!takeChunks)("the addon", () => {
  const starts = fc.tuple(fc.nat(full - 1), fc.integer({ min: 1, max: 12 }));
  /** Where a byte of a run is changed; undefined if none is. */
  const change = fc.option(fc.tuple(fc.nat(12 * segment - 1), fc.integer({ min: 1, max: 255 })), {
    nil: undefined,
  });

  test.each(["reserved as a whole", "reserved for one slab"])(
    "takes runs in any order, with gaps and wrong bytes, as the receiver takes chunks: memory %s",
    (memory) => {
      const runs = fc.array(fc.tuple(starts, change), { maxLength: 12 });
      fc.assert(
        fc.property(runs, (all) => {
          const isWhole = memory === "reserved as a whole";
          const [together, single] = [begun(isWhole), begun(isWhole)];
          for (const [[start, count], wrong] of all) {
            const indexes = Array.from({ length: Math.min(count, full - start) }, (_, at) => start + at);
            const run = datagramsOf(indexes);
            if (wrong && wrong[0] < run.length) run[wrong[0]]! ^= wrong[1];
            const due = [takeChunks, undefined].map((take, at) =>
              receive(at === 0 ? together : single, run, indexes.length, take),
            );
            expect(due[0]).toBe(due[1]);
            expect(together.received).toBe(single.received);
            expect(reportOf(together)).toEqual(reportOf(single));
          }
          for (let index = 0; index < chunks; index++)
            if (!together.has(index)) for (const each of [together, single]) addOne(each, index);
          expect(together.join()).toEqual(data);
          expect(single.join()).toEqual(data);
        }),
      );
    },
  );

  /** The number of chunks that it takes of a run of chunks with these numbers. */
  function takes(indexes: readonly number[], damage: (run: Buffer) => void = () => undefined): number {
    const run = datagramsOf(indexes);
    damage(run);
    const taken: Series = { last: 0, gap: false, isNow: false };
    return begun().takeSeries(takeChunks!, run, 0, segment, Math.floor(run.length / segment), taken);
  }

  test("ends before a chunk with another number, and before the last chunk, which is shorter", () => {
    expect(takes([3, 4, 5])).toBe(3);
    expect(takes([3, 4, 6])).toBe(2);
    expect(takes([3, 3])).toBe(1);
    expect(takes([full - 2, full - 1, full])).toBe(2);
  });

  test("takes no chunk whose bytes differ from those that were sent, and none after it", () => {
    for (let at = 0; at < segment; at++)
      for (const place of [0, 1])
        expect(
          takes([3, 4, 5], (run) => (run[place * segment + at]! ^= 0x80)),
          `byte ${at}`,
        ).toBe(place);
  });

  test("takes no chunk of another header, although its checksum is right", () => {
    for (let at = 0; at < frameHeaderBytes; at++) {
      const reseal = (run: Buffer): void => {
        run[segment + at]! ^= 0x20;
        sealFrame(run.subarray(segment, 2 * segment), crc32);
      };
      expect(takes([3, 4, 5], reseal), `byte ${at}`).toBe(1);
    }
  });

  test("takes no chunk that was sent again, so that the receiver counts it", () => {
    const again = (run: Buffer): void => {
      run[segment + 3] = 1;
      sealFrame(run.subarray(segment, 2 * segment), crc32);
    };
    expect(takes([3, 4, 5], again)).toBe(1);
  });

  test("takes nothing of a message whose memory is not there", () => {
    const taken: Series = { last: 0, gap: false, isNow: false };
    expect(
      new Incoming(frameOf(0), 0).takeSeries(takeChunks!, datagramsOf([0, 1]), 0, segment, 2, taken),
    ).toBe(0);
  });
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
