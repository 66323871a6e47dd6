/** Over a router behind which packets hold 1,280 bytes only. */

import { type TestContext, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { type Host, host, join, needNetworks } from "./network.js";

const burst = 40;

// Nobody is told of what is lost: the kernel learns from it, and this library does not read ICMP.
overDrivers((driver) => {
  for (const { loss, address, mostLost } of [
    { loss: "one datagram at most over IPv4", address: "10.77.1.2", mostLost: 1 },
    { loss: "the first burst at most over IPv6", address: "fd00:77:1::2", mostLost: burst },
  ]) {
    for (const call of ["sendMany", "sendto"] as const) {
      test(`until the router has told of its link, bursts of 1,400 bytes through ${call} lose ${loss}, then none`, async (t) => {
        const [from, to] = await acrossRouter(t);
        const sizes = Array.from({ length: burst }, () => 1400);
        const plan = { host: address, call, sizes, burst, rounds: 5 };
        const { sent, came } = await exchange(t, driver, from, await witness(t, to, address), plan);
        const arrived = new Set(came.datagrams);
        const carried = sent.datagrams.filter((each, index) => index >= burst || arrived.has(each));
        expectInOrder(came, { ...sent, datagrams: carried });
        expect(carried.length).toBeGreaterThanOrEqual(sent.datagrams.length - mostLost);
      });
    }
  }
});

/** Two hosts with a router between them. */
async function acrossRouter(test: TestContext): Promise<[Host, Host]> {
  needNetworks(test);
  const [from, router, to] = await Promise.all([host(test), host(test), host(test)]);
  router.run("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  join(from, router, 0);
  join(router, to, 1, 1280);
  from.run("ip route add default via 10.77.0.2; ip -6 route add default via fd00:77:0::2");
  to.run("ip route add default via 10.77.1.1; ip -6 route add default via fd00:77:1::1");
  return [from, to];
}
