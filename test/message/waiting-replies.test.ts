/** Replies that wait for their turn behind others, and replies that are kept for a request that comes again. */

import { expect, test } from "vitest";

import { Replies } from "../../src/message/replies.js";
import { between, desk, pattern, sleep } from "./tools.js";

test("more requests than a peer answers at a time get their replies, also if it is up for longer than giveUpMs", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const lossy = { latencyMs: 5, lossRatio: 0.2, duplicateRatio: 0.2, reorderRatio: 0.3, jitterMs: 5 };
    await between(
      lossy,
      async ({ camera, desk: to }) => {
        const runs = new Map<number, number>();
        to.serve(({ data }) => {
          runs.set(data.length, (runs.get(data.length) ?? 0) + 1);
          return Buffer.from(data);
        });
        await camera.request("first", desk);
        await sleep(20_000);
        // The long ones keep the others waiting.
        const sizes = [300_000, 400_000, 0, 1, 1199, 1400, 65_535, 2, 3, 4, 500_000, 6, 7, 8];
        const ends = await Promise.all(
          sizes.map(async (bytes) => {
            const data = pattern(bytes, bytes);
            return await camera.request(data, desk).then(
              (reply) => reply.data.equals(data),
              (error: unknown) => `${bytes}: ${String(error)}`,
            );
          }),
        );
        expect(ends, `seed ${seed}`).toEqual(sizes.map(() => true));
        expect([...runs.values()], `seed ${seed}`).toEqual(Array.from(runs, () => 1));
      },
      { seed },
    );
  }
});

test("replies that wait for others are given up giveUpMs after the last report of a peer that is gone", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to, link, sockets }) => {
    const from = ["10.0.0.1", 4000] as const;
    await sockets[0].bind(from);
    const pending = (): number => to.peer(from).stats().pendingMessages;
    to.serve(async () => {
      await sleep(500);
      return pattern(3000);
    });
    await camera.request("first", desk);
    await sleep(20_000);
    const asked = Array.from({ length: 40 }, (_, number) => camera.request(`request ${number}`, desk));
    const ended = Promise.allSettled(asked);
    await sleep(400);
    link.drop(() => true);
    await sleep(500);
    expect(pending()).toBe(40);
    await sleep(9000);
    expect(pending()).toBe(40);
    await sleep(2000);
    // Some may have begun a moment ago, in the place of the first ones.
    expect(pending()).toBeLessThanOrEqual(6);
    await sleep(10_000);
    expect(pending()).toBe(0);
    await ended;
  });
});

test("above the limit, a reply that the peer has makes room before one that it may still ask for", () => {
  const replies = new Replies();
  replies.end(replies.begin(0, 1, undefined, undefined), Buffer.alloc(1000), false);
  const taken = replies.begin(1, 1, undefined, undefined);
  replies.end(taken, Buffer.alloc(900_000), false);
  replies.done(taken);
  replies.end(replies.begin(2, 1, undefined, undefined), Buffer.alloc(300_000), false);
  expect([0, 1, 2].filter((id) => replies.find(id, 1) !== undefined)).toEqual([0, 2]);
});
