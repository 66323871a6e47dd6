/** What the tests of faults share: seeds, a flood of numbered datagrams, and the comparison of a stream with the account. */

import { setTimeout as sleep } from "node:timers/promises";

import { type TestContext, expect } from "vitest";

import type { Address, AddressLike } from "datagram";
import type { Gateway, GatewayOptions, GatewayStats } from "datagram/gateway";
import { readRecords } from "../../../src/gateway/bundle.js";
import type { StoredMessage } from "../nats.js";
import { bound, expectClosed, started, until } from "../sending.js";

// The drops of the kernel are exact only without merged datagrams. The driver reads it when the first socket is opened.
process.env.DATAGRAM_GRO = "off";

/** A number from 0 to below 1. */
export type Random = () => number;

/** The seeds that `DATAGRAM_KILLS` selects: `1-100`, or a single one. @param count how many there are by default. */
export function seeds(count: number): number[] {
  const [first = 1, last = first] = (process.env.DATAGRAM_KILLS ?? `1-${count}`).split("-").map(Number);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Random numbers of a seed (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from 0 to below `limit`. */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

/** A gateway with random limits, with and without bundles, which notices within a second that a connection is dead. */
export async function startedAtRandom(
  t: TestContext,
  random: Random,
  options: GatewayOptions,
): Promise<{ readonly running: Gateway; readonly at: Address }> {
  return await started(t, {
    maxUnacknowledged: 1 + below(random, 2000),
    maxWaiting: 1 + below(random, 4000),
    shed: random() < 0.5 ? "newest" : "oldest",
    bundle: random() < 0.5,
    ackTimeoutMs: 200,
    drainMs: 60_000,
    // A server that dies between two lines of a handshake is noticed after `timeout`.
    client: { timeout: 300, pingInterval: 200, maxPingOut: 2 },
    ...options,
  });
}

/**
 * Sends numbered datagrams from four peers until `fault` has settled, 1,000 at least. Returns how many.
 *
 * @param first the first number.
 * @param quick how many datagrams are sent as fast as possible. A fault that takes longer than these does not need a longer stream.
 */
export async function floodDuring(
  t: TestContext,
  random: Random,
  at: AddressLike,
  fault: () => Promise<void>,
  first = 0,
  quick = 20_000,
): Promise<number> {
  const peers = await Promise.all(Array.from({ length: 4 }, () => bound(t)));
  let isOver = false;
  const failing = fault().finally(() => (isOver = true));
  let sent = 0;
  while (!isOver || sent < 1000) {
    const from = peers[below(random, peers.length)];
    await from?.sendMany(
      Array.from({ length: 1 + below(random, 30) }, () => `${first + sent++}`),
      at,
    );
    if (sent > quick) await sleep(20);
    else if (random() < 0.2) await sleep(1);
  }
  await failing;
  return sent;
}

/** Closes a gateway after the datagrams that were sent have reached it, or were dropped by the kernel. Its account closes. */
export async function closed(running: Gateway, sent: number): Promise<GatewayStats> {
  await until(
    running,
    ({ received, droppedKernel = 0 }) => received + droppedKernel >= sent || received === sent,
  );
  await running.close();
  const stats = running.stats();
  expectClosed(stats);
  return stats;
}

/**
 * A stream has each datagram that was acknowledged once, and no other datagrams.
 *
 * @param late the largest number of datagrams that it may have although they were refused.
 */
export function expectKept(messages: readonly StoredMessage[], stored: number, sent: number, late = 0): void {
  const texts = messages.flatMap(({ headers, data }) =>
    headers.has("Datagram-Bundle")
      ? (readRecords(data) ?? []).map((record) => String(record.data))
      : [String(data)],
  );
  const ids = messages.map(({ headers }) => headers.get("Nats-Msg-Id"));
  const count = texts.length;
  expect({ different: new Set(texts).size, ids: new Set(ids).size }).toEqual({
    different: count,
    ids: messages.length,
  });
  expect(count).toBeGreaterThanOrEqual(stored);
  expect(count).toBeLessThanOrEqual(stored + late);
  expect(texts.every((text) => Number(text) >= 0 && Number(text) < sent)).toBe(true);
}
