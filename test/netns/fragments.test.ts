/** Datagrams that travel in fragments. */

import { describe, expect, test } from "vitest";

import { overDrivers, whySkipped } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { cabledHosts, dropping, families, kernelCount, sharedHosts } from "./network.js";

/** The MTU of the cable. */
const mtu = 1500;
/** The bytes of a datagram in one fragment, including the UDP header: a multiple of 8. */
const fragmentBytes = { IPv4: 1480, IPv6: 1448 } as const;
/** The number of datagrams in a burst: as many as the smallest receive buffer has room for. */
const burst = 20;
const why = whySkipped("native");
const twoHosts = sharedHosts(cabledHosts);
const countingHosts = sharedHosts(async (life) => {
  const [from, to] = await cabledHosts(life);
  // Each datagram crosses the cable in a packet of its own, so one can be lost while all others arrive.
  from.run("ip link set dg0a gso_max_segs 1");
  to.run(`
    echo 1000000000 > /proc/sys/net/ipv4/ipfrag_high_thresh
    echo 1000000000 > /proc/sys/net/ipv6/ip6frag_high_thresh
  `);
  return [from, to] as const;
});

describe.each(families)("over $family", ({ family, next, headerBytes }) => {
  const whole = mtu - headerBytes;

  overDrivers((driver) => {
    test("behind a firewall that drops fragments, large datagrams are lost, and all that fit one packet arrive", async (t) => {
      const [from, to] = await twoHosts(t);
      const rule = { IPv4: "ip frag-off & 0x1fff != 0", IPv6: "frag frag-off != 0" }[family];
      const packets = dropping(to, "dg0b", rule, 100);
      const sizes = [whole, whole + 1, 100, 65_507, whole - 1, 3000, 0, 20_000, whole, whole + 1];
      const plan = { host: next, call: "sendto", sizes, burst: sizes.length, rounds: 4 } as const;
      const { sent, came } = await exchange(driver, from, await witness(to, next), plan);
      const small = sent.datagrams.filter((each) => Number.parseInt(each) <= whole);
      expectInOrder(came, { ...sent, datagrams: small });
      expect(sent.stats).toMatchObject({ tooBig: 0, sendErrors: {} });
      const { fragmented } = sent.stats;
      expect(fragmented).toBe(fragmented === undefined ? undefined : sent.datagrams.length - small.length);
      expect(packets().dropped).toBeGreaterThanOrEqual(sent.datagrams.length - small.length);
    });
  });

  describe.skipIf(why !== undefined)("over native", () => {
    for (const { fragments, count } of [
      { fragments: 1, count: 2000 },
      { fragments: 4, count: 1000 },
      { fragments: 10, count: 500 },
      { fragments: 45, count: 300 },
    ]) {
      // One of a thousand samples is outside the interval. Then a second sample decides.
      test(
        `if each packet is lost with p = 0.05, datagrams of ${fragments} are lost with 1 - (1 - p)^${fragments}`,
        { retry: 1 },
        async (t) => {
          const [from, to] = await countingHosts(t);
          const overflows = (): number =>
            kernelCount(to, `${family === "IPv4" ? "Udp" : "Udp6"}RcvbufErrors`);
          const before = overflows();
          // The packets that synchronise the two sides are small, and are never lost.
          const packets = dropping(to, "dg0b", "meta length > 200", 5);
          const size = Math.min(65_507, fragments * fragmentBytes[family] - 8);
          const sizes = Array.from({ length: count }, () => size);
          const plan = { host: next, call: "sendMany", sizes, burst } as const;
          const { sent, came } = await exchange("native", from, await witness(to, next), plan);
          expect(sent.refused).toEqual([]);
          expect(packets().came).toBe(count * fragments);
          expect(overflows()).toBe(before);
          const arrived = new Set(came.datagrams);
          expectInOrder(came, { ...sent, datagrams: sent.datagrams.filter((each) => arrived.has(each)) });
          const [least, most] = interval(count, 1 - 0.95 ** fragments, 0.999);
          const lost = count - came.datagrams.length;
          expect(lost).toBeGreaterThanOrEqual(least);
          expect(lost).toBeLessThanOrEqual(most);
        },
      );
    }
  });
});

/** The interval in which the successes of `trials` with probability `p` lie with at least the probability `confidence`. */
function interval(trials: number, p: number, confidence: number): [least: number, most: number] {
  const tail = (1 - confidence) / 2;
  let [least, most] = [0, 0];
  let logOfCount = trials * Math.log(1 - p);
  let upTo = 0;
  for (let count = 0; count <= trials; count++) {
    upTo += Math.exp(logOfCount);
    if (upTo <= tail) least = count + 1;
    if (upTo < 1 - tail) most = count + 1;
    logOfCount += Math.log(((trials - count) / (count + 1)) * (p / (1 - p)));
  }
  return [least, most];
}
