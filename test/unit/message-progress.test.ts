import { expect, test } from "vitest";

import { progressLine } from "../../src/cli/message-progress.js";
import { formatBytes, measuredRate } from "../../src/cli/option-values.js";

const state = {
  bytes: 3_000_000,
  arrivedBytes: 1_350_000,
  rateBps: 8_312_345,
  resentChunks: 31,
  elapsedMs: 2000,
};

test("the line has a bar, the share, the rate, what was sent again and the time that is left", () => {
  expect(progressLine(state, 77)).toBe(
    "[=========           ]  45% of 2.86 MiB, 8.31 Mbit/s, 31 resent, 2 s left",
  );
  expect(progressLine({ ...state, resentChunks: 0, rateBps: 0 }, 77)).toMatch(/MiB, 0 bit\/s, stalled$/);
  expect(progressLine({ ...state, rateBps: 20_000 }, 77)).toMatch(/, 11 min left$/);
});

test("before the first report, the line says that none has come", () => {
  const silent = { ...state, arrivedBytes: 0, resentChunks: 2 };
  expect(progressLine({ ...silent, elapsedMs: 500 }, 77)).toMatch(/ 0% of 2\.86 MiB, starting$/);
  expect(progressLine(silent, 77)).toMatch(/ 0% of 2\.86 MiB, no report yet, 2 resent$/);
  expect(progressLine({ ...silent, bytes: 0 }, 77)).toContain("  0% of 0 bytes");
});

test("no line is longer than the columns", () => {
  const long = { ...state, bytes: 78_642_000, arrivedBytes: 78_000_000, rateBps: 1, resentChunks: 1_000_000 };
  for (let columns = 1; columns < 120; columns++) {
    for (const each of [state, long]) expect(progressLine(each, columns).length).toBeLessThanOrEqual(columns);
  }
});

test.for([
  [0, "0 bytes"],
  [1023, "1023 bytes"],
  [65_536, "64 KiB"],
  [3_000_000, "2.86 MiB"],
  [2 ** 30, "1 GiB"],
] as const)("%i bytes are shown as %s", ([bytes, text]) => {
  expect(formatBytes(bytes)).toBe(text);
});

test("a measured rate has three digits", () => {
  expect(measuredRate(9_831_234)).toBe("9.83 Mbit/s");
  expect(measuredRate(1267)).toBe("1.27 kbit/s");
});
