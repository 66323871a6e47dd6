/** With `confirm: "program"`, a sender learns only from the program that its message is complete. */

import { crc32 } from "node:zlib";

import { socket } from "datagram";
import { type Message, type Messages, messages } from "datagram/message";
import { expect, test } from "vitest";

import { frameKind, newFrame, sealFrame, writeFrame } from "../../src/wire/message-frame.js";
import { between, desk, next, pattern, sleep } from "./tools.js";

const program = { confirm: "program" } as const;

/** The datagram of a message of one chunk. */
function oneChunk(id: number): Buffer {
  const data = Buffer.from(`${id}`);
  const bytes = Buffer.concat([Buffer.alloc(20), data, Buffer.alloc(4)]);
  const frame = { ...newFrame(), kind: frameKind.data, id, size: 1200, length: data.length };
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

test("chunks of further messages are dropped while 16,384 messages wait", async () => {
  await between(
    {},
    async ({ sockets: [from], desk: to }) => {
      const waiting: Message[] = [];
      for (let id = 0; id <= 16_384; id += 128) {
        const many = Array.from({ length: 128 }, (_, index) => oneChunk(id + index));
        await from.sendMany(many, desk);
        for (let each = 0; each < 128 && waiting.length < 16_384; each++) waiting.push(await next(to));
      }
      await sleep(10);
      expect(to.stats()).toMatchObject({
        received: 16_384,
        unconfirmed: 16_384,
        dropped: { unconfirmed: 128 },
      });
      waiting[0]?.confirm?.();
      await from.sendto(oneChunk(20_000), desk);
      await next(to);
      expect(to.stats()).toMatchObject({ received: 16_385, unconfirmed: 16_384, released: 0 });
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
