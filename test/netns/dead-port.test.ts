/** An ICMP error about one destination does not affect another destination. */

import fc from "fast-check";
import { describe, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { host as newHost, outspoken, sharedHosts } from "./network.js";

/** The number of datagrams in a burst: as many as the smallest receive buffer has room for. */
const burst = 400;
/**
 * The receiver answers after each burst, so each one begins with no datagram on its way, and 40 errors arrive while it is sent.
 * What differs between bursts is when they arrive. 5,000 errors for each driver and family are enough to meet every moment.
 */
const rounds = 125;

const outspokenHost = sharedHosts(async (life) => {
  const at = await newHost(life);
  outspoken(at);
  return at;
});

overDrivers((driver) => {
  describe.each([
    { family: "IPv4", host: "127.0.0.1" },
    { family: "IPv6", host: "::1" },
  ])("over $family", ({ host }) => {
    // semantics: unreachable-others-sent
    test("if a tenth of 50,000 datagrams goes to a closed port, the others arrive once, whole and in order", async (t) => {
      const at = await outspokenHost(t);
      const sizes = [
        ...Array.from({ length: burst / 2 }, () => 64),
        ...fc.sample(fc.integer({ min: 0, max: 200 }), { numRuns: burst / 2, seed: 7 }),
      ];
      const plan = { host, call: "sendMany", sizes, burst, rounds, deadPort: 9 } as const;
      const { sent, came } = await exchange(driver, at, await witness(at, host), plan);
      expectInOrder(came, sent);
    });
  });
});
