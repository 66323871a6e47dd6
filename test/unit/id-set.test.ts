import fc from "fast-check";
import { expect, test } from "vitest";

import { IdSet } from "../../src/message/id-set.js";

const uint32 = fc.oneof(fc.nat(3), fc.integer({ min: 0, max: 0xffff_ffff }));

test("a set has the messages that were added, and no others", () => {
  const message = fc.tuple(uint32, uint32);
  fc.assert(
    fc.property(fc.array(message, { maxLength: 300 }), fc.array(message), (added, others) => {
      const set = new IdSet();
      const model = new Set<string>();
      for (const [id, crc] of added) {
        set.add(id, crc);
        model.add(`${id} ${crc}`);
        expect(set.size).toBe(model.size);
      }
      for (const [id, crc] of [...added, ...others]) expect(set.has(id, crc)).toBe(model.has(`${id} ${crc}`));
    }),
  );
});

test("ids in a row with one CRC are all there, and those before and after them are not", () => {
  const set = new IdSet();
  const [first, count, crc] = [0xffff_f000, 20_000, 0xdead_beef];
  for (let at = 0; at < count; at++) set.add((first + at) >>> 0, crc);
  expect(set.size).toBe(count);
  for (let at = -count; at < 2 * count; at++)
    expect(set.has((first + at) >>> 0, crc)).toBe(at >= 0 && at < count);
});

test("messages that were chosen to fall on one place are all there", () => {
  // The hash begins with id × 0x9e3779b1 XOR crc: all of these have the same.
  const set = new IdSet();
  const crcOf = (id: number): number => (Math.imul(id, 0x9e37_79b1) ^ 0x1234_5678) >>> 0;
  for (let id = 1; id <= 1000; id++) set.add(id, crcOf(id));
  expect(set.size).toBe(1000);
  for (let id = 1; id <= 2000; id++) expect(set.has(id, crcOf(id))).toBe(id <= 1000);
});
