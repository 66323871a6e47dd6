import { expect, test } from "vitest";

import { durationText, latenessText, replayLine } from "../../src/cli/replay-progress.js";

const lateness = { p50Ms: 0.0214, p99Ms: 0.113, maxMs: 12.34, late: 3 };
const state = { datagrams: 1200, share: 0.456, loop: 0, loops: 1, elapsedMs: 5230, lateness };

test("the line shows the share, the datagrams and the lateness", () => {
  expect(replayLine(state, 77)).toBe(
    "[=========           ]  45%, 1200 sent in 5.2 s, 99% at most 0.113 ms late",
  );
  expect(replayLine({ ...state, loop: 1, loops: 3, share: 1 }, 77)).toContain(
    "100%, 1200 sent in 5.2 s, loop 2 of 3, ",
  );
  expect(replayLine({ ...state, loops: Infinity }, 77)).toContain(" s, loop 1, 99% ");
  expect(replayLine({ ...state, share: undefined, lateness: undefined }, 77)).toBe("1200 sent in 5.2 s");
});

test("the line never exceeds the terminal", () => {
  const long = { ...state, datagrams: 123_456_789, elapsedMs: 4e7, loop: 4, loops: 1000 };
  for (const columns of [10, 40, 60, 77, 120])
    for (const each of [state, long]) expect(replayLine(each, columns).length).toBeLessThanOrEqual(columns);
});

test("times and lateness are texts", () => {
  expect([34.21, 999, 9999, 75_400, 725_000].map(durationText)).toEqual([
    "34.2 ms",
    "999 ms",
    "10 s",
    "75 s",
    "12 min 5 s",
  ]);
  expect(latenessText(lateness)).toBe(
    "half of them at most 0.0214 ms late, 99% 0.113 ms, all 12.3 ms; 3 later than 1 ms",
  );
  expect(latenessText({ p50Ms: 0, p99Ms: 0, maxMs: 0, late: 0 })).toContain("all 0.001 ms; none later");
});
