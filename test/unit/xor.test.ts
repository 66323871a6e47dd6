import fc from "fast-check";
import { expect, test } from "vitest";

import { xorInto } from "../../src/message/xor.js";

test("bytes are XORed at each alignment, and the bytes after them stay", () => {
  const bytes = fc.uint8Array({ minLength: 20, maxLength: 40 });
  fc.assert(
    fc.property(bytes, bytes, fc.nat(7), fc.nat(7), fc.nat(13), (one, other, at, from, length) => {
      const target = one.slice();
      const before = target.subarray(at);
      const source = other.subarray(from, from + length);
      const expected = one.map((byte, index) => byte ^ (index < at ? 0 : (source[index - at] ?? 0)));
      xorInto(before, source);
      expect(target).toEqual(expected);
    }),
  );
});
