import { expect, test } from "vitest";

import { listenLine } from "../../src/cli/listen-status.js";
import { columnsOf, cutText } from "../../src/cli/payload.js";

const state = {
  datagrams: 48_210,
  datagramsPerSecond: 1987.4,
  rateBps: 3_179_840,
  peers: "3 peers",
  lost: { datagrams: 12, isExact: false },
};

test("the line has the rates, the peers, the losses and the total", () => {
  expect(listenLine(state, 77)).toBe("1987/s, 3.18 Mbit/s | 3 peers | 12 lost or more | 48210 datagrams");
});

test("without datagrams the line says so, and still shows losses", () => {
  const none = { ...state, datagrams: 0 };
  expect(listenLine({ ...none, lost: { datagrams: 0, isExact: false } }, 77)).toBe("no datagrams yet");
  expect(listenLine(none, 77)).toBe("no datagrams yet | 12 lost or more");
});

test("a narrow line has no total, and a narrower one no bits", () => {
  expect(listenLine(state, 50)).toBe("1987/s, 3.18 Mbit/s | 3 peers | 12 lost or more");
  expect(listenLine(state, 37)).toBe("1987/s | 3 peers | 12 lost or more");
});

test("large numbers fit a terminal of 80 columns", () => {
  const large = { ...state, datagrams: 999_999_999, datagramsPerSecond: 999_999, rateBps: 9.99e9 };
  const lost = { datagrams: 9_999_999, isExact: false };
  expect(listenLine({ ...large, peers: "65536 peers or more", lost }, 77).length).toBeLessThanOrEqual(77);
});

test("a wide character takes two columns, and is not divided", () => {
  expect(columnsOf("a漢😀")).toBe(5);
  expect([1, 2, 3, 4, 5].map((columns) => cutText("a漢😀", columns))).toEqual([
    "a",
    "a",
    "a漢",
    "a漢",
    "a漢😀",
  ]);
});
