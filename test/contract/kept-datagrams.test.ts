/** Datagrams that the program keeps: how much memory they keep, and that their bytes do not change. */

import type { Socket } from "datagram";
import { expect } from "vitest";

import { contract, soon } from "./world.js";

/** The largest amount of memory that a kept datagram may keep, if it is not larger itself. */
const mostBytes = 32 << 10;

/** The part of a datagram that the test keeps. */
interface Kept {
  readonly data: Buffer;
  readonly size: number;
}

/** The calls that receive `count` datagrams. */
const reads: Readonly<Record<string, (from: Socket, count: number) => Promise<Kept[]>>> = {
  recvfrom: async (from, count) => {
    const found: Kept[] = [];
    while (found.length < count) {
      const [data] = await from.recvfrom(65_536, soon);
      found.push({ data, size: data.length });
    }
    return found;
  },
  "recvmsg with a small bufsize": async (from, count) => {
    const found: Kept[] = [];
    while (found.length < count) found.push(await from.recvmsg({ bufsize: 8, ...soon }));
    return found;
  },
  recvMany: async (from, count) => {
    const found: Kept[] = [];
    while (found.length < count) found.push(...(await from.recvMany(count - found.length, soon)));
    return found;
  },
  "for await": async (from, count) => {
    const found: Kept[] = [];
    from.settimeout(soon.timeoutMs / 1000);
    for await (const datagram of from) if (found.push(datagram) === count) break;
    return found;
  },
};

/**
 * Runs of datagrams of equal size, with others between them, and a burst that no system merges, because each datagram is longer than
 * the one before. Each datagram is filled with a byte of its own.
 */
const payloads = [9000, 2000, 1400, 64, 1, 65, 0, 700, 64]
  .flatMap((bytes, index) => Array<number>(3 + index * 2).fill(bytes))
  .concat(Array.from({ length: 60 }, (_, index) => 1300 + index))
  .map((bytes, index) => Buffer.alloc(bytes, index));

for (const [name, read] of Object.entries(reads)) {
  // semantics: data-kept
  contract(`a kept datagram from ${name} keeps at most 32 KiB of memory, if it is smaller`, async (world) => {
    const [sender, receiver] = [await world.bound(), await world.bound()];
    const all = [...payloads, Buffer.alloc(60_000)];
    await sender.sendMany(all, receiver.getsockname());
    const found = await read(receiver, all.length);
    expect(found.map(({ size }) => size)).toEqual(all.map(({ length }) => length));
    for (const { data, size } of found) {
      expect(data.buffer.byteLength).toBeLessThanOrEqual(size > mostBytes ? 65_536 : mostBytes);
    }
  });

  // semantics: data-owned
  contract(`writing into a datagram from ${name} changes no other datagram`, async (world) => {
    const [sender, receiver] = [await world.bound(), await world.bound()];
    await sender.sendMany(payloads, receiver.getsockname());
    const found = await read(receiver, payloads.length);
    await sender.sendMany(payloads, receiver.getsockname());
    found.push(...(await read(receiver, payloads.length)));
    for (const [index, { data }] of found.entries()) if (index % 2 === 0) data.fill(0xfe);
    for (const [index, { data }] of found.entries()) {
      const sent = payloads[index % payloads.length]!.subarray(0, data.length);
      const expected = index % 2 === 0 ? Buffer.alloc(data.length, 0xfe) : sent;
      expect(data.equals(expected), `datagram ${index}`).toBe(true);
    }
    for (const [index, { data }] of found.entries()) if (index % 2 === 1) data.fill(0xff);
    const even = found.filter((_, index) => index % 2 === 0);
    expect(even.every(({ data }) => data.every((byte) => byte === 0xfe))).toBe(true);
  });
}

// semantics: data-owned
contract("kept datagrams do not change while 50,000 more arrive", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  await sender.sendMany(payloads, to);
  const kept = await reads.recvMany!(receiver, payloads.length);
  const noise = Array<Buffer>(200).fill(Buffer.alloc(64, 0xff));
  for (let round = 0; round < 250; round++) {
    await sender.sendMany(noise, to);
    const read = Object.values(reads)[round % 4]!;
    for (const { size } of await read(receiver, noise.length))
      if (size !== 64) throw new Error(`${size} bytes came`);
  }
  expect(receiver.stats().received.datagrams).toBe(payloads.length + 50_000);
  for (const [index, { data }] of kept.entries()) {
    expect(data.equals(payloads[index]!), `datagram ${index}`).toBe(true);
  }
});

// semantics: data-owned
contract("datagrams of runs whose sizes change arrive as they were sent", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const sizes = [
    1400, 1400, 1300, 1400, 64, 1400, 1400, 9000, 9000, 9000, 700, 16_000, 16_000, 20_000, 20_000,
  ];
  const runs = [...sizes, ...sizes.reverse()].map((bytes, run) =>
    Array.from({ length: Math.min(40, Math.floor(63_000 / bytes)) }, (_, index) =>
      Buffer.alloc(bytes, run * 7 + index),
    ),
  );
  // Unread together, so that one system call reads runs of several sizes.
  for (let first = 0; first < runs.length; first += 2) {
    const sent = runs.slice(first, first + 2).flat();
    await sender.sendMany([...sent, Buffer.alloc(50_000, first)], receiver.getsockname());
    const found = await reads.recvMany!(receiver, sent.length + 1);
    const expected = [...sent, Buffer.alloc(50_000, first)];
    for (const [index, { data }] of found.entries())
      expect(data.equals(expected[index]!), `datagram ${index}`).toBe(true);
  }
});
