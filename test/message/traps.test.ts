/** Mistakes that were made before, with the numbers by which each would show again. */

import { Congestion } from "../../src/message/congestion.js";
import { Outgoing } from "../../src/message/outgoing.js";
import { chunksOf, frameKind, newFrame } from "../../src/wire/message-frame.js";
import { newReport } from "../../src/wire/message-report.js";
import { describe, expect, test } from "vitest";

import { between, collect, desk, pattern, sleep } from "./tools.js";

/** A message of so many chunks, all of which are under way since time 0. */
function underWay(chunks: number, congestion: Congestion): Outgoing {
  const frame = { ...newFrame(), kind: frameKind.data, size: 10, length: chunks * 10 };
  expect(chunksOf(frame.length, frame.size)).toBe(chunks);
  const outgoing = new Outgoing(frame, new Uint8Array(chunks * 10), 0);
  for (let index = 0; index < chunks; index++) outgoing.sent(index, congestion, 0);
  return outgoing;
}

describe("the round trip", () => {
  test("is not inflated by a report that is repeated later", () => {
    const congestion = new Congestion(1000);
    const outgoing = underWay(4, congestion);
    const frame = { ...outgoing.frame, index: 2 };
    const report = { ...newReport(), upto: 2, credit: 9, echo: 1 };
    outgoing.reported(frame, { ...report, delay: 0 }, congestion, 20);
    expect(congestion.srttMs).toBe(20);
    outgoing.reported(frame, { ...report, delay: 8000 }, congestion, 1020);
    outgoing.reported(frame, { ...report, delay: 65_535 }, congestion, 5020);
    expect(congestion.srttMs).toBe(20);
  });

  test("is not taken from a chunk that was sent again, if the first transmission is echoed", () => {
    const congestion = new Congestion(1000);
    const outgoing = underWay(1, congestion);
    outgoing.sent(0, congestion, 500);
    const report = { ...newReport(), upto: 1, credit: 9, echo: 0, delay: 0 };
    outgoing.reported({ ...outgoing.frame, index: 1, attempt: 0 }, report, congestion, 510);
    expect(congestion.srttMs).toBeUndefined();
    expect(congestion.reorders).toBe(true);
  });

  test("does not keep the doubling of probes: after a black hole of 4 s, a message is soon sent", async () => {
    await between({ latencyMs: 25 }, async ({ camera, desk: to, link, network }) => {
      collect(to);
      await camera.send(pattern(10_000), desk);
      link.blackHole();
      const sent = camera.send(pattern(10_000), desk);
      await sleep(4000);
      link.mend();
      const start = network.clock.now();
      await sent;
      expect(network.clock.now() - start).toBeLessThan(2200);
      expect((await camera.send(pattern(10_000), desk)).elapsedMs).toBeLessThan(120);
      expect(camera.peer(desk).stats().rttMs).toBeLessThan(60);
    });
  });
});

test("a window of 4 chunks does not wait 5 ms for each report", async () => {
  await between(
    { latencyMs: 0.05 },
    async ({ camera, desk: to }) => {
      collect(to);
      const { chunks, elapsedMs } = await camera.send(pattern(1_200_000), desk);
      expect(chunks / elapsedMs).toBeGreaterThan(5);
    },
    { camera: { windowChunks: 4 } },
  );
});

test("reports that say nothing new do not keep the probe from being sent", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link }) => {
    collect(to);
    await camera.send("first", desk);
    // Chunk 1 is lost for 600 ms, and the peer repeats its report in this time.
    const end = link.drop(
      ({ content }) => content.protocol === "udp" && content.payload.readUInt16BE(8) === 1,
      "up",
    );
    const sent = camera.send(pattern(3600), desk);
    await sleep(600);
    end();
    const { elapsedMs } = await sent;
    expect(elapsedMs).toBeGreaterThan(600);
    expect(elapsedMs).toBeLessThan(2700);
  });
});

test("a window that is not the limit does not grow", async () => {
  await between({ latencyMs: 20 }, async ({ camera, desk: to }) => {
    collect(to);
    for (let number = 0; number < 300; number++) await camera.send(pattern(3000), desk);
    expect(camera.peer(desk).stats().windowChunks).toBeLessThanOrEqual(10);
  });
});

test("an old delivery rate expires: after the link became slower, the window fits it", async () => {
  const slow = { latencyMs: 20, rateBps: 1_000_000, queueBytes: 15_000 };
  await between(
    { latencyMs: 20, rateBps: 20_000_000, queueBytes: 60_000 },
    async ({ camera, desk: to, link }) => {
      collect(to);
      await camera.send(pattern(2_000_000), desk);
      link.set(slow);
      await camera.send(pattern(400_000), desk);
      // 1 Mbit/s for 40 ms are 4 chunks, and the queue holds 12.
      expect(camera.peer(desk).stats().windowChunks).toBeLessThan(30);
      const { elapsedMs } = await camera.send(pattern(200_000), desk);
      expect(elapsedMs).toBeLessThan(2600);
    },
  );
});

test("at 30% loss both ways, none of 30 messages takes 5 s", async () => {
  let longest = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const { elapsedMs } = await between(
      { latencyMs: 25, lossRatio: 0.3 },
      async ({ camera, desk: to }) => {
        collect(to);
        return await camera.send(pattern(65_536), desk);
      },
      { seed },
    );
    longest = Math.max(longest, elapsedMs);
  }
  expect(longest).toBeLessThan(5000);
});
