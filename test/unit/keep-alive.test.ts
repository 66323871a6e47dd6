import { expect, test } from "vitest";

import type { Clock, Driver } from "../../src/core/driver/driver.js";
import { KeepAlive } from "../../src/core/socket/keep-alive.js";

/** A `KeepAlive` on a clock that a test advances. */
function fixture(): {
  keepAlive: KeepAlive;
  told: string[];
  timers: () => number;
  advanceTo: (ms: number) => void;
} {
  const told: string[] = [];
  const waits: { at: number; run: () => void }[] = [];
  let [now, timers] = [0, 0];
  const clock: Clock = {
    now: () => now,
    wall: () => 0n,
    after(ms, run) {
      timers++;
      waits.push({ at: now + ms, run });
      return () => undefined;
    },
    turn: () => undefined,
  };
  const driver = { keepAlive: (on: boolean) => void told.push(`${now} ms: ${on}`) } as unknown as Driver;
  const advanceTo = (ms: number): void => {
    for (const next of waits.splice(0)) {
      if (next.at > ms) waits.push(next);
      else {
        now = next.at;
        next.run();
      }
    }
    now = ms;
  };
  return { keepAlive: new KeepAlive(driver, clock), told, timers: () => timers, advanceTo };
}

test("a process is released 20 ms after its only receive call stopped waiting", () => {
  const { keepAlive, told, advanceTo } = fixture();
  keepAlive.setWaiting(true);
  advanceTo(100);
  keepAlive.setWaiting(false);
  advanceTo(1000);
  expect(told).toEqual(["0 ms: true", "120 ms: false"]);
});

test("a loop of receive calls sets few timers, and its process is released 320 ms after the last call at the latest", () => {
  const { keepAlive, told, timers, advanceTo } = fixture();
  keepAlive.setWaiting(true);
  for (let ms = 1; ms <= 3200; ms++) {
    advanceTo(ms);
    keepAlive.setWaiting(false);
    if (ms < 3200) keepAlive.setWaiting(true);
  }
  // Of 20, 40, 80 and 160 ms, and then one each 320 ms and a millisecond.
  expect(timers()).toBe(14);
  advanceTo(3520);
  const [kept, released, ...more] = told;
  expect([kept, more]).toEqual(["0 ms: true", []]);
  expect(released).toMatch(/ ms: false$/);
});

test("after a release, a process is released after 20 ms again", () => {
  const { keepAlive, told, advanceTo } = fixture();
  keepAlive.setWaiting(true);
  for (let ms = 1; ms <= 100; ms++) {
    advanceTo(ms);
    keepAlive.setWaiting(false);
    if (ms < 100) keepAlive.setWaiting(true);
  }
  advanceTo(1000);
  expect(told).toHaveLength(2);
  keepAlive.setWaiting(true);
  keepAlive.setWaiting(false);
  advanceTo(2000);
  expect(told.slice(2)).toEqual(["1000 ms: true", "1020 ms: false"]);
});
