/**
 * A stream that is full and is emptied by its reader, over a connection that is cut, at random times while datagrams come in: the
 * reader gets each datagram that was acknowledged once, and the others are counted as refused.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { Cable } from "../cable.js";
import { NatsServer, type StoredMessage, noServer } from "../nats.js";
import { below, closed, expectKept, floodDuring, randomOf, seeds, startedAtRandom } from "./seeds.js";

describe.skipIf(noServer !== undefined)("a stream that is full", () => {
  test.for(seeds(5))("seed %i", async (seed, t) => {
    const random = randomOf(seed);
    const server = await NatsServer.start();
    t.onTestFinished(() => server.close());
    // Not by bytes: see findings/nats-discard-new-by-bytes-deletes-old-messages.sh.
    const max_msgs = 2 + below(random, 500);
    const subjects = ["datagram.*.*"];
    await server.ask("STREAM.CREATE.full", { name: "full", subjects, discard: "new", max_msgs });
    const cable = await Cable.to(t, server.port);
    const { running, at } = await startedAtRandom(t, random, { nats: cable.url, stream: "full" });
    const read = new Map<number, StoredMessage>();
    const empty = async (): Promise<void> => {
      const messages = await server.messages("full");
      const last = messages.at(-1);
      if (!last) return;
      for (const each of messages) read.set(each.seq, each);
      // The last one stays: a purge up to the next number deletes what is stored meanwhile, too.
      await server.ask("STREAM.PURGE.full", { seq: last.seq });
    };
    const sent = await floodDuring(t, random, at, async () => {
      for (let count = 1 + below(random, 8); count > 0; count--) {
        await sleep(random() * 60);
        if (random() < 0.7) await empty();
        else cable.cut();
      }
    });
    const stats = await closed(running, sent);
    await empty();
    const { refused } = stats;
    expect(stats.refusedBy).toEqual(refused > 0 ? { "the stream is full": refused } : {});
    expect(stats).toMatchObject({ inFlight: 0, resentLate: 0 });
    // The second copy of a datagram can be refused before the server reads the first one from the connection that was cut.
    expectKept([...read.values()], stats.stored, sent, Math.min(refused, stats.resent));
  });
});
