import type { LinkInput } from "datagram/proxy";
import { type TestContext, describe, expect, test } from "vitest";

import {
  answerAll,
  bound,
  client,
  drain,
  expectAccounted,
  numbersOf,
  relayTo,
  sendNumbers,
  soon,
  take,
  until,
} from "./network.js";

/** Half of a 99.9% interval of a normal distribution, in standard deviations. */
const confident = 3.29;

/** Sends `count` numbered datagrams through a link. Returns the numbers that arrived, and the counts. */
async function through(t: TestContext, link: LinkInput, count: number, seed = 7) {
  const target = await bound(t);
  const relay = await relayTo(t, target, { link, seed });
  const c = await client(t, relay);
  const arriving = drain(target, 200);
  await sendNumbers(c, relay, count);
  const arrived = numbersOf(await arriving);
  expectAccounted(relay);
  return { arrived, up: relay.stats().up };
}

describe("losses", () => {
  test("the link loses as many datagrams as the setting says, and counts them", async (t) => {
    const [count, ratio] = [4000, 0.1];
    const { arrived, up } = await through(t, { lossRatio: ratio }, count);
    const deviation = Math.sqrt(count * ratio * (1 - ratio));
    expect(Math.abs(up.lost - count * ratio)).toBeLessThan(confident * deviation);
    expect(arrived).toHaveLength(count - up.lost);
    expect(arrived).toEqual([...arrived].sort((one, other) => one - other));
  });

  test("losses are the same with the same seed, and different with another", async (t) => {
    const link = { lossRatio: 0.5 };
    const [first, again, other] = [
      await through(t, link, 500, 1),
      await through(t, link, 500, 1),
      await through(t, link, 500, 2),
    ];
    expect(again.arrived).toEqual(first.arrived);
    expect(other.arrived).not.toEqual(first.arrived);
  });

  test("losses of one direction do not change the other direction", async (t) => {
    const target = await bound(t);
    void answerAll(target);
    const relay = await relayTo(t, target, { link: { up: {}, down: { lossRatio: 1 } } });
    const c = await client(t, relay);
    await c.sendMany(["1", "2", "3"]);
    await until(() => relay.stats().down.lost === 3);
    expect(relay.stats()).toMatchObject({ up: { lost: 0, delivered: { datagrams: 3 } } });
    expect(await drain(c)).toEqual([]);
  });
});

describe("delays", () => {
  test("delays are never shorter than the setting says, for each direction", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { link: { up: { latencyMs: 40 }, down: { latencyMs: 80 } } });
    const c = await client(t, relay);
    for (let round = 0; round < 3; round++) {
      const sent = performance.now();
      await c.send("there");
      const request = await target.recvmsg(soon);
      const there = performance.now();
      await request.reply("back");
      await c.recvmsg(soon);
      expect(there - sent).toBeGreaterThanOrEqual(40);
      expect(performance.now() - there).toBeGreaterThanOrEqual(80);
    }
  });

  test("varying delays keep the order", async (t) => {
    const { arrived } = await through(t, { latencyMs: 5, jitterMs: 30 }, 500);
    expect(arrived).toEqual(Array.from({ length: 500 }, (_, index) => index));
  });

  test("delayed datagrams are overtaken by later ones", async (t) => {
    const { arrived, up } = await through(t, { reorderRatio: 0.1, reorderMs: 20 }, 500);
    expect(up.reordered).toBeGreaterThan(0);
    expect(arrived).toHaveLength(500);
    expect(new Set(arrived).size).toBe(500);
    expect(arrived).not.toEqual([...arrived].sort((one, other) => one - other));
  });

  test("a rate delays packets at least by the time of their bits, and datagrams without room are dropped", async (t) => {
    const target = await bound(t);
    // Packets of 1,000 bytes: one every 10 ms, and room for five.
    const relay = await relayTo(t, target, { link: { rateBps: 800_000, queueBytes: 5000 } });
    const c = await client(t, relay);
    const started = performance.now();
    await c.sendMany(Array.from({ length: 20 }, () => Buffer.alloc(972)));
    await until(() => relay.stats().up.received.datagrams === 20);
    const { queueFull } = relay.stats().up;
    expect(queueFull).toBeGreaterThan(0);
    await take(target, 20 - queueFull);
    expect(performance.now() - started).toBeGreaterThanOrEqual((20 - queueFull) * 10);
    expectAccounted(relay);
  });
});

describe("other faults", () => {
  test("a duplicated datagram arrives twice", async (t) => {
    const { arrived, up } = await through(t, { duplicateRatio: 1 }, 100);
    expect(arrived).toEqual(Array.from({ length: 200 }, (_, index) => index >> 1));
    expect(up.duplicated).toBe(100);
  });

  test("a corrupted datagram has one changed bit, and passes", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { link: { corruptRatio: 1 } });
    const c = await client(t, relay);
    const payload = Buffer.from("a payload of several bytes");
    await c.sendMany([payload, payload, ""]);
    const [first, second, empty] = (await take(target, 3)).map(({ data }) => data);
    expect(bitsApart(first!, payload)).toBe(1);
    expect(bitsApart(second!, payload)).toBe(1);
    expect(first).not.toEqual(second);
    expect(empty).toHaveLength(0);
    expect(relay.stats().up.corrupted).toBe(2);
  });

  test.for<[string, string, LinkInput, number]>([
    ["an MTU", "127.0.0.1", { mtuBytes: 1280 }, 1252],
    ["an MTU over IPv6", "::1", { mtuBytes: 1280 }, 1232],
    ["the MTU of a profile", "127.0.0.1", { profile: "lte", lossRatio: 0, latencyMs: 0, jitterMs: 0 }, 1330],
    ["a firewall that drops fragments", "127.0.0.1", "broken-firewall", 1472],
  ])("%s drops larger datagrams, over %s, and no others", async ([, host, link, most], t) => {
    const target = await bound(t, host);
    const relay = await relayTo(t, target, { link, listen: [host, 0] });
    const c = await client(t, relay);
    await c.sendMany([Buffer.alloc(most + 1), Buffer.alloc(most)]);
    expect((await target.recvmsg(soon)).size).toBe(most);
    expect(relay.stats().up).toMatchObject({ tooBig: 1, received: { datagrams: 2 } });
    expectAccounted(relay);
  });

  test("above the limit of datagrams in flight, datagrams are dropped and counted", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { link: { latencyMs: 100 }, maxInFlight: 3 });
    const c = await client(t, relay);
    await c.sendMany(["1", "2", "3", "4", "5"]);
    await until(() => relay.stats().up.overflowed === 2);
    expect((await take(target, 3)).map(({ data }) => data.toString())).toEqual(["1", "2", "3"]);
    await until(() => relay.stats().up.inFlight === 0);
    expectAccounted(relay);
  });

  test("above the limit of bytes in flight, datagrams are dropped and counted", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { link: { latencyMs: 50 }, maxInFlightBytes: 65_536 });
    const c = await client(t, relay);
    await c.sendMany([Buffer.alloc(40_000), Buffer.alloc(40_000), Buffer.alloc(20_000)]);
    expect((await take(target, 2)).map(({ size }) => size)).toEqual([40_000, 20_000]);
    expect(relay.stats().up.overflowed).toBe(1);
  });
});

describe("set()", () => {
  test("set() applies to later datagrams, and not to datagrams in flight", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { link: { latencyMs: 300 } });
    const c = await client(t, relay);
    await c.send("on its way");
    await until(() => relay.stats().up.inFlight === 1);
    relay.set({ lossRatio: 1 });
    await c.send("lost");
    await until(() => relay.stats().up.lost === 1);
    relay.set({ up: {}, down: { lossRatio: 1 } });
    await c.send("overtakes");
    expect((await take(target, 2)).map(({ data }) => data.toString())).toEqual(["overtakes", "on its way"]);
    relay.set("lan");
    await c.send("last");
    const last = await target.recvmsg(soon);
    await last.reply("answer");
    expect((await c.recvmsg(soon)).data.toString()).toBe("answer");
  });

  test("set() with an error changes nothing", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { link: { lossRatio: 1 } });
    expect(() => relay.set({ up: { lossRatio: 0 }, down: { latencyMs: -1 } })).toThrow(
      /^link, down: latencyMs must be/,
    );
    await (await client(t, relay)).send("x");
    await until(() => relay.stats().up.lost === 1);
    expect(relay.stats().up.delivered.datagrams).toBe(0);
  });
});

function bitsApart(one: Buffer, other: Buffer): number {
  expect(one).toHaveLength(other.length);
  return one.reduce(
    (sum, byte, index) => sum + (byte ^ other[index]!).toString(2).replaceAll("0", "").length,
    0,
  );
}
