/** When a replay starts, by a clock that advances only when a test or a timer says so. */

import { Buffer } from "node:buffer";
import { setImmediate as turn } from "node:timers/promises";

import { Address, type Endpoint } from "datagram";
import type { ReplayDatagram, ReplayStats } from "datagram/capture";
import { expect, test } from "vitest";

import type { Clock } from "../../src/core/driver/driver.js";
import { openInput } from "../../src/capture/replay/input.js";
import { checkReplay } from "../../src/capture/replay/options.js";
import { ReplayRun } from "../../src/capture/replay/run.js";

const source = new Address("10.0.0.1", 5000) as Endpoint;

/** A datagram that was recorded so many milliseconds after the first one. */
function recordedAt(atMs: number): ReplayDatagram {
  const data = Buffer.from(`${atMs}`);
  const timestamp = BigInt(atMs * 1_000_000);
  return { data, size: data.length, truncated: false, source, destination: undefined, timestamp };
}

/** A clock whose time goes to that of the next timer when the program has nothing else to do. */
class SteppedClock implements Clock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  /** Time passes also while the clock is read: a loop that reads it ends. */
  now(): number {
    return (this.#nowMs += 0.001);
  }

  wall(): bigint {
    return 0n;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, run };
    this.#timers = [...this.#timers, timer].sort((a, b) => a.atMs - b.atMs);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  turn(run: () => void): void {
    this.after(0, run);
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** The event loop is busy for so long: timers end late. */
  block(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs the timers until a promise settles. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    promise.then(settle, settle);
    for (;;) {
      await turn();
      if (isSettled) return await promise;
      const [next, ...others] = this.#timers;
      if (!next) throw new Error("nothing would ever happen again");
      this.#timers = others;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
  }
}

interface Started {
  readonly stats: ReplayStats;
  /** How many datagrams were sent when each one was read. */
  readonly sentAtReads: readonly number[];
  /** When the first datagram was sent. */
  readonly firstMs: number | undefined;
}

/** Replays `count` datagrams, each read after `pause`. */
async function started(count: number, pause: (clock: SteppedClock) => Promise<void>): Promise<Started> {
  const clock = new SteppedClock();
  const sentAtReads: number[] = [];
  let sent = 0;
  let firstMs: number | undefined;
  async function* input(): AsyncGenerator<ReplayDatagram> {
    for (let index = 0; index < count; index++) {
      await pause(clock);
      sentAtReads.push(sent);
      yield recordedAt(index);
    }
  }
  const target = {
    clock,
    routeOf: () => ({}),
    maxPayload: () => 1472,
    send: (data: Uint8Array) => {
      firstMs ??= clock.now();
      sent++;
      return Promise.resolve(data.length);
    },
  };
  const items = input();
  const terms = checkReplay(items, {});
  const run = new ReplayRun(() => openInput(items, terms.mtu), target, terms);
  return { stats: await clock.until(run.run()), sentAtReads, firstMs };
}

test("the first datagram is sent after the reading of those that follow at once", async () => {
  // Longer in total than one wait for more of them.
  const { stats, sentAtReads } = await started(40, (clock) => clock.wait(2));
  expect([stats.datagrams, sentAtReads]).toEqual([40, new Array(40).fill(0)]);
});

test("an input that brings a datagram every 10 ms delays the first one by no more than 2 s", async () => {
  const { stats, firstMs, sentAtReads } = await started(250, (clock) => clock.wait(10));
  expect(stats.datagrams).toBe(250);
  expect(firstMs).toBeGreaterThan(2000);
  expect(firstMs).toBeLessThan(2040);
  expect(sentAtReads.at(-1)).toBeGreaterThan(0);
});

test("an input whose next datagram waits for a turn of the event loop delays the first one", async () => {
  // The timer that waits for more datagrams ends before the input is looked at, and late by only 2 ms.
  const { sentAtReads } = await started(40, async (clock) => {
    await clock.wait(0);
    clock.block(22);
    await clock.wait(0);
  });
  expect(sentAtReads).toEqual(new Array(40).fill(0));
});
