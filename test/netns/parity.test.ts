/** The simulated network does the same as the kernel: the same calls on the same hosts have the same results. */

import { beforeAll, describe, expect, test } from "vitest";

import { sharedLifetime, whySkipped } from "../process/programs.js";
import { whyNoNetworks } from "./network.js";
import { Kernel } from "./parity/kernel.js";
import { Memory } from "./parity/memory.js";
import { situations } from "./parity/situations.js";
import { World } from "./parity/world.js";

const why = whySkipped("native") ?? whyNoNetworks();

describe.skipIf(why !== undefined)(
  `the same in namespaces and in memory${why === undefined ? "" : ` (${why})`}`,
  () => {
    const life = sharedLifetime();
    let kernel: Kernel;

    beforeAll(async () => {
      kernel = await Kernel.make(life);
    });

    // semantics: metadata-own-host
    test("there are at least thirty situations", () => {
      expect(Object.keys(situations).length).toBeGreaterThanOrEqual(30);
    });

    test.each(Object.entries(situations))("%s", async (name, play) => {
      const memory = new Memory();
      const [real, simulated] = [new World(kernel, name), new World(memory, name)];
      await play(real);
      await memory.network.run(() => play(simulated));
      expect(simulated.events).toEqual(real.events);
    });
  },
);
