/**
 * `kill -9` of a server at random times while datagrams come in: nothing that was acknowledged is lost, nothing is stored twice, and
 * the account closes.
 *
 * `DATAGRAM_KILLS` selects the seeds: `1-100` (`npm run test:kills`), or a single one. The default is the first five.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { NatsServer, noServer } from "./nats.js";
import { bound, expectClosed, started, until } from "./sending.js";

const [first = 1, last = first] = (process.env.DATAGRAM_KILLS ?? "1-5").split("-").map(Number);
const seeds = Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe.skipIf(noServer !== undefined)("kill -9 of the server", () => {
  test.for(seeds)("seed %i", async (seed, t) => {
    const random = mulberry32(seed);
    const server = await NatsServer.start();
    t.onTestFinished(() => server.close());
    const { running, at } = await started(t, {
      nats: server.url,
      stream: "killed",
      create: true,
      maxUnacknowledged: 1 + Math.floor(random() * 2000),
      maxWaiting: 1 + Math.floor(random() * 4000),
      shed: random() < 0.5 ? "newest" : "oldest",
      ackTimeoutMs: 200,
      drainMs: 60_000,
      // A kill between two lines of a handshake is noticed after this time.
      client: { timeout: 300 },
    });
    const peers = await Promise.all(Array.from({ length: 4 }, () => bound(t)));
    const kill = async (): Promise<void> => {
      for (let kills = 1 + Math.floor(random() * 3); kills > 0; kills--) {
        await sleep(random() * 60);
        await server.signal("SIGKILL");
        await sleep(random() * 60);
        await server.start();
      }
    };
    let isOver = false;
    const killing = kill().finally(() => (isOver = true));
    let sent = 0;
    while (!isOver || sent < 1000) {
      const from = peers[Math.floor(random() * peers.length)];
      const texts = Array.from({ length: 1 + Math.floor(random() * 30) }, () => Buffer.from(`${sent++}`));
      await from?.sendMany(texts, at);
      if (random() < 0.2) await sleep(1);
    }
    await killing;
    // Datagrams that the kernel dropped are not in the account, and leave no trace in the stream.
    await until(
      running,
      ({ received, droppedKernel = 0 }) => received + droppedKernel >= sent || received === sent,
    );
    await running.close();
    const stats = running.stats();
    expectClosed(stats);
    expect(stats).toMatchObject({ refused: 0, inFlight: 0, resentLate: 0 });
    const messages = await server.messages("killed");
    const texts = messages.map(({ data }) => String(data));
    expect({ stored: texts.length, different: new Set(texts).size }).toEqual({
      stored: stats.stored,
      different: stats.stored,
    });
    expect(texts.every((text) => Number(text) >= 0 && Number(text) < sent)).toBe(true);
  });
});

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
