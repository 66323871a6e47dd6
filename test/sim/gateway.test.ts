/**
 * The account of a gateway, with a scripted server in virtual time that hangs, forgets, refuses, and loses connections and
 * acknowledgements. `received = stored + shed + refused + inFlight` holds at every moment, nothing acknowledged is lost, nothing is
 * stored twice, and after all faults are healed every datagram is settled.
 *
 * `DATAGRAM_SEEDS` selects the seeds: `1-1000`, or a single one. The default is the first 200.
 */

import { expect, test } from "vitest";

import { type GatewayRun, runGatewayScenario } from "./fixtures/gateway-scenario.js";

const [first = 1, last = first] = (process.env.DATAGRAM_SEEDS ?? "1-200").split("-").map(Number);
const together = 50;

for (let from = first; from <= last; from += together) {
  const to = Math.min(from + together - 1, last);
  test(`the account closes for the seeds ${from} to ${to}`, async () => {
    const sums: Record<string, number> = {};
    for (let seed = from; seed <= to; seed++) {
      let run: GatewayRun;
      try {
        run = await runGatewayScenario(seed);
      } catch (error) {
        const again = `DATAGRAM_SEEDS=${seed} npx vitest run test/sim/gateway.test.ts`;
        throw new Error(`seed ${seed}: ${(error as Error).message}\nrepeat it: ${again}`, { cause: error });
      }
      for (const [name, count] of Object.entries(run))
        if (typeof count === "number") sums[name] = (sums[name] ?? 0) + count;
    }
    // The faults reached every place of the account.
    const reached = Object.keys(sums).filter((name) => (sums[name] ?? 0) > 0);
    if (to - from + 1 === together)
      expect(reached).toEqual(
        expect.arrayContaining(["stored", "shed", "refused", "inFlight", "duplicates", "resentLate"]),
      );
    else expect(sums.received).toBeGreaterThan(0);
  });
}
