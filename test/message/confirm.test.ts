/** With `confirm: "program"`, a sender learns only from the program that its message is complete. */

import { crc32 } from "node:zlib";

import { type Socket, socket } from "datagram";
import { type Message, type Messages, messages } from "datagram/message";
import { expect, test } from "vitest";

import { frameKind, newFrame, sealFrame, writeFrame } from "../../src/wire/message-frame.js";
import { between, desk, next, pattern, sleep } from "./tools.js";

const program = { confirm: "program" } as const;

/** The datagram of a message of one chunk, or one of its chunks. */
function oneChunk(id: number, data: Buffer = Buffer.from(`${id}`), index = 0): Buffer {
  const size = 1200;
  const payload = data.subarray(index * size, (index + 1) * size);
  const bytes = Buffer.concat([Buffer.alloc(20), payload, Buffer.alloc(4)]);
  const frame = { ...newFrame(), kind: frameKind.data, id, index, size, length: data.length };
  writeFrame({ ...frame, crc: crc32(data) }, bytes);
  sealFrame(bytes, crc32);
  return bytes;
}

/** Confirms each message some time after it arrived. */
async function confirmAll(from: Messages, waitMs: number): Promise<Message[]> {
  const found: Message[] = [];
  for await (const message of from) {
    found.push(message);
    void sleep(waitMs).then(() => message.confirm?.());
  }
  return found;
}

test("send resolves after confirm(), and the time until then is in no round trip", async () => {
  await between(
    { latencyMs: 5 },
    async ({ camera, desk: to }) => {
      let isSent = false;
      const sending = camera.send("hello", desk).finally(() => (isSent = true));
      const message = await next(to);
      await sleep(3000);
      expect(isSent).toBe(false);
      expect(to.stats()).toMatchObject({ received: 1, unconfirmed: 1, released: 0 });
      message.confirm?.();
      expect((await sending).elapsedMs).toBeGreaterThan(3000);
      expect(to.stats()).toMatchObject({ received: 1, unconfirmed: 0, released: 0 });
      expect(camera.peer(desk).stats().rttMs).toBeLessThan(20);
      message.confirm?.();
    },
    { desk: program },
  );
});

test.for([1, 2, 3])(
  "each message is delivered once and confirmed, over a link that loses datagrams: seed %d",
  async (seed) => {
    await between(
      { latencyMs: 5, lossRatio: 0.2, duplicateRatio: 0.1 },
      async ({ camera, desk: to }) => {
        const found = confirmAll(to, 60);
        const sizes = [0, 1, 1200, 1201, 5000, 40_000, 200_000];
        const sent = sizes.flatMap((bytes, index) => [
          camera.send(pattern(bytes, index), desk, { mode: index % 2 === 0 ? "reliable" : "ordered" }),
          camera.send(pattern(bytes, 99 + index), desk, { parity: 2 }),
        ]);
        for (const { elapsedMs } of await Promise.all(sent)) expect(elapsedMs).toBeGreaterThanOrEqual(60);
        expect(to.stats()).toMatchObject({ received: 14, unconfirmed: 0, released: 0 });
        await to.close();
        const lengths = (await found).map(({ data }) => data.length).sort((one, other) => one - other);
        expect(lengths).toEqual(sizes.flatMap((bytes) => [bytes, bytes]));
      },
      { seed, desk: program },
    );
  },
);

test("a message that is never confirmed is released, and its sender gets ETIMEDOUT", async () => {
  await between(
    { latencyMs: 5 },
    async ({ camera, desk: to }) => {
      const sending = camera.send(pattern(3000), desk, { deadlineMs: 30_000 });
      const failed = expect(sending).rejects.toMatchObject({ code: "ETIMEDOUT" });
      const message = await next(to);
      await sleep(1500);
      expect(to.stats()).toMatchObject({ received: 1, unconfirmed: 0, released: 1 });
      // Too late: the sender must not be told that all is well.
      message.confirm?.();
      await failed;
      expect(to.stats()).toMatchObject({ received: 1, released: 1 });
    },
    { desk: { ...program, confirmMs: 1000 }, camera: { giveUpMs: 25_000 } },
  );
});

test("messages that no call reads, and those of a receiver that has closed, are not confirmed", async () => {
  await between(
    { latencyMs: 5 },
    async ({ camera, desk: to }) => {
      const first = expect(camera.send("unread", desk)).rejects.toMatchObject({ code: "ETIMEDOUT" });
      await first;
      const second = expect(camera.send("closed", desk)).rejects.toMatchObject({ code: "ETIMEDOUT" });
      await next(to);
      const message = await next(to);
      await to.close();
      message.confirm?.();
      await second;
    },
    { desk: program },
  );
});

test("requests, their replies and fleeting messages need no confirm()", async () => {
  await between(
    { latencyMs: 5 },
    async ({ camera, desk: to }) => {
      to.serve((request) => request.data);
      expect(String((await camera.request("ping", desk)).data)).toBe("ping");
      await camera.send("seen", desk, { mode: "fleeting" });
      const message = await next(to);
      expect(message.confirm).toBeUndefined();
      expect(to.stats()).toMatchObject({ unconfirmed: 0, released: 0 });
    },
    { desk: program },
  );
});

/** Sends messages of one chunk, and returns those that are delivered. */
async function flood(from: Socket, to: Messages, first: number, count: number): Promise<Message[]> {
  const found: Message[] = [];
  const { received } = to.stats();
  for (let id = first; id < first + count; id += 128) {
    await from.sendMany(
      Array.from({ length: 128 }, (_, index) => oneChunk(id + index)),
      desk,
    );
    await sleep(1);
    while (received + found.length < to.stats().received) found.push(await next(to));
  }
  return found;
}

test("message.release() frees its place at once, and its sender gets ETIMEDOUT", async () => {
  await between(
    { latencyMs: 5 },
    async ({ camera, desk: to }) => {
      const failed = expect(camera.send("hello", desk)).rejects.toMatchObject({ code: "ETIMEDOUT" });
      const message = await next(to);
      message.release?.();
      message.release?.();
      expect(to.stats()).toMatchObject({ unconfirmed: 0, released: 1 });
      message.confirm?.();
      await failed;
      const sending = camera.send("again", desk);
      const again = await next(to);
      again.confirm?.();
      again.release?.();
      await sending;
      expect(to.stats()).toMatchObject({ received: 2, unconfirmed: 0, released: 1 });
    },
    { desk: program },
  );
});

test("addresses that are not proven have 4,096 waiting messages, and a message from another one is complete", async () => {
  await between(
    {},
    async ({ sockets: [from], camera, hosts, desk: to }) => {
      // Nobody answers the probes.
      await camera.close();
      const waiting = await flood(from, to, 0, 5120);
      expect(to.stats()).toMatchObject({ received: 4096, unconfirmed: 4096, dropped: { unconfirmed: 1024 } });
      const sending = messages(hosts[0].socket()).send("hello", desk);
      const message = await next(to);
      expect(String(message.data)).toBe("hello");
      message.confirm?.();
      await sending;
      waiting[0]?.release?.();
      expect(await flood(from, to, 10_000, 128)).toHaveLength(1);
    },
    { desk: { ...program, confirmMs: 25_000 } },
  );
});

test("a host has half of the 16,384 waiting messages, and chunks of another host get in", async () => {
  await between(
    {},
    async ({ sockets: [from], camera, network, hosts, desk: to }) => {
      const sending = camera.send("proves its address", desk);
      (await next(to)).confirm?.();
      await sending;
      const large = pattern(3000);
      for (const index of [0, 1]) await from.sendto(oneChunk(99_999, large, index), desk);
      const waiting = await flood(from, to, 0, 9216);
      expect(to.stats()).toMatchObject({ unconfirmed: 8192, dropped: { unconfirmed: 1024 } });
      // A message that was begun before must not be one too many.
      await from.sendto(oneChunk(99_999, large, 2), desk);
      await sleep(10);
      expect(to.stats()).toMatchObject({ received: 8193, unconfirmed: 8192, dropped: { unconfirmed: 1025 } });
      waiting[0]?.confirm?.();
      await from.sendto(oneChunk(99_999, large, 2), desk);
      expect((await next(to)).data.equals(large)).toBe(true);
      expect(to.stats()).toMatchObject({ unconfirmed: 8192, dropped: { unconfirmed: 1025 } });
      const other = network.host("other", { address: "10.0.0.3" });
      network.link(other, hosts[1]);
      const small = messages(other.socket()).send("from another host", desk);
      const message = await next(to);
      expect([String(message.data), message.source.host]).toEqual(["from another host", "10.0.0.3"]);
      message.confirm?.();
      await small;
    },
    { desk: { ...program, confirmMs: 25_000 } },
  );
});

test("over real sockets, send resolves after confirm()", async (t) => {
  const [one, other] = [socket(), socket()];
  t.onTestFinished(async () => {
    await Promise.all([one.close(), other.close()]);
  });
  await other.bind(["127.0.0.1", 0]);
  const from = messages(one);
  const to = messages(other, program);
  const data = pattern(100_000);
  const steps: string[] = [];
  const sending = from.send(data, other.getsockname()).then(() => steps.push("sent"));
  const message = await next(to);
  expect(Buffer.compare(message.data, data)).toBe(0);
  steps.push("confirmed");
  message.confirm?.();
  await sending;
  expect(steps).toEqual(["confirmed", "sent"]);
});

test("confirm and confirmMs are checked", () => {
  const s = socket();
  expect(() => messages(s, { confirm: "never" as never })).toThrow(/confirm/);
  expect(() => messages(s, { confirm: "program", confirmMs: 25_001 })).toThrow(/confirmMs/);
});
