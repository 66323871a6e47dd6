/**
 * Small networks with many faults, one network for each seed. With all of them, no datagram is invented, none arrives more
 * often than links duplicated it, and after all faults are healed, every datagram that is sent again arrives. On a second network
 * for each seed, no message is invented or doubled, none arrives out of order, and none is lost unless its sender is told.
 *
 * `DATAGRAM_SEEDS` selects the seeds: `1-1000`, or a single one. Each of these is run twice, and both runs have the same trace. The
 * default is the first hundred, and one in four is run twice: a run that depends on more than its seed does so for most seeds.
 */

import { expect, test } from "vitest";

import { runMessageScenario } from "./fixtures/message-scenario.js";
import { runScenario } from "./fixtures/scenario.js";

const [first = 1, last = first] = (process.env.DATAGRAM_SEEDS ?? "1-100").split("-").map(Number);
const together = 20;
const repeated = process.env.DATAGRAM_SEEDS === undefined ? 4 : 1;

for (const [what, run] of [
  ["of datagrams", runScenario],
  ["of messages", runMessageScenario],
] as const) {
  for (let from = first; from <= last; from += together) {
    const to = Math.min(from + together - 1, last);
    test(`the invariants ${what} hold for the seeds ${from} to ${to}, and a seed repeats its run`, async () => {
      for (let seed = from; seed <= to; seed++) {
        try {
          const hash = await run(seed);
          if (seed % repeated === 0) expect(await run(seed)).toBe(hash);
        } catch (error) {
          const again = `DATAGRAM_SEEDS=${seed} npx vitest run test/sim/scenarios.test.ts`;
          throw new Error(`seed ${seed}: ${(error as Error).message}\nrepeat it: ${again}`, { cause: error });
        }
      }
    });
  }
}
