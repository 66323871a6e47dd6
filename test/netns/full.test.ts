/** Where more is sent than a slow cable takes: the send buffer is full, or the queue of the network device is. */

import { type TestContext, describe, expect, test } from "vitest";

import { overDrivers, whySkipped } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { type Host, inOneQueue, kernelCount, twoHosts } from "./network.js";

const host = "10.77.0.2";
const sendBuffer = 16_384;
/** Bits a millisecond. Of short datagrams, a busy machine sends no more by itself than the faster cable takes. */
const rate = 20_000;
const slowRate = 4_000;
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
        const bitsPerMs = size < 1000 ? slowRate : rate;
        const [from, to] = await slowCable(t, { bitsPerMs });
        const sizes = Array.from({ length: count }, () => size);
        const plan = { host, call, sizes, burst: count, sendBuffer };
        const { sent, came } = await exchange(t, driver, from, await witness(t, to, host), plan);
        expectInOrder(came, sent);
        expect(kernelCount(from, "UdpSndbufErrors")).toBeGreaterThan(0);
        // A slow machine only makes it longer.
        expect(sent.sendingMs).toBeGreaterThan(((size * count - aheadBytes) * 8) / bitsPerMs);
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

describe.skipIf(why !== undefined)(`over native${why === undefined ? "" : ` (${why})`}`, () => {
  for (const { family, host, refusals } of [
    { family: "IPv4", host: "10.77.0.2", refusals: "UdpSndbufErrors" },
    { family: "IPv6", host: "fd00:77:0::2", refusals: "Udp6SndbufErrors" },
  ]) {
    for (const call of ["sendMany", "sendto"] as const) {
      // semantics: device-queue-full
      test(`what the queue of the device has no room for is sent again over ${family}: none through ${call} is lost, doubled or reordered`, async (t) => {
        const [from, to] = await slowCable(t, { limit: "20kb" });
        // Each is longer than the one before, so that no two leave as one packet, of which the queue could drop a part.
        const sizes = Array.from({ length: 500 }, (_, index) => 900 + index);
        const plan = { host, call, sizes, burst: 500 };
        const { sent, came } = await exchange(t, "native", from, await witness(t, to, host), plan);
        expectInOrder(came, sent);
        expect(kernelCount(from, refusals)).toBeGreaterThan(0);
        expect(sent.turns).toBeGreaterThan(5);
      });
    }
  }
});

/** @param limit bytes that wait for the cable before the kernel drops what comes. */
async function slowCable(
  test: TestContext,
  { limit = "10mb", bitsPerMs = rate } = {},
): Promise<[Host, Host]> {
  const hosts = await twoHosts(test);
  hosts[0].run(`tc qdisc add dev dg0a root tbf rate ${bitsPerMs}kbit burst 20kb limit ${limit}`);
  inOneQueue(hosts[1], "dg0b");
  return hosts;
}
