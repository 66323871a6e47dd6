/** A path over a router. The MTU behind it is 1,280 bytes. */

import { expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { routedHosts, sharedHosts } from "./network.js";

const burst = 40;
const acrossRouter = sharedHosts((life) => routedHosts(life, 1280));

overDrivers((driver) => {
  for (const { loss, address, mostLost } of [
    { loss: "one datagram at most over IPv4", address: "10.77.1.2", mostLost: 1 },
    { loss: "the first burst at most over IPv6", address: "fd00:77:1::2", mostLost: burst },
  ]) {
    for (const call of ["sendMany", "sendto"] as const) {
      test(`bursts of 1,400 bytes through ${call} lose ${loss} until the router has reported its MTU, then none, and the sender is told`, async (t) => {
        const { from, to } = await acrossRouter(t);
        // The kernel forgets what other tests made it learn of the path.
        from.run("ip route flush cache; ip -6 route flush cache");
        const sizes = Array.from({ length: burst }, () => 1400);
        const plan = { host: address, call, sizes, burst, rounds: 5 };
        const { sent, came } = await exchange(driver, from, await witness(to, address), plan);
        const arrived = new Set(came.datagrams);
        const carried = sent.datagrams.filter((each, index) => index >= burst || arrived.has(each));
        expectInOrder(came, { ...sent, datagrams: carried });
        const lost = sent.datagrams.length - carried.length;
        expect(lost).toBeLessThanOrEqual(mostLost);
        // Without the feature `pathMtu` the counts are undefined: only the kernel learns of the MTU.
        const { fragmented, tooBig } = sent.stats;
        expect(sent.toldIn).toEqual(fragmented !== undefined && lost > 0 ? [0] : []);
        expect(tooBig > 0).toBe(sent.toldIn.length > 0);
      });
    }
  }
});
