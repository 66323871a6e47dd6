/** A plain cable with an MTU of 1,500 bytes. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, expectInOrder, receiver, witness } from "./exchange.js";
import { cabledHosts, sharedHosts } from "./network.js";

/** The number of datagrams in a burst: as many as the smallest receive buffer has room for. */
const burst = 40;

const hosts = sharedHosts(cabledHosts);

overDrivers((driver) => {
  describe.each([
    { family: "IPv4", host: "10.77.0.2", whole: 1472 },
    { family: "IPv6", host: "fd00:77:0::2", whole: 1452 },
  ])("over $family", ({ host, whole }) => {
    for (const call of ["sendMany", "sendto"] as const) {
      for (const size of [whole, whole + 1, 3000]) {
        test(`bursts of ${size} bytes through ${call} arrive whole and in order`, async (t) => {
          const [from, to] = await hosts(t);
          const plan = { host, call, sizes: Array.from({ length: burst }, () => size), burst, rounds: 5 };
          const { sent, came } = await exchange(driver, from, await witness(to, host), plan);
          expectInOrder(came, sent);
          expect(sent.stats).toMatchObject({ sendErrors: {}, tooBig: 0 });
        });
      }
    }

    for (const how of ["for await", "recvMany", "recvfrom"] as const) {
      test(`bursts of mixed sizes from 0 to 2,000 bytes arrive at ${how} as they were sent`, async (t) => {
        const [from, to] = await hosts(t);
        const sizes = fc.sample(fc.integer({ min: 0, max: 2000 }), { numRuns: 1000, seed: 1500 });
        const plan = { host, call: "sendMany", sizes, burst } as const;
        const { sent, came } = await exchange(driver, from, await receiver(driver, to, host, how), plan);
        expectInOrder(came, sent);
      });
    }
  });
});
