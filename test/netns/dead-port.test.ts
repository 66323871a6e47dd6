/** An ICMP error about one destination does not affect another destination. */

import fc from "fast-check";
import { describe, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { host as newHost, needNetworks, outspoken } from "./network.js";

/** The number of datagrams in a burst: as many as the smallest receive buffer has room for. */
const burst = 400;

overDrivers((driver) => {
  describe.each([
    { family: "IPv4", host: "127.0.0.1" },
    { family: "IPv6", host: "::1" },
  ])("over $family", ({ host }) => {
    // semantics: unreachable-others-sent
    test("if a tenth of 200,000 datagrams goes to a closed port, the others arrive once, whole and in order", async (t) => {
      needNetworks(t);
      const at = await newHost(t);
      outspoken(at);
      const sizes = [
        ...Array.from({ length: burst / 2 }, () => 64),
        ...fc.sample(fc.integer({ min: 0, max: 200 }), { numRuns: burst / 2, seed: 7 }),
      ];
      const plan = { host, call: "sendMany", sizes, burst, rounds: 500, deadPort: 9 } as const;
      const { sent, came } = await exchange(t, driver, at, await witness(t, at, host), plan);
      expectInOrder(came, sent);
    });
  });
});
