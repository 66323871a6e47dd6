/** Every received payload is the one that was sent, for any neighbours and any calls of sending and receiving. */

import { AF_INET, type Family, type Socket } from "datagram";
import fc from "fast-check";
import { expect } from "vitest";

import { type World, contract, failure, families, soon } from "./world.js";

const seed = 20_240_718;
const runs = 150;
const receivers = 3;
/** Bytes of a receive buffer that the tests may use: Linux gives at least 416 KiB. */
const mostUnread = 400_000;

/** The calls that send. */
const ways = ["sendto", "sendMany", "sendMany of records", "send", "sendMany, connected"] as const;

/** Datagrams of these sizes, to these receivers in turn if the call can name more than one. */
interface Step {
  readonly way: (typeof ways)[number];
  readonly to: readonly number[];
  readonly sizes: readonly number[];
}

const size = fc.oneof(
  fc.nat(2000),
  fc.constantFrom(0, 1, 63, 64, 65, 512, 1400, 1472, 1473, 2000),
  fc.nat(100),
);

/** The length of a run of equal sizes. Linux accepts at most 128 datagrams as one send. */
const count = fc.oneof(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 2, max: 150 }));

/** Runs of equal sizes, some with another size in the middle, a shorter end or an empty one inside, and mixed sizes. */
const sizes = fc
  .array(
    fc.oneof(
      fc.array(size, { minLength: 1, maxLength: 10 }),
      fc
        .tuple(size, count, size, fc.nat(150))
        .map(([each, count, odd, at]) => inserted(equal(each, count), at % count, odd)),
      fc.tuple(size, count).map(([each, count]) => [...equal(each, count), each >> 1]),
      fc
        .tuple(size, count, fc.nat(150))
        .map(([each, count, at]) => inserted(equal(each, count), at % count, 0)),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.flat());

const step: fc.Arbitrary<Step> = fc.record({
  way: fc.constantFrom(...ways),
  to: fc.array(fc.nat(receivers - 1), { minLength: 1, maxLength: 5 }),
  sizes,
});

/** A call that receives `count` datagrams. */
type Read = (from: Socket, count: number, found: (arrival: Arrival) => void) => Promise<void>;

interface Arrival {
  readonly data: Buffer;
  readonly port: number;
  /** Where they are known. */
  readonly size?: number;
  readonly truncated?: boolean;
}

const reads: readonly Read[] = [
  async (from, count, found) => {
    for (; count > 0; count--) {
      const [data, { port }] = await from.recvfrom(2000, soon);
      found({ data, port });
    }
  },
  async (from, count, found) => {
    while (count > 0) {
      const datagrams = await from.recvMany(Math.min(count, 50), soon);
      for (const { data, source, size, truncated } of datagrams) {
        found({ data, port: source.port, size, truncated });
        count--;
      }
    }
  },
  async (from, count, found) => {
    from.settimeout(soon.timeoutMs / 1000);
    for await (const { data, source, size, truncated } of from) {
      found({ data, port: source.port, size, truncated });
      if (--count === 0) break;
    }
  },
  async (from, count, found) => {
    for (; count > 0; count--) {
      const { data, source, size, truncated } = await from.recvmsg({ bufsize: 48, ...soon });
      found({ data, port: source.port, size, truncated });
    }
  },
];

for (const [ip, family] of families) {
  // semantics: boundaries
  contract(
    `every received payload is the one that was sent, in the order of the calls (${runs} runs, seed ${seed}), over ${ip}`,
    async (world) => {
      const net = await Net.open(world, family);
      let checked = 0;
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(reads.length - 1), { minLength: receivers, maxLength: receivers }),
        fc.boolean(),
        async (steps, readers, early) => {
          for (const tick of ticks(steps)) checked += await net.exchange(tick, readers, early);
        },
      );
      await fc.assert(property, { seed, numRuns: runs, endOnFailure: true });
      expect(checked).toBeGreaterThan(runs * 50);
      await net.expectNothing();
    },
  );
}

// semantics: data-copied
contract(
  "one buffer that changes after each sendto of a tick arrives as it was at each call",
  async (world) => {
    const [sender, receiver] = [await world.bound(), await world.bound()];
    await sender.connect(receiver.getsockname());
    const buffer = Buffer.alloc(500);
    const sends = Array.from({ length: 200 }, (_, index) => {
      buffer.fill(index).writeUInt16BE(index);
      const part = buffer.subarray(0, 200 + (index % 3) * 100);
      return index % 2 === 0 ? sender.sendto(part, receiver.getsockname()) : sender.send(part);
    });
    buffer.fill("x");
    await Promise.all(sends);
    for (let index = 0; index < 200; index++) {
      const expected = Buffer.alloc(200 + (index % 3) * 100, index);
      expected.writeUInt16BE(index);
      expect((await receiver.recv(1000, soon)).equals(expected), `datagram ${index}`).toBe(true);
    }
  },
);

// semantics: order
contract("a flood of equal datagrams to 10 peers in turn keeps the order of each peer", async ({ bound }) => {
  const sender = await bound();
  const peers = await Promise.all(Array.from({ length: 10 }, () => bound()));
  const names = peers.map((peer) => peer.getsockname());
  for (let round = 0; round < 20; round++) {
    const numbers = Array.from({ length: 200 }, (_, index) => round * 200 + index);
    const records = numbers.flatMap((number) =>
      names.map((address, peer) => ({ data: payload(peer, number, 64), address })),
    );
    const half = records.length / 2;
    await Promise.all([
      sender.sendMany(records.slice(0, half)),
      ...records.slice(half).map(({ data, address }) => sender.sendto(data, address)),
    ]);
    for (const [index, peer] of peers.entries()) {
      for (const number of numbers) {
        const data = await peer.recv(100, soon);
        if (!data.equals(payload(index, number, 64))) throw new Error(`${named(data)} came for ${number}`);
      }
    }
  }
  expect(sender.stats().sent.datagrams).toBe(40_000);
});

for (const [ip, family] of families) {
  // semantics: sendmany-failure
  contract(
    `sendMany over ${ip} with failing items in a run of equal ones names the first, and all others arrive`,
    async ({ bound, broadcast }) => {
      const [sender, receiver] = [await bound(family), await bound(family)];
      const address = receiver.getsockname();
      // The first is too big for any driver to try. Over IPv4 the system refuses the second.
      const tooBig = { data: Buffer.alloc(65_528), address };
      const refused =
        family === AF_INET ? { data: payload(0, 0, 64), address: [broadcast, 9] as const } : tooBig;
      for (const [first, second] of [
        [refused, tooBig],
        [tooBig, refused],
      ] as const) {
        const run = Array.from({ length: 200 }, (_, number) => ({ data: payload(0, number, 64), address }));
        const items = inserted(inserted<(typeof run)[number] | typeof refused>(run, 77, first), 150, second);
        const error = await failure(sender.sendMany(items));
        const code = first === tooBig ? "EMSGSIZE" : "EACCES";
        expect(error).toMatchObject({ code, index: 77, sent: 200 });
        for (const { data } of run) expect(named(await receiver.recv(100, soon))).toBe(named(data));
      }
    },
  );
}

/** Sockets that send to receivers, and the datagrams that each receiver still expects from each sender. */
class Net {
  readonly #receivers: readonly Socket[];
  /** An unconnected socket first, then one socket for each receiver, connected to it. */
  readonly #senders: readonly Socket[];
  /** By receiver, then by the sender's port. */
  readonly #expected: readonly Map<number, Buffer[]>[];
  #sent = 0;

  private constructor(receivers: readonly Socket[], senders: readonly Socket[]) {
    this.#receivers = receivers;
    this.#senders = senders;
    const ports = senders.map((sender) => sender.getsockname().port);
    this.#expected = receivers.map(() => new Map(ports.map((port) => [port, []])));
  }

  static async open({ bound }: World, family: Family): Promise<Net> {
    const many = (count: number): Promise<Socket[]> =>
      Promise.all(Array.from({ length: count }, () => bound(family)));
    const [targets, senders] = [await many(receivers), await many(1 + receivers)];
    await Promise.all(targets.map((to, index) => senders[1 + index]!.connect(to.getsockname())));
    return new Net(targets, senders);
  }

  /** Sends steps in one tick, and receives their datagrams. Returns the number of datagrams. */
  async exchange(steps: readonly Step[], readers: readonly number[], early: boolean): Promise<number> {
    const sends = steps.flatMap((each) => this.#send(each));
    if (!early) await Promise.all(sends);
    const counts = await Promise.all(this.#receivers.map((_, index) => this.#check(index, readers[index]!)));
    await Promise.all(sends);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** A datagram that was sent twice would come now. */
  async expectNothing(): Promise<void> {
    for (const receiver of this.#receivers) {
      await expect(failure(receiver.recv(2000, { timeoutMs: 20 }))).resolves.toMatchObject({
        code: "ETIMEDOUT",
      });
    }
  }

  #send({ way, to, sizes }: Step): Promise<number>[] {
    const connected = way === "send" || way === "sendMany, connected";
    const sender = this.#senders[connected ? 1 + to[0]! : 0]!;
    const { port } = sender.getsockname();
    const turns = connected || way === "sendMany" ? to.slice(0, 1) : to;
    const letters = sizes.map((bytes, index) => {
      const receiver = turns[index % turns.length]!;
      const data = payload(port, this.#sent++, bytes);
      // A copy of the payload, because the sent buffer is overwritten as soon as that is allowed.
      this.#expected[receiver]!.get(port)!.push(Buffer.from(data));
      return { data, address: this.#receivers[receiver]!.getsockname() };
    });
    const payloads = letters.map(({ data }) => data);
    const scribble = (): void => payloads.forEach((data) => data.fill(0xff));
    switch (way) {
      case "sendto":
      case "send": {
        const sends = letters.map(({ data, address }) =>
          way === "send" ? sender.send(data) : sender.sendto(data, address),
        );
        scribble();
        return sends;
      }
      case "sendMany":
        return [sender.sendMany(payloads, this.#receivers[turns[0]!]!.getsockname()).finally(scribble)];
      case "sendMany of records":
        return [sender.sendMany(letters).finally(scribble)];
      case "sendMany, connected":
        return [sender.sendMany(payloads).finally(scribble)];
    }
  }

  /** Receives all datagrams that one receiver expects, and compares them. */
  async #check(index: number, reader: number): Promise<number> {
    const due = this.#expected[index]!;
    const count = [...due.values()].reduce((sum, { length }) => sum + length, 0);
    if (count === 0) return 0;
    const next = new Map([...due.keys()].map((port) => [port, 0]));
    await reads[reader]!(this.#receivers[index]!, count, ({ data, port, size, truncated }) => {
      const at = next.get(port)!;
      next.set(port, at + 1);
      const expected = due.get(port)![at];
      if (!expected) throw new Error(`one datagram more than was sent: ${named(data)}`);
      const bytes = size ?? expected.length;
      const cut = truncated === true;
      if (
        bytes !== expected.length ||
        cut !== data.length < bytes ||
        !data.equals(expected.subarray(0, data.length))
      ) {
        throw new Error(`${named(data)} of ${bytes} bytes came for ${named(expected)}`);
      }
      if (data.length < Math.min(bytes, reader === 3 ? 48 : Infinity))
        throw new Error(`${named(data)} was cut`);
    });
    this.#receivers[index]!.settimeout(null);
    for (const queue of due.values()) queue.length = 0;
    return count;
  }
}

function equal(bytes: number, count: number): number[] {
  return Array<number>(count).fill(bytes);
}

function inserted<T>(list: readonly T[], at: number, item: T): T[] {
  return [...list.slice(0, at), item, ...list.slice(at)];
}

/** Steps in groups that fit every receive buffer. A step that is too long is cut. */
function* ticks(steps: readonly Step[]): Generator<Step[]> {
  let tick: Step[] = [];
  let unread = 0;
  for (const { sizes, ...rest } of steps) {
    let from = 0;
    for (const [index, bytes] of sizes.entries()) {
      // The kernel counts at most this for a datagram: its buffer, rounded to a power of two, and its header structure.
      const cost = 1024 + 2 * bytes;
      if (unread + cost > mostUnread) {
        yield [...tick, { ...rest, sizes: sizes.slice(from, index) }];
        [tick, unread, from] = [[], 0, index];
      }
      unread += cost;
    }
    tick.push({ ...rest, sizes: sizes.slice(from) });
  }
  yield tick;
}

/** Random bytes. Each payload is a different part of them. */
const noise = ((): Buffer => {
  const words = new Uint32Array(16_384);
  let word = seed;
  for (let index = 0; index < words.length; index++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[index] = word ^ (word >>> 15);
  }
  return Buffer.from(words.buffer);
})();

/** A payload that differs from all others as far as its size allows. The receiver knows every byte of it. */
function payload(sender: number, number: number, bytes: number): Buffer {
  const from = (sender * 7919 + number * 31) % (noise.length - bytes);
  const data = Buffer.from(noise.subarray(from, from + bytes));
  if (bytes >= 6) {
    data.writeUInt16BE(sender & 0xffff, 0);
    data.writeUInt32BE(number, 2);
  }
  return data;
}

function named(data: Buffer): string {
  const number =
    data.length < 6 ? "without a number" : `number ${data.readUInt32BE(2)} of ${data.readUInt16BE(0)}`;
  return `a datagram of ${data.length} bytes, ${number}`;
}
