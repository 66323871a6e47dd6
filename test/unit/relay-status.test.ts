import { describe, expect, test } from "vitest";

import { statusLine } from "../../src/cli/relay-status.js";
import type { DirectionStats, RelayStats } from "../../src/proxy/index.js";

const nothing = {
  ...{ dropped: 0, delayed: 0, lost: 0, queueFull: 0, tooBig: 0, duplicated: 0, reordered: 0, corrupted: 0 },
  ...{ inFlight: 0, overflowed: 0, copied: 0, ignored: 0, refused: 0, looped: 0, unsent: 0 },
};

describe("the status line of the proxy", () => {
  test("a line that fits has every count", () => {
    const line = statusLine(
      stats(2, direction(844, 731, { lost: 97, corrupted: 3 }), direction(731, 719)),
      77,
    );
    expect(line).toBe("2 clients | up 844 in, 731 out, 97 lost, 3 corrupted | down 731 in, 719 out");
  });

  test("in a line that does not fit, every datagram that was not delivered is lost", () => {
    const up = direction(1000, 800, { lost: 97, queueFull: 50, tooBig: 53, delayed: 7, overrun: 2 });
    expect(statusLine(stats(1, up, direction(731, 719, { lost: 12 })), 77)).toBe(
      "1 client | up 1000 in 800 out 202 lost | down 731 in 719 out 12 lost",
    );
  });

  test.for([999, 1000, 9949, 9950, 99_999, 999_999, 1_000_000, 999_999_999, 999_999_999_999])(
    "with counts of %i the line fits 77 columns",
    (count) => {
      const each = direction(count, count, { lost: count });
      expect(statusLine(stats(60_000, each, each), 77).length).toBeLessThanOrEqual(77);
    },
  );

  test("large numbers are shortened if they do not fit", () => {
    const each = direction(12_345_678_901, 1_234_567_890, { lost: 1200 });
    expect(statusLine(stats(1024, each, each), 77)).toBe(
      "1.0k clients | up 12G in 1.2G out 1.2k lost | down 12G in 1.2G out 1.2k lost",
    );
  });
});

function direction(
  received: number,
  delivered: number,
  others: Partial<DirectionStats> = {},
): DirectionStats {
  return {
    received: { datagrams: received, bytes: 0 },
    delivered: { datagrams: delivered, bytes: 0 },
    ...{ ...nothing, overrun: undefined, unreachable: {} },
    ...others,
  };
}

function stats(now: number, up: DirectionStats, down: DirectionStats): RelayStats {
  return {
    up,
    down,
    clients: { now, ever: now, expired: 0 },
    alikeInRow: 0,
    targets: [],
    rules: [],
    errors: {},
  };
}
