/**
 * A connection to the server that is reset, stalls, ends in one direction, or loses acknowledgements, at random times while datagrams
 * come in: nothing is stored twice, nothing that was acknowledged is lost, and the account closes.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { Cable } from "../cable.js";
import { NatsServer, noServer } from "../nats.js";
import { below, closed, expectKept, floodDuring, randomOf, seeds, startedAtRandom } from "./seeds.js";

describe.skipIf(noServer !== undefined)("a connection that fails", () => {
  test.for(seeds(5))("seed %i", async (seed, t) => {
    const random = randomOf(seed);
    const server = await NatsServer.start();
    t.onTestFinished(() => server.close());
    const cable = await Cable.to(t, server.port);
    const { running, at } = await startedAtRandom(t, random, {
      nats: cable.url,
      stream: "cut",
      create: true,
    });
    const faults: (() => Promise<void> | void)[] = [
      () => cable.cut(),
      () => cable.endTowards("client"),
      () => cable.endTowards("server"),
      async () => {
        // For a short time, or for so long that the client gives the connection up.
        cable.stall();
        await sleep(random() * 1000);
        if (random() < 0.5) cable.cut();
        cable.resume();
      },
      async () => {
        cable.deaf = true;
        await sleep(random() * 100);
        cable.deaf = false;
        cable.cut();
      },
    ];
    const sent = await floodDuring(t, random, at, async () => {
      for (let count = 1 + below(random, 5); count > 0; count--) {
        await sleep(random() * 60);
        await faults[below(random, faults.length)]?.();
      }
    });
    const stats = await closed(running, sent);
    expect(stats).toMatchObject({ refused: 0, inFlight: 0, resentLate: 0 });
    expectKept(await server.messages("cut"), stats.stored, sent);
  });
});
