/**
 * Small networks on which much goes wrong, one for each seed: whatever it was, no datagram is invented, none comes more
 * often than links duplicated it, and once all is healed, everything that is sent again arrives.
 *
 * `DATAGRAM_SEEDS` says which: `1-1000`, or one seed alone. Without it, the first hundred.
 */

import { expect, test } from "vitest";

import { runScenario } from "./fixtures/scenario.js";

const [first = 1, last = first] = (process.env.DATAGRAM_SEEDS ?? "1-100").split("-").map(Number);
const together = 50;

for (let from = first; from <= last; from += together) {
  const to = Math.min(from + together - 1, last);
  test(`seeds ${from} to ${to} hold, and each repeats itself`, { timeout: 60_000 }, async () => {
    for (let seed = from; seed <= to; seed++) {
      try {
        const hash = await runScenario(seed);
        expect(await runScenario(seed)).toBe(hash);
      } catch (error) {
        const again = `DATAGRAM_SEEDS=${seed} npx vitest run test/sim/scenarios.test.ts`;
        throw new Error(`seed ${seed}: ${(error as Error).message}\nrepeat it: ${again}`, { cause: error });
      }
    }
  });
}
