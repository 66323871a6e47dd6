import type { OSError, Socket } from "datagram";
import { expect } from "vitest";

import { contract, numbered, pause, soon } from "./world.js";

// semantics: timeout-polling
contract(
  "a polling loop with settimeout(0) blocks neither timers nor arriving datagrams",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    receiver.setblocking(false);
    let sent = false;
    const sending = pause(sender, 20).then(() => {
      sent = true;
      return sender.sendto("hello", receiver.getsockname());
    });
    let found = "";
    for (let polls = 0; polls < 2_000_000 && found === ""; polls++) {
      found = await receiver
        .recv(64)
        .then(String, (error: OSError) => (error.code === "EAGAIN" ? "" : error.code));
    }
    expect([sent, found]).toEqual([true, "hello"]);
    await sending;
  },
);

/** Passes each datagram that `from` receives to `done`, until `done` returns true. */
type Read = (from: Socket, done: (data: Buffer) => boolean) => Promise<void>;

const readers: Readonly<Record<string, Read>> = {
  "for await": async (from, done) => {
    for await (const { data } of from) if (done(data)) break;
  },
  recvfrom: async (from, done) => {
    while (!done((await from.recvfrom(64, soon))[0]));
  },
  "recvMany(1)": async (from, done) => {
    while (!(await from.recvMany(1, soon)).some(({ data }) => done(data)));
  },
  "batches({ max: 1 })": async (from, done) => {
    for await (const [datagram] of from.batches({ max: 1 })) if (done(datagram!.data)) break;
  },
};

for (const [name, read] of Object.entries(readers)) {
  // semantics: receive-fairness
  contract(
    `unread datagrams read by ${name} let the rest of the program run after a bounded batch`,
    async (world) => {
      const [sender, flooded] = [await world.bound(), await world.bound()];
      for (const text of numbered(3000)) await sender.sendto(text, flooded.getsockname());
      let [count, ran] = [0, false];
      await read(flooded, () => {
        if (++count === 1) setImmediate(() => (ran = true));
        return ran || count === 3000;
      });
      expect(ran).toBe(true);
      expect(count).toBeLessThan(3000);
    },
  );

  // semantics: receive-fairness
  contract(`a flood read by ${name} lets a timer fire`, async ({ bound }) => {
    const flooded = await bound();
    const [own, sends] = [flooded.getsockname(), [] as Promise<number>[]];
    let fired = false;
    for (let count = 0; count < 100; count++) await flooded.sendto("x", own);
    const timer = pause(flooded, 10).then(() => (fired = true));
    await read(flooded, (data) => {
      sends.push(flooded.sendto(data, own));
      return fired || sends.length === 500_000;
    });
    expect(fired).toBe(true);
    await Promise.all([...sends, timer]);
  });
}

// semantics: receive-fairness
contract(
  "waiting calls that can all be served at once let the rest of the program run between them",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    let [served, servedThen] = [0, 0];
    const waiting = numbered(3000).map(async (text) => {
      expect((await receiver.recv(64, soon)).toString()).toBe(text);
      if (++served === 1) setImmediate(() => (servedThen = served));
    });
    await sender.sendMany(numbered(3000), receiver.getsockname());
    await Promise.all(waiting);
    expect(servedThen).toBeGreaterThan(0);
    expect(servedThen).toBeLessThan(3000);
  },
);
