/** `reuseMemory`: no message changes while the program may use it, however the program takes its steps. */
import type { Message, MessagesOptions } from "datagram/message";
import fc from "fast-check";
import { expect, test } from "vitest";

import { MessageInbox } from "../../src/message/inbox.js";
import { stepsThatReuse } from "../../src/message/reusing-steps.js";
import { SpareMemory } from "../../src/message/spare-memory.js";
import { type Ends, between, desk, pattern, sleep } from "./tools.js";

const bytes = 100_000;
const count = 20;
const inOrder = Array.from({ length: count }, (_, at) => at);

/** Sends messages with the seeds 0, 1, … to a desk with `reuseMemory`: one after the other, or all at once. */
async function sending(
  how: "in turn" | "at once",
  options: MessagesOptions,
  program: (ends: Ends) => Promise<void>,
): Promise<void> {
  const link = { latencyMs: 1, rateBps: 1e9, queueBytes: 1e8 };
  await between(
    link,
    async (ends) => {
      const send = async (seed: number): Promise<unknown> =>
        await ends.camera.send(pattern(bytes, seed), desk);
      const all = async (): Promise<void> => {
        if (how === "at once") await Promise.all(inOrder.map(send));
        else for (const seed of inOrder) await send(seed);
      };
      await Promise.all([all(), program(ends)]);
    },
    { desk: { reuseMemory: true, ...options } },
  );
}

/** The seed of a message; −1 if it has bytes of more than one. */
function seedOf({ data }: Message): number {
  return inOrder.find((seed) => data.equals(pattern(bytes, seed))) ?? -1;
}

/** The message of a step. */
function messageOf(step: IteratorResult<Message, unknown>): Message {
  if (step.done === true) throw new Error("the messages are closed");
  return step.value;
}

test.each(["after", "before"])(
  "a program with two steps waiting, which takes another one %s it has used a message, finds each of them intact",
  async (order) => {
    const seeds: number[] = [];
    await sending("in turn", {}, async ({ desk: m }) => {
      const iterator = m[Symbol.asyncIterator]();
      let [first, second] = [iterator.next(), iterator.next()];
      const step = (): void => {
        [first, second] = [second, iterator.next()];
      };
      while (seeds.length < count) {
        const message = messageOf(await first);
        if (order === "before") step();
        // More arrive meanwhile.
        await sleep(5);
        seeds.push(seedOf(message));
        if (order === "after") step();
      }
      await m.close();
    });
    expect(seeds).toEqual(inOrder);
  },
);

test("a step that is read after it resolved and after a later call has an intact message", async () => {
  const seeds: number[] = [];
  await sending("in turn", {}, async ({ desk: m }) => {
    const iterator = m[Symbol.asyncIterator]();
    let first = iterator.next();
    while (seeds.length < count) {
      await sleep(5);
      const second = iterator.next();
      await sleep(5);
      seeds.push(seedOf(messageOf(await first)));
      first = second;
    }
    await m.close();
  });
  expect(seeds).toEqual(inOrder);
});

test("a step that is left at a timeout and awaited later ends no reuse", async () => {
  const [seeds, memories]: [number[], Set<ArrayBufferLike>] = [[], new Set()];
  let timeouts = 0;
  await sending("in turn", {}, async ({ desk: m }) => {
    const iterator = m[Symbol.asyncIterator]();
    let pending: ReturnType<typeof iterator.next> | undefined;
    while (seeds.length < count) {
      const step = await Promise.race([(pending ??= iterator.next()), sleep(1)]);
      if (!step) {
        timeouts++;
        continue;
      }
      pending = undefined;
      const message = messageOf(step);
      seeds.push(seedOf(message));
      memories.add(message.data.buffer);
    }
  });
  expect(seeds).toEqual(inOrder);
  expect(timeouts).toBeGreaterThan(0);
  expect(memories.size).toBeLessThan(count / 2);
});

test("a message is intact after its loop was left, while another loop goes on", async () => {
  const [kept, seeds]: [Message[], number[]] = [[], []];
  await sending("in turn", {}, async ({ desk: m }) => {
    const other = m[Symbol.asyncIterator]();
    while (kept.length < count / 2) {
      for await (const message of m) {
        kept.push(message);
        break;
      }
      seeds.push(seedOf(messageOf(await other.next())));
    }
  });
  expect(kept.map(seedOf)).toEqual(inOrder.filter((seed) => seed % 2 === 0));
  expect(seeds).toEqual(inOrder.filter((seed) => seed % 2 === 1));
});

test("a message that is confirmed after its step keeps its memory, and one that is confirmed before does not", async () => {
  const [seeds, late, memories]: [number[], [number, number][], Set<ArrayBufferLike>] = [[], [], new Set()];
  const settleLater = async (message: Message, seed: number): Promise<void> => {
    await sleep(20);
    message.confirm?.();
    await sleep(20);
    late.push([seed, seedOf(message)]);
  };
  const settling: Promise<void>[] = [];
  await sending("at once", { confirm: "program" }, async ({ desk: m }) => {
    for await (const message of m) {
      const seed = seedOf(message);
      seeds.push(seed);
      memories.add(message.data.buffer);
      if (seed % 2 === 0) message.confirm?.();
      else settling.push(settleLater(message, seed));
      if (seeds.length === count) break;
    }
    await Promise.all(settling);
  });
  expect(late.length).toBe(count / 2);
  for (const [before, after] of late) expect(after).toBe(before);
  expect([...seeds].sort((one, other) => one - other)).toEqual(inOrder);
  expect(memories.size).toBeLessThan(count);
});

test("a message whose memory the program transfers, because it keeps an older one too long, begins anew", async () => {
  const seeds: number[] = [];
  await sending("in turn", {}, async ({ desk: m }) => {
    /** Transfers a message while the next one arrives. */
    const transfer = async ({ data }: Message): Promise<void> => {
      while (m.stats().partialBytes === 0) await sleep(0.1);
      structuredClone(0, { transfer: [data.buffer as ArrayBuffer] });
    };
    for await (const message of m) {
      seeds.push(seedOf(message));
      if (seeds.length === count) break;
      if (seeds.length % 3 === 0) void transfer(message);
    }
    expect(m.stats().dropped.memory).toBeGreaterThan(0);
  });
  expect(seeds).toEqual(inOrder);
});

test("no memory is used again before its message was read and the next step was taken, for any order of calls", async () => {
  const action = fc.oneof(
    fc.constant("arrive" as const),
    fc.constant("next" as const),
    fc.constant("turn" as const),
    fc.nat(2),
  );
  /** As a loop does: it reads each message before its next step, and messages arrive meanwhile. */
  const loop = (["next", "arrive", "arrive", 0] as const).map((what) => [0, what] as const);
  const mixed = fc.array(fc.tuple(fc.nat(1), action), { maxLength: 40 });
  const actions = fc
    .tuple(fc.nat(5), mixed)
    .map(([rounds, rest]) => [...Array.from({ length: rounds }, () => loop).flat(), ...rest]);
  let reused = 0;
  await fc.assert(
    fc.asyncProperty(actions, async (all) => {
      const spare = new SpareMemory();
      const inbox = new MessageInbox(() => undefined);
      const made = new Set<ArrayBufferLike>();
      /** The memory of messages that wait, that are not read, or whose iteration has not taken its next step, or has read ahead. */
      const inUse = new Set<ArrayBufferLike>();
      const readers = [0, 1].map(() => ({
        next: stepsThatReuse(inbox, spare),
        steps: [] as ReturnType<MessageInbox["next"]>[],
        read: [] as ArrayBufferLike[],
        isAhead: false,
      }));
      for (const [which, what] of all) {
        const reader = readers[which]!;
        if (what === "arrive") {
          const data = spare.take(1000);
          expect(inUse).not.toContain(data.buffer);
          if (made.has(data.buffer)) reused++;
          made.add(data.buffer);
          inUse.add(data.buffer);
          inbox.push({ data } as Message);
        } else if (what === "next") {
          reader.isAhead ||= reader.steps.length > 0;
          if (!reader.isAhead) for (const memory of reader.read) inUse.delete(memory);
          reader.read = [];
          reader.steps.push(reader.next());
        } else if (what === "turn") await Promise.resolve();
        else {
          const step = reader.steps[what];
          const result = step && (await Promise.race([step, sleepTurns()]));
          if (!result) continue;
          reader.read.push(messageOf(result).data.buffer);
          reader.steps = reader.steps.filter((each) => each !== step);
        }
      }
    }),
    { numRuns: 1000 },
  );
  expect(reused).toBeGreaterThan(0);
});

/** Resolves after every promise that can resolve without an event has done so. */
async function sleepTurns(): Promise<undefined> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return undefined;
}
