/** Where more is sent than a slow cable takes, from a socket with a small send buffer. */

import { type TestContext, expect, test } from "vitest";

import { overDrivers, whySkipped } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { type Host, inOneQueue, kernelCount, twoHosts } from "./network.js";

const host = "10.77.0.2";
const sendBuffer = 16_384;
/** Bits a millisecond. */
const rate = 20_000;
/** Bytes that are gone before a promise has to wait: in the send buffer, and on the cable without delay. */
const aheadBytes = 160_000;

overDrivers((driver) => {
  for (const call of ["sendMany", "sendto"] as const) {
    // Of 36,000 bytes, a datagram takes more room than the kernel calls writable: EAGAIN, and then ENOBUFS.
    for (const { size, count } of [
      { size: 64, count: 6000 },
      { size: 1472, count: 500 },
      { size: 36_000, count: 20 },
    ]) {
      test(`datagrams of ${size} bytes through ${call} wait for room: none is lost, doubled or reordered`, async (t) => {
        const [from, to] = await slowCable(t);
        const sizes = Array.from({ length: count }, () => size);
        const plan = { host, call, sizes, burst: count, sendBuffer };
        const { sent, came } = await exchange(t, driver, from, await witness(t, to, host), plan);
        expectInOrder(came, sent);
        expect(kernelCount(from, "UdpSndbufErrors")).toBeGreaterThan(0);
        // A slow machine only makes it longer.
        expect(sent.sendingMs).toBeGreaterThan(((size * count - aheadBytes) * 8) / rate);
        expect(sent.turns).toBeGreaterThan(5);
      });
    }
  }
});

const why = whySkipped("native");

test.skipIf(why !== undefined)(
  "a datagram that the send buffer never holds is refused with ENOBUFS after a while, and the next one leaves",
  async (t) => {
    const [from, to] = await slowCable(t);
    const plan = { host, call: "sendto", sizes: [60_000, 1000], burst: 2, sendBuffer } as const;
    const { sent, came } = await exchange(t, "native", from, await witness(t, to, host), plan);
    expect(sent.refused).toEqual(["ENOBUFS"]);
    expect(sent.stats.sendErrors).toEqual({ ENOBUFS: 1 });
    expect(came.datagrams).toEqual(sent.datagrams.slice(1));
  },
);

async function slowCable(test: TestContext): Promise<[Host, Host]> {
  const hosts = await twoHosts(test);
  hosts[0].run(`tc qdisc add dev dg0a root tbf rate ${rate}kbit burst 20kb limit 10mb`);
  inOneQueue(hosts[1], "dg0b");
  return hosts;
}
