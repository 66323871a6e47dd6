import { afterEach, describe, expect, test, vi } from "vitest";

import type { Clock } from "../../src/core/driver/driver.js";
import { followingWall, realClock } from "../../src/kernel/clock.js";
import { VirtualTime } from "../../src/sim/time/virtual-time.js";

const dayMs = 86_400_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("the time of day", () => {
  /** A machine whose clocks a test sets, in milliseconds with fractions. */
  const machine = { epochMs: 1_700_000_000_000.25, upMs: 5_000.75 };
  const passes = (ms: number): void => {
    machine.epochMs += ms;
    machine.upMs += ms;
  };
  const opened = (): (() => number) =>
    followingWall(
      () => Math.floor(machine.epochMs),
      () => machine.upMs,
    );

  // semantics: clock-wall
  test("the time of day has fractions of a millisecond, and differs from the system's by less than one", () => {
    const wall = opened();
    const seen = new Set<number>();
    for (let step = 0; step < 1000; step++) {
      passes(0.137);
      const now = wall();
      expect(Math.abs(now - machine.epochMs)).toBeLessThan(1);
      seen.add(now);
    }
    expect(seen.size).toBe(1000);
  });

  // semantics: clock-wall
  test.each([
    ["forwards", 3_600_000],
    ["backwards", -3_600_000],
    ["by a little", 40],
  ])("the time of day follows the system's clock when that is set %s", (_way, stepMs) => {
    const wall = opened();
    passes(10.5);
    wall();
    machine.epochMs += stepMs;
    expect(Math.abs(wall() - machine.epochMs)).toBeLessThan(1);
    passes(0.5);
    expect(Math.abs(wall() - machine.epochMs)).toBeLessThan(1);
  });

  test("the time of day follows a system clock that is faster or slower than the monotonic clock, and never goes back for that", () => {
    for (const drift of [0.01, -0.01]) {
      const wall = opened();
      let last = wall();
      for (let step = 0; step < 1000; step++) {
        passes(0.9);
        machine.epochMs += 0.9 * drift;
        const now = wall();
        expect(Math.abs(now - machine.epochMs)).toBeLessThan(1.01);
        expect(now).toBeGreaterThan(last);
        last = now;
      }
    }
  });

  test("the time of day of the real clock is the system's, in nanoseconds", () => {
    const before = BigInt(Date.now()) * 1_000_000n;
    const now = realClock.wall();
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThan(BigInt(Date.now() + 1) * 1_000_000n);
  });
});

describe("timers of the clock", () => {
  // semantics: clock-after
  test("a timer may be months away, longer than one timer of Node can wait", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const ran: string[] = [];
    realClock.after(60 * dayMs, () => ran.push("60 days"));
    realClock.after(0x7fff_ffff + 1, () => ran.push("a millisecond more than a timer can"));
    const cancel = realClock.after(60 * dayMs, () => ran.push("never"));
    vi.advanceTimersByTime(0x7fff_ffff);
    expect(ran).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(ran).toEqual(["a millisecond more than a timer can"]);
    cancel();
    vi.advanceTimersByTime(60 * dayMs - 0x7fff_ffff - 2);
    expect(ran).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(ran).toEqual(["a millisecond more than a timer can", "60 days"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  // semantics: clock-after
  test("a timer that is late lets the event loop turn first, and can still be cancelled then", async () => {
    const ran: string[] = [];
    const isOver = new Promise<void>((resolve) => realClock.after(2, () => resolve(void ran.push("late"))));
    const cancel = realClock.after(2, () => ran.push("cancelled"));
    setTimeout(() => {
      setImmediate(() => ran.push("loop"));
      setImmediate(cancel);
    }, 1);
    // Whether the machine stops the program or not: both timers are late.
    for (const untilMs = performance.now() + 20; performance.now() < untilMs;);
    await isOver;
    expect(ran).toEqual(["loop", "late"]);
  });

  // semantics: clock-after
  test("a timer that is hardly late does not overtake one that is late", async () => {
    const ran: number[] = [];
    const isOver = new Promise<void>((resolve) => {
      realClock.after(2, () => ran.push(2));
      realClock.after(18, () => resolve(void ran.push(18)));
    });
    for (const untilMs = performance.now() + 20; performance.now() < untilMs;);
    await isOver;
    expect(ran).toEqual([2, 18]);
  });

  const clocks: [string, Clock][] = [
    ["real", realClock],
    ["virtual", new VirtualTime().clock],
  ];
  // semantics: clock-after
  test.each(clocks)(
    "a time must be a number of milliseconds that is possible: the %s clock",
    (_name, clock) => {
      const never = vi.fn();
      for (const ms of [NaN, -1, -Infinity, Infinity]) {
        expect(() => clock.after(ms, never), String(ms)).toThrow(
          expect.objectContaining({ name: "RangeError", code: "ERR_OUT_OF_RANGE" }),
        );
      }
      for (const ms of ["5", undefined, 5n] as unknown[]) {
        expect(() => clock.after(ms as number, never), String(ms)).toThrow(
          expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }),
        );
      }
      expect(never).not.toHaveBeenCalled();
      clock.after(0, never)();
      clock.after(400 * dayMs, never)();
    },
  );
});
