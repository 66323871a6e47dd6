import { type TestContext, expect } from "vitest";

import { type Address, type Socket, socket } from "datagram";
import {
  type FolderOptions,
  type Gateway,
  type GatewayOptions,
  type GatewayStats,
  gateway,
} from "datagram/gateway";

/** A bound socket, which is closed after the test. */
export async function bound(t: TestContext, host = "127.0.0.1"): Promise<Socket> {
  const s = host.includes(":") ? socket((await import("datagram")).AF_INET6) : socket();
  t.onTestFinished(() => s.close());
  await s.bind([host, 0]);
  return s;
}

/** A gateway on loopback, which is closed after the test. Its stream has the name `stream`. */
export async function started(
  t: TestContext,
  options: GatewayOptions | FolderOptions,
): Promise<{ readonly running: Gateway; readonly at: Address }> {
  const s = await bound(t);
  const running = await gateway(s, options);
  t.onTestFinished(() => running.close());
  return { running, at: s.getsockname() };
}

/** Sends numbered datagrams, few at a time, so that the kernel drops none, and waits until the gateway has received them. */
export async function sendNumbered(
  running: Gateway,
  from: Socket,
  at: Address,
  count: number,
  prefix = "",
): Promise<void> {
  for (let number = 0; number < count;) {
    const texts = Array.from({ length: Math.min(100, count - number) }, () => `${prefix}${number++}`);
    const before = running.stats().received;
    await from.sendMany(
      texts.map((text) => Buffer.from(text)),
      at,
    );
    await until(running, ({ received }) => received === before + texts.length);
  }
}

/** Waits until the counts of a gateway are as wanted. */
export async function until(running: Gateway, isWanted: (stats: GatewayStats) => boolean): Promise<void> {
  await expect.poll(() => isWanted(running.stats()), { timeout: 60_000, interval: 5 }).toBe(true);
}

/** The account of a gateway closes. */
export function expectClosed({ received, stored, shed, refused, inFlight }: GatewayStats): void {
  expect(stored + shed + refused + inFlight).toBe(received);
}
