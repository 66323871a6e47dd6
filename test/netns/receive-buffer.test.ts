/** Datagrams arrive at a host faster than the program reads them. */

import { readFileSync } from "node:fs";

import { type TestContext, describe, expect, test } from "vitest";

import { type DriverName, overDrivers, whySkipped } from "../process/programs.js";
import { type Addresses, cabledHosts, families, kernelCount, sharedHosts } from "./network.js";
import { type Received, RemoteSocket } from "./remote.js";

const receiveBuffer = 65_536;
const why = whySkipped("native");
const twoHosts = sharedHosts(cabledHosts);

describe.each(families)("over $family", (at) => {
  describe.skipIf(why !== undefined)("over native", () => {
    test("the first datagram after a gap has the number of dropped ones, and an event and stats have it earlier", async (t) => {
      const { r, send } = await opened(t, "native", at);
      await send(300);
      const { droppedKernel } = await r.stats();
      expect(droppedKernel).toBeGreaterThan(0);
      const loss = { cause: "receiveBuffer", datagrams: droppedKernel };
      expect(await r.events("dropped")).toEqual([loss]);

      const before = await untilEmpty(r);
      expect(before.length + droppedKernel!).toBe(300);
      expect(before.filter(({ lostBefore }) => lostBefore !== 0)).toEqual([]);
      await send(2);
      expect((await r.receive(2)).map(({ lostBefore }) => lostBefore)).toEqual([droppedKernel, 0]);
      expect(await r.events("dropped")).toEqual([]);
      await r.close();
    });

    test("each datagram to a slow receiver is received or counted, by the kernel too", async (t) => {
      const { to, r, send } = await opened(t, "native", at);
      const kernelDropped = (): number =>
        kernelCount(to, `${at.family === "IPv4" ? "Udp" : "Udp6"}RcvbufErrors`);
      const before = kernelDropped();
      const came: Received[] = [];
      const rounds = 5;
      for (let round = 0; round < rounds; round++) {
        await send(100);
        came.push(...(await r.receive(20)));
      }
      came.push(...(await untilEmpty(r)));
      await send(1);
      came.push(await r.recvmsg());

      const { droppedKernel, received } = await r.stats();
      expect(received.datagrams).toBe(came.length);
      expect(droppedKernel).toBe(100 * rounds + 1 - came.length);
      expect(came.filter(({ lostBefore }) => lostBefore! > 0).length).toBeGreaterThan(1);
      expect(sum(came.map(({ lostBefore }) => lostBefore!))).toBe(droppedKernel);
      expect(sum((await r.events("dropped")).map(({ datagrams }) => datagrams))).toBe(droppedKernel);
      expect(kernelDropped() - before).toBe(droppedKernel);
      await r.close();
    });
  });

  overDrivers((driver) => {
    test("the count is 0 if nothing is dropped, and undefined if the kernel does not report it", async (t) => {
      const { r, send } = await opened(t, driver, at);
      await send(10);
      const count = (await r.capabilities()).kernelDropCount.available ? 0 : undefined;
      const came = await r.receive(10);
      expect(came.map(({ lostBefore }) => lostBefore)).toEqual(Array<typeof count>(10).fill(count));
      expect((await r.stats()).droppedKernel).toBe(count);
      expect(await r.events("dropped")).toEqual([]);
    });

    test("stats have the requested and the actual receive buffer, and how to raise the limit", async (t) => {
      const givenBytes = Number(readFileSync("/proc/sys/net/core/rmem_max", "utf8"));
      const askedBytes = 2 * givenBytes;
      const { r } = await opened(t, driver, at, askedBytes);
      const advice = `sudo sysctl -w net.core.rmem_max=${askedBytes}`;
      expect((await r.stats()).receiveBuffer).toEqual({ askedBytes, givenBytes, advice });
    });
  });
});

/** A receiver, and a function that sends that many datagrams and waits until the receiver's host has them. */
async function opened(test: TestContext, driver: DriverName, at: Addresses, asked = receiveBuffer) {
  const [from, to] = await twoHosts(test);
  const [r, mark, s] = await Promise.all([
    RemoteSocket.open(test, driver, to, at.next, { receiveBuffer: asked }),
    RemoteSocket.open(test, "dgram", to, at.next),
    // One by one, so that the kernel cannot merge them.
    RemoteSocket.open(test, "dgram", from, at.from),
  ]);
  const send = async (count: number): Promise<void> => {
    await s.sendMany(Array<string>(count).fill("d".repeat(1000)), r.address);
    // Travels the same path after them, past the receive buffer.
    await s.sendto("mark", mark.address);
    await mark.recvmsg();
  };
  return { to, r, send };
}

/** Receives all datagrams that wait. */
async function untilEmpty(r: RemoteSocket): Promise<Received[]> {
  const came: Received[] = [];
  for (;;) {
    try {
      came.push(...(await r.recvMany(64, { timeoutMs: 0 })));
    } catch (error) {
      expect(error).toMatchObject({ code: "EAGAIN" });
      return came;
    }
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
