/** Batches of a driver save system calls, which `stats()` counts. */

import type { Socket } from "datagram";
import { expect } from "vitest";

import { contract, soon } from "./world.js";

/** System calls that a burst may take: more than it takes, and far fewer than its datagrams. */
const few = 4;
const burst = 1024;
/** A number of datagrams that fits any receive buffer. */
const unread = 400;

// semantics: send-system-calls
contract(
  "1,024 equal datagrams to one peer take a few system calls, by sendMany",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendMany(equal(burst), receiver.getsockname());
    expectFew(sender, burst);
  },
  "batching",
);

// semantics: send-system-calls
contract(
  "1,024 equal datagrams to one peer take a few system calls, by sendto in one tick",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await Promise.all(equal(burst).map((data) => sender.sendto(data, receiver.getsockname())));
    expectFew(sender, burst);
  },
  "batching",
);

for (const call of ["sendMany", "sendto in one tick"] as const) {
  // semantics: send-system-calls
  contract(
    `1,000 datagrams to 10 peers in turn take a few system calls, by ${call}`,
    async ({ bound }) => {
      const sender = await bound();
      const peers = await Promise.all(Array.from({ length: 10 }, () => bound()));
      const records = equal(1000).map((data, index) => ({
        data,
        address: peers[index % peers.length]!.getsockname(),
      }));
      if (call === "sendMany") await sender.sendMany(records);
      else await Promise.all(records.map(({ data, address }) => sender.sendto(data, address)));
      expectFew(sender, records.length);
    },
    "batching",
  );
}

for (const [call, read] of [
  ["recvMany", readMany],
  ["for await", iterate],
] as const) {
  // semantics: receive-system-calls
  contract(
    `400 datagrams sent at once are read in far fewer system calls, by ${call}`,
    async ({ bound }) => {
      const [sender, receiver] = [await bound(), await bound()];
      // If datagrams arrive as merged runs, a few calls are enough. Otherwise each call reads several datagrams.
      const merged = [sender.capabilities.segmentation, receiver.capabilities.coalescing];
      const most = merged.every(({ available }) => available) ? few : unread / 8;
      await sender.sendMany(equal(unread), receiver.getsockname());
      await read(receiver, unread);
      const { received, systemCalls } = receiver.stats();
      expect(received.datagrams).toBe(unread);
      expect(systemCalls?.receive).toBeGreaterThan(0);
      expect(systemCalls?.receive).toBeLessThanOrEqual(most);
    },
    "batching",
  );
}

// semantics: send-system-calls
contract(
  "a driver that makes one system call for each datagram does not count them: undefined, not 0",
  async ({ bound }) => {
    const s = await bound();
    await s.sendto("x", s.getsockname());
    await s.recvfrom(64, soon);
    const { sent, received, systemCalls, segmentationRefused } = s.stats();
    expect([sent.datagrams, received.datagrams]).toEqual([1, 1]);
    expect([systemCalls, segmentationRefused]).toEqual([undefined, undefined]);
  },
  "no batching",
);

// semantics: send-system-calls
contract(
  "system calls are counted from 0, and no segmented send was refused without a reason",
  async ({ bound }) => {
    const s = await bound();
    expect(s.stats()).toMatchObject({ systemCalls: { send: 0, receive: 0 }, segmentationRefused: {} });
    await s.sendto("x", s.getsockname());
    await s.recvfrom(64, soon);
    const { systemCalls, segmentationRefused } = s.stats();
    expect(systemCalls?.send).toBe(1);
    expect(systemCalls?.receive).toBeGreaterThan(0);
    expect(segmentationRefused).toEqual({});
    expect([systemCalls, segmentationRefused].every((each) => Object.isFrozen(each))).toBe(true);
  },
  "batching",
);

function equal(count: number): Buffer[] {
  return Array<Buffer>(count).fill(Buffer.alloc(64, "x"));
}

function expectFew(sender: Socket, datagrams: number): void {
  const { sent, systemCalls } = sender.stats();
  expect(sent.datagrams).toBe(datagrams);
  expect(systemCalls?.send).toBeGreaterThan(0);
  expect(systemCalls?.send).toBeLessThanOrEqual(few);
}

async function readMany(from: Socket, count: number): Promise<void> {
  for (let left = count; left > 0;) left -= (await from.recvMany(left, soon)).length;
}

async function iterate(from: Socket, count: number): Promise<void> {
  from.settimeout(soon.timeoutMs / 1000);
  let left = count;
  for await (const { data } of from) {
    expect(data.length).toBe(64);
    if (--left === 0) break;
  }
}
