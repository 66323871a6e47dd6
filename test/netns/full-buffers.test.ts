/** Sends faster than a slow cable: the send buffer is full, or the queue of the network device is full. */

import { type TestContext, describe, expect, test } from "vitest";

import { overDrivers, whySkipped } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { type Host, cabledHosts, inOneQueue, kernelCount, sharedHosts } from "./network.js";

const host = "10.77.0.2";
const sendBuffer = 16_384;
/** Bits per millisecond. A busy machine sends short datagrams no faster than the faster cable carries them. */
const rate = 20_000;
const slowRate = 4_000;
/** Bytes that need no waiting: they fit the send buffer, or the cable takes them without delay. */
const aheadBytes = 160_000;

const twoHosts = sharedHosts(async (life) => {
  const [from, to] = await cabledHosts(life);
  inOneQueue(to, "dg0b");
  return [from, to] as const;
});

overDrivers((driver) => {
  for (const call of ["sendMany", "sendto"] as const) {
    // A datagram of 36,000 bytes needs more room than the kernel requires to call a socket writable: EAGAIN, then ENOBUFS.
    for (const { size, count } of [
      { size: 64, count: 6000 },
      { size: 1472, count: 500 },
      { size: 36_000, count: 20 },
    ]) {
      test(`datagrams of ${size} bytes through ${call} wait for room, and none is lost, duplicated or reordered`, async (t) => {
        const bitsPerMs = size < 1000 ? slowRate : rate;
        const [from, to] = await slowCable(t, { bitsPerMs });
        const sizes = Array.from({ length: count }, () => size);
        const plan = { host, call, sizes, burst: count, sendBuffer };
        const before = kernelCount(from, "UdpSndbufErrors");
        const { sent, came } = await exchange(driver, from, await witness(to, host), plan);
        expectInOrder(came, sent);
        expect(kernelCount(from, "UdpSndbufErrors")).toBeGreaterThan(before);
        // A slow machine only makes this time longer.
        expect(sent.sendingMs).toBeGreaterThan(((size * count - aheadBytes) * 8) / bitsPerMs);
        expect(sent.turns).toBeGreaterThan(5);
      });
    }
  }
});

const why = whySkipped("native");

test.skipIf(why !== undefined)(
  "a datagram larger than the send buffer is refused with ENOBUFS after a while, and the next one is sent",
  async (t) => {
    const [from, to] = await slowCable(t);
    const plan = { host, call: "sendto", sizes: [60_000, 1000], burst: 2, sendBuffer } as const;
    const { sent, came } = await exchange("native", from, await witness(to, host), plan);
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
      test(`datagrams that the device queue has no room for are sent again over ${family}, and none through ${call} is lost, duplicated or reordered`, async (t) => {
        const [from, to] = await slowCable(t, { limit: "20kb" });
        // Each is longer than the one before, so that no two leave as one packet. The queue could drop a part of such a packet.
        const sizes = Array.from({ length: 500 }, (_, index) => 900 + index);
        const plan = { host, call, sizes, burst: 500 };
        const before = kernelCount(from, refusals);
        const { sent, came } = await exchange("native", from, await witness(to, host), plan);
        expectInOrder(came, sent);
        expect(kernelCount(from, refusals)).toBeGreaterThan(before);
        expect(sent.turns).toBeGreaterThan(5);
      });
    }
  }
});

/** @param limit bytes that may wait for the cable. The kernel drops packets beyond that. */
async function slowCable(
  test: TestContext,
  { limit = "10mb", bitsPerMs = rate } = {},
): Promise<[Host, Host]> {
  const [from, to] = await twoHosts(test);
  const queue = `tbf rate ${bitsPerMs}kbit burst 20kb limit ${limit}`;
  from.changeFor(test, `tc qdisc add dev dg0a root ${queue}`, "tc qdisc del dev dg0a root");
  return [from, to];
}
