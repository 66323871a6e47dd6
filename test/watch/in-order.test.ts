import { expect, test } from "vitest";

import { inOrder } from "../../src/watch/web/state/in-order.js";

const startNs = 1_700_000_000_000_000_000n;
const at = (ms: number) => ({ connection: 1, row: { timestamp: String(startNs + BigInt(ms) * 1_000_000n) } });

test("datagrams of several sources are in order of time", () => {
  expect(inOrder([at(0), at(20), at(40)], [at(30), at(10), at(50)])).toEqual([0, 10, 20, 30, 40, 50].map(at));
});

test("after the clock was set back, new datagrams are still the last ones of the list", () => {
  expect(inOrder([at(0), at(20)], [at(-3_600_000), at(-3_599_000)])).toEqual(
    [0, 20, -3_600_000, -3_599_000].map(at),
  );
});
