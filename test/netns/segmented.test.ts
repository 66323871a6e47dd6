/** A burst crosses the network as one packet if possible. */

import { describe, expect, test } from "vitest";

import { whySkipped } from "../process/programs.js";
import { exchange, expectInOrder, witness } from "./exchange.js";
import { cabledHosts, sharedHosts } from "./network.js";

const twoHosts = sharedHosts(cabledHosts);

describe.skipIf(whySkipped("native") !== undefined)("over native", () => {
  for (const { family, host, whole } of [
    { family: "IPv4", host: "10.77.0.2", whole: 1472 },
    { family: "IPv6", host: "fd00:77:0::2", whole: 1452 },
  ]) {
    for (const call of ["sendMany", "sendto"] as const) {
      test(`a burst of equal datagrams through ${call} over ${family} crosses the cable as one packet`, async (t) => {
        const [from, to] = await twoHosts(t);
        const plan = { host, call, sizes: Array.from({ length: 40 }, () => whole), burst: 40, rounds: 5 };
        const { sent, came } = await exchange("native", from, await witness(to, host, true), plan);
        expectInOrder(came, sent);
        expect(came.merged).toBe(plan.rounds);
      });
    }
  }
});
