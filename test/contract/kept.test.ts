/** Datagrams that the program keeps: what they hold of its memory, and that nobody else writes there. */

import type { Socket } from "datagram";
import { expect } from "vitest";

import { contract, soon } from "./world.js";

/** The most memory that a datagram may hold back, where it is not larger itself. */
const mostBytes = 32 << 10;

/** What is kept of a datagram. */
interface Kept {
  readonly data: Buffer;
  readonly size: number;
}

/** The ways to get `count` datagrams. */
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

/** Runs of equal sizes and some between, each filled with a byte of its own. */
const payloads = [9000, 2000, 1400, 64, 1, 65, 0, 700, 64]
  .flatMap((bytes, index) => Array<number>(3 + index * 2).fill(bytes))
  .map((bytes, index) => Buffer.alloc(bytes, index));

for (const [name, read] of Object.entries(reads)) {
  // semantics: data-kept
  contract(
    `a datagram got by ${name} and kept holds back no more than 32 KiB, if it is smaller`,
    async (world) => {
      const [sender, receiver] = [await world.bound(), await world.bound()];
      const all = [...payloads, Buffer.alloc(60_000)];
      await sender.sendMany(all, receiver.getsockname());
      const found = await read(receiver, all.length);
      expect(found.map(({ size }) => size)).toEqual(all.map(({ length }) => length));
      for (const { data, size } of found) {
        expect(data.buffer.byteLength).toBeLessThanOrEqual(size > mostBytes ? 65_536 : mostBytes);
      }
    },
  );

  // semantics: data-owned
  contract(`what is written into a datagram got by ${name} changes no other`, async (world) => {
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
contract("datagrams that are kept stay as they are while 50,000 more arrive", async ({ bound }) => {
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
