import { expect, test } from "vitest";

import type { Clock } from "../../src/core/driver/driver.js";
import { BusyPoll } from "../../src/core/receive/busy-poll.js";

/** A clock that advances by 1 µs each time it is read. */
function steppingClock(): Clock {
  let us = 0;
  return { now: () => us++ / 1000, wall: () => 0n, after: () => () => undefined, turn: () => undefined };
}

test("a wait polls until the time is over, or until a datagram is found", () => {
  const busyPoll = new BusyPoll(steppingClock(), 50);
  let looks = 0;
  busyPoll.run(() => ++looks === 0, Infinity);
  expect(looks).toBeGreaterThan(40);
  expect(looks).toBeLessThanOrEqual(51);
  looks = 0;
  busyPoll.run(() => ++looks === 3, Infinity);
  expect(looks).toBe(3);
});

test("a wait polls no longer than its deadline", () => {
  const busyPoll = new BusyPoll(steppingClock(), 50);
  let looks = 0;
  busyPoll.run(() => ++looks === 0, 0.01);
  expect(looks).toBeLessThanOrEqual(11);
});

test("busy polling pauses after misses, tries one wait in 64 again, and continues after a hit", () => {
  const busyPoll = new BusyPoll(steppingClock(), 50);
  const miss = (): void => busyPoll.run(() => false, Infinity);
  let misses = 0;
  for (; misses < 100 && busyPoll.pays(); misses++) miss();
  expect(misses).toBe(6);
  // The wait that ended the loop above was the first of the pause.
  const pause = Array.from({ length: 62 }, () => busyPoll.pays());
  expect(pause).not.toContain(true);
  expect(busyPoll.pays()).toBe(true);
  busyPoll.run(() => true, Infinity);
  expect(busyPoll.pays()).toBe(true);
});
