/** What ICMP says of one destination does no harm to another. */

import fc from "fast-check";
import { describe, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { host as newHost, needNetworks, outspoken } from "./network.js";

/** Datagrams in a burst: what the smallest receive buffers hold. */
const burst = 400;

overDrivers((driver) => {
  describe.each([
    { family: "IPv4", host: "127.0.0.1" },
    { family: "IPv6", host: "::1" },
  ])("over $family", ({ host }) => {
    // semantics: unreachable-others-sent
    test("of 200,000 datagrams a tenth goes where nobody listens: the others come once, whole and in order", async (t) => {
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
