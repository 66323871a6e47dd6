/** `reuseMemory`: the memory of a message is used again when the loop takes its next step, and not before. */
import { EventEmitter, once } from "node:events";

import { socket } from "datagram";
import { type Message, type Messages, messages } from "datagram/message";
import { expect, test } from "vitest";

import { SpareMemory } from "../../src/message/spare-memory.js";
import { pattern } from "./tools.js";

const loopback = "127.0.0.1";
const bytes = 200_000;

/** The messages that are on their way, or wait to be read, at most: more of them have more memory than is kept for later ones. */
const maxAhead = 3;

/**
 * Sends messages with the seeds 0, 1, … to a receiver with `reuseMemory`, two at a time, while `read` reads them, and calls `wasRead`
 * for each.
 */
async function receiving(
  count: number,
  read: (m: Messages, wasRead: () => void) => Promise<void>,
): Promise<void> {
  await using from = socket();
  await using to = socket();
  await to.bind([loopback, 0]);
  const [sender, receiver] = [messages(from), messages(to, { reuseMemory: true })];
  const address = [loopback, to.getsockname().port] as const;
  const reads = new EventEmitter();
  let [seed, readCount] = [0, 0];
  const wasRead = (): void => {
    readCount++;
    reads.emit("read");
  };
  const lane = async (): Promise<void> => {
    while (seed < count) {
      if (seed - readCount < maxAhead) await sender.send(pattern(bytes, seed++), address);
      else await once(reads, "read");
    }
  };
  await Promise.all([read(receiver, wasRead), lane(), lane()]);
}

/** The seed of a message, which is intact. */
function seedOf({ data }: Message): number {
  const seed = Array.from({ length: 256 }, (_, at) => at).find((at) => data.equals(pattern(bytes, at)));
  expect(seed).toBeDefined();
  return seed!;
}

test("each message is intact during its step, while more arrive, and later ones have its memory", async () => {
  const memories = new Set<ArrayBufferLike>();
  const seeds = new Set<number>();
  await receiving(30, async (m, wasRead) => {
    for await (const message of m) {
      const seed = seedOf(message);
      // Others arrive meanwhile.
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(message.data.equals(pattern(bytes, seed))).toBe(true);
      memories.add(message.data.buffer);
      seeds.add(seed);
      wasRead();
      if (seeds.size === 30) break;
    }
  });
  expect(seeds.size).toBe(30);
  expect(memories.size).toBeLessThan(15);
});

test("messages that several steps wait for at a time are all intact", async () => {
  await receiving(12, async (m, wasRead) => {
    const iterator = m[Symbol.asyncIterator]();
    const seeds = new Set<number>();
    for (let round = 0; round < 4; round++) {
      const steps = await Promise.all([iterator.next(), iterator.next(), iterator.next()]);
      for (const { value } of steps) {
        seeds.add(seedOf(value as Message));
        wasRead();
      }
    }
    expect(seeds.size).toBe(12);
  });
});

test("memory that the program has transferred does not come back", async () => {
  let read = 0;
  await receiving(12, async (m, wasRead) => {
    for await (const message of m) {
      const seed = seedOf(message);
      const { data, buffer } = structuredClone(
        { data: message.data, buffer: message.data.buffer },
        { transfer: [message.data.buffer as ArrayBuffer] },
      );
      expect(buffer.byteLength).toBeGreaterThan(0);
      expect(pattern(bytes, seed).equals(data)).toBe(true);
      wasRead();
      if (++read === 12) break;
    }
  });
  expect(read).toBe(12);
});

test("reuseMemory is checked", async () => {
  await using s = socket();
  expect(() => messages(s, { reuseMemory: 1 as unknown as boolean })).toThrow(/"?reuseMemory"?/);
});

test("memory comes back once, and goes only to messages of about its size", () => {
  const spare = new SpareMemory();
  const first = spare.take(1000);
  spare.give(first);
  spare.give(first);
  expect(spare.take(800).buffer).not.toBe(first.buffer);
  expect(spare.take(1001).buffer).not.toBe(first.buffer);
  const second = spare.take(900);
  expect([second.buffer, second.length]).toEqual([first.buffer, 900]);
  expect(spare.take(900).buffer).not.toBe(first.buffer);
  spare.give(second);
  expect(spare.take(1000).buffer).toBe(first.buffer);
  // Memory of the program is not taken.
  const own = Buffer.allocUnsafeSlow(1000);
  spare.give(own);
  expect(spare.take(1000).buffer).not.toBe(own.buffer);
});

test("no more than four memories are kept, the newest ones", () => {
  const spare = new SpareMemory();
  const all = Array.from({ length: 6 }, () => spare.take(1000));
  for (const each of all) spare.give(each);
  const again = Array.from({ length: 6 }, () => spare.take(1000).buffer);
  expect(again.filter((memory) => all.some(({ buffer }) => buffer === memory))).toEqual(
    all.slice(2).map(({ buffer }) => buffer),
  );
});
