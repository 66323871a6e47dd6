/**
 * `kill -9` of a server at random times while datagrams come in: nothing that was acknowledged is lost, nothing is stored twice, and
 * the account closes.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { NatsServer, noServer } from "../nats.js";
import { below, closed, expectKept, floodDuring, randomOf, seeds, startedAtRandom } from "./seeds.js";

describe.skipIf(noServer !== undefined)("kill -9 of the server", () => {
  test.for(seeds(5))("seed %i", async (seed, t) => {
    const random = randomOf(seed);
    const server = await NatsServer.start();
    t.onTestFinished(() => server.close());
    const { running, at } = await startedAtRandom(t, random, {
      nats: server.url,
      stream: "killed",
      create: true,
    });
    const sent = await floodDuring(t, random, at, async () => {
      for (let kills = 1 + below(random, 3); kills > 0; kills--) {
        await sleep(random() * 60);
        await server.signal("SIGKILL");
        await sleep(random() * 60);
        await server.start();
      }
    });
    const stats = await closed(running, sent);
    expect(stats).toMatchObject({ refused: 0, inFlight: 0, resentLate: 0 });
    expectKept(await server.messages("killed"), stats.stored, sent);
  });
});
