/** What peers send costs bounded memory and few answers, and everything that is dropped is counted by its cause. */

import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

import { messages } from "datagram/message";
import { Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { frameFlag, frameKind, newFrame } from "../../src/wire/message-frame.js";
import { flipped, forged, frame, ordered } from "./frames.js";
import { between, collect, desk, next, pattern, sleep } from "./tools.js";

const hello = Buffer.from("hello");
const none = Buffer.alloc(0);

test("a message above all limits of the peer gets EMSGSIZE with the limit, as one just above the first of them", async () => {
  const limit = 100_000;
  await between(
    { latencyMs: 10 },
    async ({ camera, desk: to }) => {
      to.serve(({ data }) => data);
      const text =
        "a message of 200000 bytes is over the limit of the peer, 100000 bytes: none of it arrived";
      for (const call of ["send", "request"] as const) {
        await expect(camera[call](pattern(2 * limit), desk)).rejects.toMatchObject({
          message: `${call} ${desk.join(":")}: ${text} (EMSGSIZE)`,
          limit,
        });
      }
      expect(to.stats().refused).toBe(2);
      expect(to.stats().dropped.unread).toBeUndefined();
    },
    { desk: { maxSourceBytes: limit, maxUnreadBytes: limit } },
  );
});

describe("forged chunks", () => {
  test("of many sources leave an honest peer its memory, and get at most three times their bytes", async () => {
    const network = new Network({ seed: 5 });
    const attacker = network.host("attacker", {
      addresses: Array.from({ length: 60 }, (_, at) => `10.0.1.${at + 1}`),
    });
    const camera = network.host("camera", { address: "10.0.0.1" });
    const to = network.host("desk", { address: desk[0] });
    const middle = network.router("middle");
    for (const host of [attacker, camera, to]) network.link(host, middle, { latencyMs: 2 });
    await network.run(async () => {
      const r = to.socket();
      await r.bind(desk);
      const m = messages(r, { maxBytes: 4 << 20 });
      const arrived = collect(m);
      let [received, answered, maxBytes] = [0, 0, 0];
      r.tap(({ direction, data, source, destination }) => {
        if (direction === "in" && source.host.startsWith("10.0.1.")) received += data.length;
        if (direction === "out" && destination.host.startsWith("10.0.1.")) answered += data.length;
      });
      const sockets = await Promise.all(
        attacker.addresses.map(async (address) => {
          const s = attacker.socket();
          await s.bind([address, 5000]);
          return s;
        }),
      );
      let forgedChunks = 0;
      let isOver = false;
      const attack = (async () => {
        for (let id = 0; !isOver; id++) {
          const s = sockets[id % sockets.length]!;
          await s.sendto(forged(id, id % 800), desk);
          forgedChunks++;
          maxBytes = Math.max(maxBytes, m.stats().partialBytes);
          if (id % 20 === 0) await sleep(1);
        }
      })();
      const honest = messages(camera.socket());
      for (let number = 0; number < 20; number++) await honest.send(pattern(50_000, number), desk);
      isOver = true;
      await attack;
      expect(arrived.length).toBe(20);
      expect(forgedChunks).toBeGreaterThan(1000);
      expect(maxBytes).toBeLessThanOrEqual(4 << 20);
      expect(m.stats().lost.memory).toBeGreaterThan(100);
      expect(answered).toBeLessThanOrEqual(3 * received);
      await sleep(100_000);
      expect(m.stats().partialBytes).toBe(0);
    });
  }, 60_000);

  test("of one source displace only messages of this source", async () => {
    await between({ latencyMs: 5 }, async ({ desk: to, hosts, sockets }) => {
      const lost: number[] = [];
      to.on("lost", ({ id, cause }) => {
        if (cause === "source") lost.push(id);
      });
      const other = hosts[0].socket();
      await sockets[0].sendto(forged(1000), desk);
      for (let id = 0; id < 20; id++) await other.sendto(forged(id), desk);
      await sleep(100);
      expect(lost).toEqual(Array.from({ length: 12 }, (_, id) => id));
      expect(to.stats().partialBytes).toBeLessThan(9 * 70_000);
    });
  });

  test("with a large length reserve no memory for it", async () => {
    await between({ latencyMs: 5 }, async ({ desk: to, sockets }) => {
      await sockets[0].sendto(forged(1, 0, 2_000_000), desk);
      await sleep(50);
      expect(to.stats().partialBytes).toBeLessThan(70_000);
    });
  });
});

test("datagrams that are no frames are dropped and counted by their cause", async () => {
  const file = new URL("../../docs/wire-vectors.json", import.meta.url);
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as {
    vectors: { hex: string; fault?: string }[];
  };
  await between({ latencyMs: 5 }, async ({ desk: to, sockets }) => {
    const expected: Record<string, number> = {};
    for (const { hex, fault } of vectors) {
      if (fault === undefined) continue;
      expected[fault] = (expected[fault] ?? 0) + 1;
      await sockets[0].sendto(Buffer.from(hex, "hex"), desk);
    }
    await sleep(100);
    expect(to.stats().dropped).toEqual(expected);
    expect(Object.keys(expected).sort()).toEqual(
      ["checksum", "flags", "index", "kind", "payload", "report", "short", "size", "version"].sort(),
    );
  });
});

test.each([
  ["a message above maxSourceBytes", "tooLong", () => frame({ length: 3_000_000 }, Buffer.alloc(1200))],
  ["a message of more than 65,535 chunks", "size", () => frame({ size: 1, length: 65_536 }, Buffer.alloc(1))],
  ["a chunk size of 0", "size", () => frame({ size: 0 })],
  ["a payload that is too short", "payload", () => frame({ length: 6 })],
  ["a payload that is too long", "payload", () => frame({ length: 4 })],
  ["an unknown version", "version", () => frame({}, hello, (bytes) => (bytes[0] = 0x0e))],
  ["an unknown kind", "kind", () => frame({ kind: 8 })],
  ["a reserved flag", "flags", () => frame({ flags: 0x80 })],
  ["a flag of another kind", "flags", () => frame({ kind: frameKind.request, flags: frameFlag.ordered })],
  ["a chunk after the last one", "index", () => frame({ index: 1 })],
  ["a frame that is cut in its header", "short", () => frame({}).subarray(0, 19)],
  ["a frame that is cut before its checksum", "short", () => frame({}, Buffer.alloc(0)).subarray(0, 20)],
  ["a frame that is cut in its payload", "checksum", () => frame({}).subarray(0, 28)],
  ["a wrong checksum", "checksum", () => flipped(frame({}), -1)],
  ["a flipped bit in the payload", "checksum", () => flipped(frame({}), 22)],
  ["a wrong CRC of the message", "crc", () => frame({ crc: 1 })],
  ["a report with half a run", "report", () => frame({ kind: frameKind.report }, Buffer.alloc(10))],
  [
    "a report of what was never sent",
    "stray",
    () => frame({ kind: frameKind.report, index: 1 }, Buffer.from("00010040ffffffff", "hex")),
  ],
  ["a proof that was not asked for", "token", () => frame({ ...newFrame(), kind: frameKind.probeAck }, none)],
  ["a request without a handler", "unserved", () => frame({ kind: frameKind.request })],
  ["a reply that was not asked for", "unexpected", () => frame({ kind: frameKind.reply })],
])("%s is dropped and counted as %s, and the next message arrives", async (_name, cause, datagram) => {
  await between({ latencyMs: 5 }, async ({ camera, desk: to, sockets }) => {
    await sockets[0].sendto(datagram(), desk);
    await sleep(100);
    expect(to.stats()).toMatchObject({ received: 0, partialBytes: 0, unreadBytes: 0 });
    expect(to.stats().dropped).toEqual({ [cause]: 1 });
    await camera.send("hello", desk);
    expect((await next(to)).data.toString()).toBe("hello");
    expect(to.stats()).toMatchObject({ received: 1, dropped: { [cause]: 1 } });
  });
});

test("a chunk of another kind, or with other flags, does not make a waiting message begin anew in smaller chunks", async () => {
  await between({ latencyMs: 5 }, async ({ desk: to, sockets }) => {
    const data = Buffer.from(pattern(1300));
    const of = { length: data.length, crc: crc32(data) };
    await sockets[0].sendto(frame({ ...of, size: 1200 }, data.subarray(0, 1200)), desk);
    const smaller = { ...of, size: 650 };
    const half = data.subarray(0, 650);
    await sockets[0].sendto(frame({ ...smaller, flags: frameFlag.ordered }, half), desk);
    await sockets[0].sendto(frame({ ...smaller, kind: frameKind.reply }, half), desk);
    await sockets[0].sendto(frame({ ...of, size: 1200, index: 1 }, data.subarray(1200)), desk);
    expect((await next(to)).data).toEqual(data);
    expect(to.stats().dropped.divided).toBeUndefined();
  });
});

test("messages that nobody reads stop new ones above maxUnreadBytes, until they are read", async () => {
  const options = { desk: { maxSourceBytes: 100_000, maxUnreadBytes: 100_000 }, camera: { giveUpMs: 1000 } };
  await between(
    { latencyMs: 5 },
    async ({ camera, desk: to }) => {
      await camera.send(pattern(60_000), desk);
      await expect(camera.send(pattern(60_000), desk)).rejects.toMatchObject({
        code: "ETIMEDOUT",
        arrivedChunks: 0,
      });
      expect(to.stats()).toMatchObject({ unreadBytes: 60_000 });
      expect(to.stats().dropped.unread).toBeGreaterThan(0);
      await next(to);
      await camera.send(pattern(60_000), desk);
      expect(to.stats().unreadBytes).toBe(60_000);
    },
    options,
  );
});

test("ordered messages that wait for one that never comes take no more than maxSourceBytes", async () => {
  const options = { desk: { maxSourceBytes: 50_000 } };
  await between(
    { latencyMs: 1 },
    async ({ desk: to, sockets }) => {
      const arrived = collect(to);
      let maxBytes = 0;
      await sockets[0].sendto(ordered(0, Buffer.alloc(1000)), desk);
      // The message 1 never comes.
      for (let id = 2; id < 200; id++) {
        await sockets[0].sendto(ordered(id, Buffer.alloc(1000, id)), desk);
        await sleep(1);
        maxBytes = Math.max(maxBytes, to.stats().partialBytes);
      }
      expect(maxBytes).toBeGreaterThan(50_000);
      expect(maxBytes).toBeLessThanOrEqual(50_000 * 1.125 + 8 * 256);
      await sleep(10_000);
      const held = Array.from({ length: arrived.length - 1 }, (_, at) => at + 2);
      expect(arrived.map(({ data }) => data[0])).toEqual([0, ...held]);
      expect(to.stats().dropped).toEqual({ source: 199 - arrived.length });
      expect(to.stats().partialBytes).toBe(0);
    },
    options,
  );
});

test("requests that wait for a handler count as unread", async () => {
  const options = { desk: { maxSourceBytes: 50_000, maxUnreadBytes: 100_000 } };
  await between(
    { latencyMs: 1 },
    async ({ camera, desk: to }) => {
      const running: (() => void)[] = [];
      to.serve(() => new Promise((done) => running.push(() => done("done"))));
      const first = Array.from({ length: 64 }, () => camera.request("small", desk));
      await sleep(100);
      const large = Array.from({ length: 4 }, () => camera.request(pattern(40_000), desk));
      await sleep(1000);
      expect(running.length).toBe(64);
      expect(to.stats().unreadBytes).toBe(80_000);
      expect(to.stats().dropped.unread).toBeGreaterThan(0);
      const free = setInterval(() => running.shift()?.(), 10);
      await Promise.all([...first, ...large]);
      clearInterval(free);
      expect(to.stats().unreadBytes).toBe(0);
    },
    options,
  );
});

test("a peer that is idle is forgotten", async () => {
  await between({ latencyMs: 5 }, async ({ camera, desk: to }) => {
    await camera.send("hello", desk);
    expect(camera.peer(desk).stats()).toMatchObject({ sentChunks: 1, isProven: true });
    expect((await next(to)).source.port).toBeGreaterThan(0);
    await sleep(100_000);
    expect(camera.peer(desk).stats()).toMatchObject({ sentChunks: 0, isProven: false, rttMs: undefined });
  });
});
