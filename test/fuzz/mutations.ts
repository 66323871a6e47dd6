/** Changes of inputs: what a bad network or an attacker makes of the datagrams of real encoders. */

import { crc32 } from "node:zlib";

import fc from "fast-check";

import { frameHeaderBytes, frameOverheadBytes, sealFrame } from "../../src/wire/message-frame.js";
import { type Step, maxWaitMs, sources } from "./steps.js";

/** Changes an input. Places are from 0 to 1, so that they fit inputs of each length. */
type Mutation = (steps: Step[], others: readonly Step[]) => void;

/** The largest number of datagrams of an input. */
const maxSteps = 400;

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const byte = fc.nat(255);
/** Numbers at the edges of fields. */
const edge = fc.constantFrom(0, 1, 2, 3, 7, 8, 9, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x20, 0x30, 0x40, 0x50);

const indexOf = (steps: readonly unknown[], at: number): number => Math.floor(at * steps.length);

/** Replaces the bytes of one datagram. */
function changed(steps: Step[], at: number, change: (data: Buffer) => Uint8Array): void {
  const index = indexOf(steps, at);
  const step = steps[index];
  if (step) steps[index] = { ...step, data: change(Buffer.from(step.data)) };
}

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  // A byte becomes another: mostly of the first 32, where headers are.
  fc.tuple(place, fc.oneof(fc.nat(31), fc.nat(31), fc.nat(2000)), fc.oneof(byte, edge)).map(
    ([at, offset, value]): Mutation =>
      (steps) =>
        changed(steps, at, (data) => {
          if (data.length > 0) data[offset % data.length] = value;
          return data;
        }),
  ),
  // The same byte of all later datagrams becomes another, so that they still fit together.
  fc.tuple(place, fc.nat(31), fc.oneof(byte, edge)).map(([at, offset, value]): Mutation => (steps) => {
    for (let index = indexOf(steps, at); index < steps.length; index++)
      changed(steps, index / steps.length, (data) => {
        if (offset < data.length) data[offset] = value;
        return data;
      });
  }),
  // Cut, or longer.
  fc.tuple(place, place).map(
    ([at, end]): Mutation =>
      (steps) =>
        changed(steps, at, (data) => data.subarray(0, indexOf([...data], end))),
  ),
  fc.tuple(place, fc.uint8Array({ maxLength: 40 })).map(
    ([at, more]): Mutation =>
      (steps) =>
        changed(steps, at, (data) => Buffer.concat([data, more])),
  ),
  // Lost, doubled, in another order.
  fc.tuple(place, fc.integer({ min: 1, max: 8 })).map(
    ([at, count]): Mutation =>
      (steps) =>
        void steps.splice(indexOf(steps, at), count),
  ),
  fc.tuple(place, place, fc.integer({ min: 1, max: 20 })).map(([from, to, count]): Mutation => (steps) => {
    const start = indexOf(steps, from);
    steps.splice(indexOf(steps, to), 0, ...steps.slice(start, start + count));
  }),
  fc.tuple(place, place).map(([from, to]): Mutation => (steps) => {
    const [step] = steps.splice(indexOf(steps, from), 1);
    if (step) steps.splice(indexOf(steps, to), 0, step);
  }),
  // From another source, or later.
  fc
    .tuple(place, fc.nat(sources - 1), fc.integer({ min: 1, max: 40 }))
    .map(([at, source, count]): Mutation => (steps) => {
      const start = indexOf(steps, at);
      for (let index = start; index < Math.min(steps.length, start + count); index++)
        steps[index] = { ...(steps[index] as Step), source };
    }),
  fc.tuple(place, fc.oneof(fc.nat(20), fc.nat(maxWaitMs))).map(([at, waitMs]): Mutation => (steps) => {
    const index = indexOf(steps, at);
    const step = steps[index];
    if (step) steps[index] = { ...step, waitMs };
  }),
  // Datagrams of another input, and invented ones.
  fc
    .tuple(place, place, fc.integer({ min: 1, max: 40 }))
    .map(([from, to, count]): Mutation => (steps, others) => {
      const start = indexOf(others, from);
      steps.splice(indexOf(steps, to), 0, ...others.slice(start, start + count));
    }),
  fc.tuple(place, fc.nat(sources - 1), fc.uint8Array({ maxLength: 80 })).map(
    ([at, source, data]): Mutation =>
      (steps) =>
        void steps.splice(indexOf(steps, at), 0, { source, waitMs: 0, data }),
  ),
);

/** The inputs of a corpus with up to 20 changes. */
export function mutated(corpus: readonly (readonly Step[])[], sealing: boolean): fc.Arbitrary<Step[]> {
  return fc
    .record({
      base: fc.constantFrom(...corpus),
      other: fc.constantFrom(...corpus),
      mutations: fc.array(mutation, { maxLength: 20 }),
      isSealed: fc.integer({ min: 0, max: 9 }).map((number) => sealing && number > 0),
    })
    .map(({ base, other, mutations, isSealed }) => {
      const steps = [...base];
      for (const mutate of mutations) {
        mutate(steps, other);
        steps.length = Math.min(steps.length, maxSteps);
      }
      return isSealed ? steps.map(sealed) : steps;
    });
}

/** Writes the checksum of a frame anew. Otherwise the checksum alone would catch nearly each change. */
function sealed(step: Step): Step {
  if (step.data.length < frameOverheadBytes) return step;
  const data = Uint8Array.from(step.data);
  if (data.length >= frameHeaderBytes) sealFrame(data, crc32);
  return { ...step, data };
}
