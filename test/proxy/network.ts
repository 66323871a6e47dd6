/** Relays, and sockets at both of their ends. All of them are closed when their test ends. */

import {
  AF_INET,
  AF_INET6,
  type AddressLike,
  type Datagram,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "datagram";
import { type ProxyOptions, type Relay, proxy } from "datagram/proxy";
import { type TestContext, expect } from "vitest";

/** How long to wait for a datagram that must arrive: long enough for a slow machine, so that a loss is a clear error. */
export const soon = { timeoutMs: 5_000 } as const;

/** A socket on a free port. */
export async function bound(test: TestContext, host = "127.0.0.1", port = 0): Promise<Socket> {
  const s = socket(host.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM);
  test.onTestFinished(() => s.close());
  await s.bind([host, port]);
  return s;
}

/** A socket that sends to a relay, and receives answers from the relay's address only. */
export async function client(test: TestContext, { address }: Pick<Relay, "address">): Promise<Socket> {
  const s = await bound(test, address.family === AF_INET6 ? "::1" : "127.0.0.1");
  await s.connect(address);
  return s;
}

/** A relay to a socket. */
export async function relayTo(
  test: TestContext,
  target: Socket | AddressLike,
  options: Omit<ProxyOptions, "target"> = {},
): Promise<Relay> {
  const relay = await proxy({
    target: "getsockname" in target ? target.getsockname() : target,
    seed: 7,
    ...options,
  });
  test.onTestFinished(() => relay.close());
  return relay;
}

/** Answers each datagram with its sender's port and the datagram itself. */
export async function answerAll(s: Socket): Promise<void> {
  for await (const datagram of s) await datagram.reply([`${datagram.source.port}:`, datagram.data]);
}

/** The next `count` datagrams. */
export async function take(s: Socket, count: number): Promise<Datagram[]> {
  const taken: Datagram[] = [];
  while (taken.length < count) taken.push(...(await s.recvMany(count - taken.length, soon)));
  return taken;
}

/** All datagrams until none has arrived for a while. */
export async function drain(s: Socket, timeoutMs = 100): Promise<Datagram[]> {
  const taken: Datagram[] = [];
  for (;;) {
    const more = await s.recvMany(1024, { timeoutMs }).catch(() => []);
    if (more.length === 0) return taken;
    taken.push(...more);
  }
}

/** Sends numbered datagrams of four bytes through a relay, no faster than it reads them. */
export async function sendNumbers(from: Socket, relay: Relay, count: number): Promise<void> {
  const before = relay.stats().up.received.datagrams;
  for (let sent = 0; sent < count;) {
    const batch = Array.from({ length: Math.min(100, count - sent) }, (_, index) => numbered(sent + index));
    sent += await from.sendMany(batch);
    await until(() => relay.stats().up.received.datagrams === before + sent);
  }
}

function numbered(value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(value);
  return data;
}

export function numbersOf(datagrams: readonly Datagram[]): number[] {
  return datagrams.map(({ data }) => data.readUInt32BE());
}

/** Waits until a condition holds, and fails if that takes too long. */
export async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds, { interval: 1, timeout: soon.timeoutMs }).toBe(true);
}

/** Checks that the counts explain every datagram that a direction was given. */
export function expectAccounted(relay: Relay): void {
  const { up, down } = relay.stats();
  for (const each of [up, down]) {
    const { dropped, lost, queueFull, tooBig, overflowed, refused, looped, ignored, unsent, inFlight } = each;
    const gone = dropped + lost + queueFull + tooBig + overflowed + refused + looped + ignored + unsent;
    expect(each.received.datagrams + each.duplicated + each.copied).toBe(
      each.delivered.datagrams + gone + inFlight,
    );
  }
}
