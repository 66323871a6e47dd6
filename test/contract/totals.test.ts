import { existsSync } from "node:fs";

import { type HostCounts, type Socket, type Totals, stats } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts } from "./world.js";

/** The counts of a ledger as numbers by name: `sent.datagrams`, `sendErrors.EMSGSIZE` and so on. */
function flat(totals: Omit<Totals, "host">): Map<string, number> {
  const found = new Map<string, number>();
  // The counts of the host include other programs.
  for (const [name, value] of Object.entries({ ...totals, host: undefined })) {
    if (typeof value === "number") found.set(name, value);
    else for (const [key, count] of Object.entries(value ?? {})) found.set(`${name}.${key}`, Number(count));
  }
  return found;
}

/** The increase of each count since `before`, by name. Counts that did not change are left out. */
function difference(before: Totals): Record<string, number> {
  const earlier = flat(before);
  const more = Array.from(
    flat(stats()),
    ([name, count]) => [name, count - (earlier.get(name) ?? 0)] as const,
  );
  return Object.fromEntries(more.filter(([, count]) => count !== 0));
}

/** The sum of the counts of sockets, for the counts that `stats()` of all sockets has too. */
function sum(sockets: readonly Socket[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const s of sockets) {
    const {
      systemCalls: _calls,
      segmentationRefused: _refused,
      receiveBuffer: _buffer,
      ...totals
    } = s.stats();
    for (const [name, count] of flat(totals)) if (count !== 0) found[name] = (found[name] ?? 0) + count;
  }
  return found;
}

// semantics: stats-package
contract("stats() of all sockets is the sum over open and closed sockets", async (world) => {
  const before = stats();
  const [one, other] = [await world.bound(), await world.bound(undefined, { receiveBuffer: 65_536 })];
  const connected = await world.bound();
  await one.sendMany(["0123456789", "01", ""], other.getsockname());
  await other.recv(4, soon);
  await other.sendto("answer", one.getsockname());
  expect(await texts(one, 1)).toEqual(["answer"]);
  await failure(one.sendto(Buffer.alloc(70_000), other.getsockname()));
  await failure(one.sendMany([Buffer.alloc(70_000), "x"], [world.broadcast, 9]));
  await connected.connect(await world.nobody());
  await connected.send("anybody?");
  await failure(connected.recv(64, soon));
  for (let count = 0; count < 50; count++) await one.sendto(Buffer.alloc(10_000), other.getsockname());
  await other.close();
  const sockets = [one, other, connected];
  const counted = sum(sockets);
  expect(difference(before)).toEqual(counted);
  expect(counted).toMatchObject({ truncated: 1, tooBig: 2, "sendErrors.EACCES": 1 });
  expect(counted["unreachable.ECONNREFUSED"]).toBe(1);
  await Promise.all(sockets.map((s) => s.close()));
  expect(difference(before)).toEqual(sum(sockets));
});

// semantics: stats-package
contract("stats() of all sockets is frozen, and does not change later", async ({ bound }) => {
  const [s, before] = [await bound(), stats()];
  const { datagrams } = before.sent;
  await s.sendMany(numbered(3), s.getsockname());
  expect(before.sent.datagrams).toBe(datagrams);
  expect(stats().sent.datagrams).toBe(datagrams + 3);
  expect(
    [before, before.sent, before.received, before.sendErrors].every((each) => Object.isFrozen(each)),
  ).toBe(true);
});

// semantics: stats-package
contract(
  "stats() of all sockets has undefined for counts that the driver lacks",
  async ({ bound }) => {
    const s = await bound();
    await s.sendto("x", s.getsockname());
    expect([stats().droppedKernel, stats().fragmented]).toEqual([undefined, undefined]);
  },
  "no kernelDropCount",
);

// semantics: stats-package
contract(
  "stats() of all sockets starts at 0 for counts that the driver has",
  async ({ bound }) => {
    const s = await bound();
    await s.sendto("x", s.getsockname());
    const { droppedKernel, fragmented, unreachable } = stats();
    expect([typeof droppedKernel, typeof fragmented, typeof unreachable]).toEqual([
      "number",
      "number",
      "object",
    ]);
  },
  "kernelDropCount",
);

// semantics: stats-host
contract(
  "stats() of all sockets has the counts of the host since then, with the names of Linux",
  async (world) => {
    const [s, small] = [await world.bound(), await world.bound(undefined, { receiveBuffer: 4608 })];
    const before = stats().host;
    expect(before === undefined).toBe(!existsSync("/proc/net/snmp"));
    for (let count = 0; count < 50; count++) await s.sendto(Buffer.alloc(1000), small.getsockname());
    const { host } = stats();
    expect(Object.keys(host ?? {})).toEqual(Object.keys(before ?? {}));
    expect(Object.isFrozen(host)).toBe(true);
    const more = (name: keyof HostCounts): number => (host?.[name] ?? NaN) - (before?.[name] ?? NaN);
    // Over node:dgram the datagrams are read when they arrive.
    const dropped = small.stats().droppedKernel ?? 0;
    expect(more("UdpRcvbufErrors")).toBeGreaterThanOrEqual(dropped);
    expect(more("UdpInErrors")).toBeGreaterThanOrEqual(dropped);
  },
);
