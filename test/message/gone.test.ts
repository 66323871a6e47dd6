/** The program takes the memory of messages away while they are sent: the calls end, and so do those that wait behind them. */

import { Buffer } from "node:buffer";

import type { Packet } from "datagram/sim";
import { expect, test } from "vitest";

import { frameOverheadBytes } from "../../src/wire/message-frame.js";
import { between, collect, desk, pattern, sleep } from "./tools.js";

/** The `lib` of the tests does not have it. */
const ResizableMemory = ArrayBuffer as unknown as new (
  bytes: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(bytes: number): void };

/** Datagrams with chunks above 1,200 bytes. */
const isLarge = ({ content }: Packet): boolean =>
  content.protocol === "udp" && content.payload.length > 1200 + frameOverheadBytes;
const largeChunks = { camera: { chunkBytes: 1448 }, desk: { chunkBytes: 1448 } };

/** Bytes in memory of their own, which can be transferred. */
function owned(bytes: number): Uint8Array {
  return Uint8Array.from(pattern(bytes));
}

function takeAway(data: Uint8Array): void {
  structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
}

/** How a call ends: "ok", or its error code. */
async function endOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => "ok",
    (error: unknown) => (error as { code?: unknown }).code ?? error,
  );
}

test.each(["reliable", "ordered", "fleeting"] as const)(
  "a %s message whose memory is transferred at once fails with EFAULT, and nothing of it is sent",
  async (mode) => {
    await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
      const arrived = collect(to);
      const data = owned(5000);
      const sent = camera.send(data, desk, { mode });
      takeAway(data);
      await expect(sent).rejects.toMatchObject({ code: "EFAULT", chunks: 5, arrivedChunks: 0 });
      await camera.send("next", desk, { mode });
      await sleep(1000);
      expect(arrived.map((message) => message.data.toString())).toEqual(["next"]);
    });
  },
);

test("a request whose memory is transferred at once fails with EFAULT", async () => {
  await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
    let runs = 0;
    to.serve(() => `${++runs}`);
    const data = owned(5000);
    const reply = camera.request(data, desk);
    takeAway(data);
    await expect(reply).rejects.toMatchObject({ code: "EFAULT", syscall: "request" });
    expect((await camera.request("again", desk)).data.toString()).toBe("1");
  });
});

test("a message whose memory is resized fails with EFAULT", async () => {
  await between({ latencyMs: 10 }, async ({ camera }) => {
    const memory = new ResizableMemory(100_000, { maxByteLength: 200_000 });
    const data = new Uint8Array(memory);
    const ended = endOf(camera.send(data, desk));
    await sleep(5);
    memory.resize(200_000);
    expect(await ended).toBe("EFAULT");
  });
});

test("an ordered message that waits for one whose memory is transferred arrives", async () => {
  await between({ latencyMs: 10 }, async ({ camera }) => {
    await camera.send("warm", desk);
    const data = owned(400_000);
    const first = endOf(camera.send(data, desk, { mode: "ordered" }));
    const second = endOf(camera.send(pattern(5000), desk, { mode: "ordered" }));
    await sleep(5);
    takeAway(data);
    expect([await first, await second]).toEqual(["EFAULT", "ok"]);
  });
});

test("a seventh message arrives if the memory of the six before it is transferred", async () => {
  await between({ latencyMs: 10 }, async ({ camera }) => {
    const before = Array.from({ length: 6 }, () => owned(100_000));
    const six = before.map((data) => endOf(camera.send(data, desk)));
    const seventh = endOf(camera.send(pattern(5000), desk));
    await sleep(5);
    before.forEach(takeAway);
    expect([...(await Promise.all(six)), await seventh]).toEqual([...Array<string>(6).fill("EFAULT"), "ok"]);
  });
});

test("a message whose large chunks vanish fails with EFAULT whenever its memory is transferred", async () => {
  const found = new Set<unknown>();
  for (let afterMs = 5; afterMs < 4000; afterMs += 50) {
    await between(
      { latencyMs: 10 },
      async ({ camera, link, desk: to }) => {
        const arrived = collect(to);
        link.drop(isLarge);
        const data = owned(20_000);
        const ended = endOf(camera.send(data, desk));
        await sleep(afterMs);
        takeAway(data);
        const end = await ended;
        found.add(end);
        await sleep(1000);
        const isWhole = arrived.every((message) => message.data.equals(pattern(20_000)));
        expect({ isWhole, isThere: arrived.length === 1 }).toEqual({ isWhole: true, isThere: end === "ok" });
      },
      largeChunks,
    );
  }
  expect([...found].sort()).toEqual(["EFAULT", "ok"]);
});

test("a message that waits while large chunks vanish fails with EFAULT, and the six before it arrive", async () => {
  await between(
    { latencyMs: 10 },
    async ({ camera, link }) => {
      link.drop(isLarge);
      const six = Array.from({ length: 6 }, () => endOf(camera.send(pattern(20_000), desk)));
      const data = owned(20_000);
      const seventh = endOf(camera.send(data, desk));
      await sleep(5);
      takeAway(data);
      expect([...(await Promise.all(six)), await seventh]).toEqual([
        ...Array<string>(6).fill("ok"),
        "EFAULT",
      ]);
    },
    largeChunks,
  );
});

test("a fleeting message is sent, and its memory may be transferred from then on, also while large chunks vanish", async () => {
  await between(
    { latencyMs: 10 },
    async ({ camera, link, desk: to }) => {
      const arrived = collect(to);
      link.drop(isLarge);
      for (let number = 0; number < 40; number++) {
        const data = owned(20_000);
        expect(await endOf(camera.send(data, desk, { mode: "fleeting", parity: 2 }))).toBe("ok");
        takeAway(data);
        await sleep(100);
      }
      await sleep(5000);
      expect(arrived.length).toBeGreaterThan(0);
      expect(arrived.every(({ data }) => data.equals(pattern(20_000)))).toBe(true);
    },
    largeChunks,
  );
});

test.each([true, false])(
  "a request that has arrived has its reply if its memory is transferred while the handler runs (reply lost at first: %s)",
  async (isLost) => {
    await between({ latencyMs: 10 }, async ({ camera, link, desk: to }) => {
      to.serve(async () => {
        await sleep(1500);
        return Buffer.from("done");
      });
      const data = owned(5000);
      const reply = camera.request(data, desk, { timeoutMs: 9000 });
      await sleep(100);
      takeAway(data);
      if (isLost) {
        await sleep(1390);
        const pass = link.drop(({ source }) => source === desk[0]);
        await sleep(1000);
        pass();
      }
      expect((await reply).data.toString()).toBe("done");
    });
  },
);
