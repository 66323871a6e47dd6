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

/** A chunk by its number, or a parity. */
type Datagram = number | { readonly parity: number };
const parities = 3;
const deadline = 7;

/** The frame of a chunk or a parity of the message, which is sent as a fleeting one with a deadline. */
function fleetingFrame(of: Datagram): Frame {
  const frame = { ...header, flags: frameFlag.fleeting };
  return typeof of === "number"
    ? { ...frame, index: of, attempt: deadline }
    : { ...frame, kind: frameKind.parity, index: of.parity, attempt: parities };
}

function fleetingPayload(of: Datagram): Buffer {
  if (typeof of === "number") return payloadOf(of);
  const payload = Buffer.alloc(size);
  for (let index = of.parity; index < chunks; index += parities)
    for (const [at, byte] of payloadOf(index).entries()) payload[at]! ^= byte;
  return payload;
}

function fleetingDatagram(of: Datagram): Buffer {
  const payload = fleetingPayload(of);
  const datagram = Buffer.concat([Buffer.alloc(frameHeaderBytes), payload, Buffer.alloc(4)]);
  writeFrame(fleetingFrame(of), datagram);
  sealFrame(datagram, crc32);
  return datagram;
}

/** Takes a run of a fleeting message as the receiver does. @param hasRoom whether there is room for a parity. */
function receiveFleeting(
  incoming: Incoming,
  run: readonly Datagram[],
  take: TakeChunks | undefined,
  hasRoom: () => boolean,
): void {
  const bytes = Buffer.concat(run.map(fleetingDatagram));
  const taken: Series = { last: 0, gap: false, isNow: false };
  for (let at = 0; at < run.length;) {
    if (incoming.complete) return;
    const series = take ? incoming.takeSeries(take, bytes, at * segment, segment, run.length - at, taken) : 0;
    if (series > 0) {
      incoming.echo({ ...incoming.frame, index: taken.last }, 0);
      at += series;
      continue;
    }
    const of = run[at++]!;
    const [frame, payload] = [fleetingFrame(of), fleetingPayload(of)];
    if (typeof of !== "number") {
      if (hasRoom()) incoming.addParity(frame, payload);
    } else {
      incoming.echo(frame, 0);
      if (!incoming.has(of)) incoming.add(frame, payload, crc32(payload));
    }
    const lost = incoming.repairable(frame.index);
    if (lost >= 0) incoming.repair(lost);
  }
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

  test("takes runs of a fleeting message as the receiver does, whatever parities are in them or came first", () => {
    const isParity = fc.record({ parity: fc.nat(parities - 1) });
    const datagram = fc.oneof(fc.nat(full - 1), isParity);
    const series = fc.tuple(fc.nat(full - 1), fc.integer({ min: 1, max: 12 }));
    const chunksOf = ([start, length]: readonly [number, number]): number[] =>
      Array.from({ length: Math.min(length, full - start) }, (_, at) => start + at);
    const run = fc.oneof(
      series.map(chunksOf),
      fc.array(isParity, { maxLength: parities }),
      fc.array(datagram),
    );
    fc.assert(
      fc.property(
        fc.oneof(datagram, isParity),
        fc.array(run, { maxLength: 12 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
        (first, runs, room) => {
          const [together, single] = [takeChunks, undefined].map((take) => {
            const incoming = new Incoming(fleetingFrame(first), 0);
            incoming.reserve(0, true);
            let asked = 0;
            const hasRoom = (): boolean => room[asked++ % room.length]!;
            for (const each of [[first], ...runs]) receiveFleeting(incoming, each, take, hasRoom);
            return incoming;
          }) as [Incoming, Incoming];
          expect(together.received).toBe(single.received);
          expect(together.frame).toEqual(single.frame);
          expect(reportOf(together)).toEqual(reportOf(single));
          for (let index = 0; index < chunks; index++)
            if (!together.has(index)) for (const each of [together, single]) addOne(each, index);
          expect(together.join()).toEqual(data);
          expect(single.join()).toEqual(data);
        },
      ),
    );
  });

  test("takes no parity as a chunk if the first parity of a message was refused", () => {
    const run = Buffer.concat([0, 1, 2].map((parity) => fleetingDatagram({ parity })));
    const incoming = new Incoming(fleetingFrame({ parity: 0 }), 0);
    incoming.reserve(0, true);
    const taken: Series = { last: 0, gap: false, isNow: false };
    expect(incoming.takeSeries(takeChunks!, run, 0, segment, 3, taken)).toBe(0);
    expect(incoming.received).toBe(0);
  });

  test("takes the chunks of a message whose first parity was refused, from the second one on", () => {
    const run = Buffer.concat([3, 4, 5].map(fleetingDatagram));
    const incoming = new Incoming(fleetingFrame({ parity: 0 }), 0);
    incoming.reserve(0, true);
    const taken: Series = { last: 0, gap: false, isNow: false };
    expect(incoming.takeSeries(takeChunks!, run, 0, segment, 3, taken)).toBe(0);
    incoming.add(fleetingFrame(3), payloadOf(3), crc32(payloadOf(3)));
    expect(incoming.takeSeries(takeChunks!, run, segment, segment, 2, taken)).toBe(2);
  });

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
