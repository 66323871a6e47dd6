import { describe, expect, test } from "vitest";

import { bitRate, duration, share, shares } from "../../src/cli/option-values.js";
import { formatRate, formatShare } from "../../src/sim/link/unit-texts.js";

describe("shares", () => {
  test.for([
    ["10%", 0.1],
    ["1%", 0.01],
    ["0", 0],
    ["0%", 0],
    ["100%", 1],
    ["2.5%", 0.025],
    [".5%", 0.005],
    ["0.0001%", 0.000001],
    ["1/10", 0.1],
    ["1/1", 1],
    ["0/5", 0],
  ] as const)("%s is %s", ([text, ratio]) => {
    expect(share("--loss")(text)).toBeCloseTo(ratio, 12);
  });

  test.for([
    "",
    "%",
    "101%",
    "-1%",
    "1e-3",
    "0,1",
    "10 %",
    "ten",
    ".",
    "1.%",
    "NaN",
    "0x1",
    "2/1",
    "1/0",
    "0/0",
    "1/",
    "/2",
  ])("%j is not a share", (text) => {
    expect(() => share("--up-loss")(text)).toThrow(
      /^--up-loss takes a share in percent, such as 10%, or as a fraction, such as 1\/10, /,
    );
  });

  // semantics: share
  test.for(["1", "5", "10", "0.1", ".5", "1.0", "100"])(
    "the bare number %s is refused, and the message shows both correct forms",
    (text) => {
      expect(() => share("--loss")(text)).toThrow(
        /such as 10%.*such as 1\/10.*: a bare number may be percent or a ratio$/,
      );
    },
  );

  test("several shares are separated by commas", () => {
    expect(shares("--x", 2, 4)("1%,25%,1/2")).toEqual([0.01, 0.25, 0.5]);
    for (const text of ["1%", "1%,2%,3%,4%,5%", ""])
      expect(() => shares("--x", 2, 4)(text)).toThrow(/^--x takes 2 to 4/);
    expect(() => shares("--x", 2, 4)("1%,2")).toThrow(/^--x takes a share in percent/);
  });

  test("shares are written in percent", () => {
    expect([0.1, 0.025, 1 / 3, 1].map(formatShare)).toEqual(["10%", "2.5%", "33.3%", "100%"]);
  });
});

describe("rates", () => {
  test.for([
    ["1mbit", 1_000_000],
    ["500kbit", 500_000],
    ["1.5Mbit", 1_500_000],
    ["2gbit", 2_000_000_000],
    ["9600bit", 9600],
    ["8000", 8000],
    ["1000gbit", 1e12],
  ] as const)("%s is %s bits a second", ([text, rateBps]) => {
    expect(bitRate("--rate")(text)).toBe(rateBps);
  });

  test.for(["", "mbit", "1mb", "1mbps", "1mibit", "99", "1001gbit", "-1mbit", "1 mbit", "Infinity", "1e6"])(
    "%j is not a rate",
    (text) => {
      expect(() => bitRate("--down-rate")(text)).toThrow(/^--down-rate takes a rate, such as 1mbit, /);
    },
  );

  test("rates are written with their unit", () => {
    expect([100, 8000, 1_500_000, 2e9].map(formatRate)).toEqual([
      "100 bit/s",
      "8 kbit/s",
      "1.5 Mbit/s",
      "2 Gbit/s",
    ]);
  });
});

describe("times", () => {
  test("a time may be 0 if the option allows it", () => {
    expect(duration("--delay", 0)("0ms")).toBe(0);
    expect(duration("--delay", 0)("0.05s")).toBe(50);
    expect(duration("--delay", 0)("1.5ms")).toBe(1.5);
    expect(() => duration("--timeout")("0ms")).toThrow(/from 1ms to 24h/);
  });

  test("a time may be in minutes and hours, up to a day", () => {
    expect(["1.5m", "1h", "24h", "1440m"].map(duration("--timeout"))).toEqual([
      90_000, 3_600_000, 86_400_000, 86_400_000,
    ]);
    expect(() => duration("--timeout")("25h")).toThrow(/from 1ms to 24h/);
  });

  test("a number without a unit is in seconds", () => {
    expect(duration("--timeout")("2")).toBe(2000);
    expect(duration("--timeout")("0.5")).toBe(500);
    expect(() => duration("--timeout")("2d")).toThrow(
      /^--timeout takes a time, such as 2 or 2s \(seconds\), 500ms, 1m or 1h/,
    );
  });
});
