/** The account of a gateway under faults of the server, and the queue that sheds fairly, against simple models of both. */

import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import fc from "fast-check";
import { expect, test, vi } from "vitest";

import type { Broker } from "../../src/gateway/broker.js";
import { FairQueue, Queued } from "../../src/gateway/fair-queue.js";
import { Outbox } from "../../src/gateway/outbox.js";

class Item extends Queued {
  readonly peer: string;

  constructor(peer: string) {
    super();
    this.peer = peer;
  }
}

test("the queue is in the order of arrival, and sheds from a peer with the most items", () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom("push", "push", "shift", "newest", "oldest"),
      peer: fc.constantFrom("a", "b", "c", "d"),
    }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const queue = new FairQueue<Item>();
      const model: Item[] = [];
      const countOf = (peer: string): number => model.filter((each) => each.peer === peer).length;
      for (const { kind, peer } of all) {
        if (kind === "push") {
          const item = new Item(peer);
          queue.push(item);
          model.push(item);
        } else if (kind === "shift") {
          expect(queue.shift()).toBe(model.shift());
        } else if (model.length > 0) {
          const max = Math.max(...["a", "b", "c", "d"].map(countOf));
          const further = new Item(peer);
          const would = queue.wouldShed(peer);
          queue.push(further);
          const first = queue.shed(peer, "newest");
          expect(first === further).toBe(would);
          if (!would) {
            // Another peer has lost one in its place.
            model.splice(model.indexOf(first), 1);
            model.push(further);
            continue;
          }
          const item = queue.shed(peer, kind);
          if (countOf(peer) === max) expect(item.peer).toBe(peer);
          expect(countOf(item.peer)).toBe(max);
          const own = model.filter((each) => each.peer === item.peer);
          expect(item).toBe(own.at(kind === "newest" ? -1 : 0));
          model.splice(model.indexOf(item), 1);
        }
        expect(queue.size).toBe(model.length);
      }
    }),
  );
});

test("each datagram is stored, shed, refused or in flight at every moment, and all settle once the server works", () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom(
        "add",
        "add",
        "add",
        "ack",
        "lostAck",
        "again",
        "refuse",
        "noStream",
        "down",
        "up",
        "tick",
        "answerProbe",
      ),
      peer: fc.constantFrom("10-0-0-1_1", "10-0-0-2_2", "10-0-0-3_3"),
      many: fc.integer({ min: 1, max: 5 }),
    }),
    { maxLength: 150 },
  );
  const shed = fc.constantFrom("newest", "oldest");
  fc.assert(
    fc.property(
      steps,
      shed,
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      (all, policy, window, waiting) => {
        let nowMs = 0;
        const clock = {
          now: () => nowMs,
          wall: () => 0n,
          after: () => () => undefined,
          turn: () => undefined,
        };
        const times = { ackTimeoutMs: 100, giveUpMs: 300, duplicateWindowMs: 1000 };
        const outbox = new Outbox(clock, {
          shed: policy,
          maxUnacknowledged: window,
          maxWaiting: waiting,
          maxBytes: 131_072,
          ...times,
        });
        const server = new Server();
        outbox.start(server);
        let added = 0;
        const check = (): void => {
          const { received, stored, shed, refused, inFlight, waiting: queued } = outbox.stats();
          expect(received).toBe(added);
          expect(stored + shed + refused + inFlight).toBe(received);
          expect(queued).toBeLessThanOrEqual(waiting);
          expect(inFlight - queued).toBeLessThanOrEqual(window);
        };
        for (const { kind, peer, many } of all) {
          for (let index = 0; index < many; index++) {
            if (kind === "add") {
              added++;
              outbox.add({
                peer,
                subject: `d.${peer}`,
                bytes: Buffer.alloc(9 + many),
                headersBytes: 9,
              });
            } else if (kind === "ack" || kind === "refuse" || kind === "noStream" || kind === "lostAck") {
              const number = server.sent.shift();
              if (number === undefined) continue;
              if (kind === "ack" || kind === "lostAck") server.stored.add(number);
              if (kind === "ack") outbox.stored(number, false);
              if (kind === "refuse" && !server.stored.has(number)) outbox.refused(number, "full");
              if (kind === "noStream" && !server.stored.has(number)) outbox.noStream(number);
            } else if (kind === "again") {
              // An acknowledgement that comes twice, or for nothing.
              outbox.stored([...server.stored][0] ?? 12_345, true);
            } else if (kind === "down") {
              outbox.connected(false);
              server.sent.length = 0;
            } else if (kind === "up") {
              outbox.connected(true);
            } else if (kind === "answerProbe") {
              server.probes.pop()?.();
            } else {
              nowMs += 60 * many;
              outbox.tick();
            }
          }
          check();
        }
        outbox.connected(true);
        for (let round = 0; outbox.stats().inFlight > 0; round++) {
          expect(round).toBeLessThan(100);
          nowMs += 101;
          outbox.tick();
          for (const answered of server.probes.splice(0)) answered();
          for (const number of server.sent.splice(0)) {
            server.stored.add(number);
            outbox.stored(number, false);
          }
        }
        check();
        // Nothing that the server has counts as shed. Something that was refused can be stored, if both answers were under way.
        const { stored, refused, received, shed } = outbox.stats();
        expect(stored).toBeLessThanOrEqual(server.stored.size);
        expect(server.stored.size).toBeLessThanOrEqual(stored + refused);
        expect(stored + refused + shed).toBe(received);
      },
    ),
  );
});

test("datagrams above the limits of bytes are shed, and those above the limit of the server are refused", () => {
  const clock = { now: () => 0, wall: () => 0n, after: () => () => undefined, turn: () => undefined };
  const limits = { shed: "newest", maxUnacknowledged: 1, maxWaiting: 1000, maxBytes: 131_072 } as const;
  const outbox = new Outbox(clock, { ...limits, ackTimeoutMs: 100, giveUpMs: 0, duplicateWindowMs: 0 });
  outbox.start(new Server());
  const message = (bytes: number) => ({
    peer: "10-0-0-1_1",
    subject: "d.p",
    bytes: Buffer.alloc(bytes),
    headersBytes: 0,
  });
  for (let index = 0; index < 4; index++) outbox.add(message(60_000));
  expect(outbox.stats()).toMatchObject({ received: 4, shed: 2, inFlight: 2, waiting: 1 });
  for (let number = 1; number <= 2; number++) outbox.stored(number, false);
  outbox.add(message(100_001));
  expect(outbox.stats()).toMatchObject({
    stored: 2,
    refusedBy: { "larger than the server takes": 1 },
    inFlight: 0,
  });
  expect(outbox.takeLosses()).toEqual({
    shed: 2,
    peers: [{ peer: "10.0.0.1:1", datagrams: 2 }],
    others: 0,
    refused: { "larger than the server takes": 1 },
  });
  expect(outbox.takeLosses()).toBeUndefined();
});

test("the limit of bytes holds for datagrams without an acknowledgement too", () => {
  const clock = { now: () => 0, wall: () => 0n, after: () => () => undefined, turn: () => undefined };
  const limits = { shed: "newest", maxUnacknowledged: 1000, maxWaiting: 1000, maxBytes: 131_072 } as const;
  const outbox = new Outbox(clock, { ...limits, ackTimeoutMs: 100, giveUpMs: 0, duplicateWindowMs: 0 });
  outbox.start(new Server());
  const message = {
    peer: "10-0-0-1_1",
    subject: "d.p",
    bytes: Buffer.alloc(60_000),
    headersBytes: 0,
  };
  for (let index = 0; index < 10; index++) outbox.add(message);
  expect(outbox.stats()).toMatchObject({ received: 10, shed: 8, inFlight: 2 });
});

test("an overdue datagram is sent again only after the server has read it, and none into a connection that hangs", () => {
  let nowMs = 0;
  const clock = { now: () => nowMs, wall: () => 0n, after: () => () => undefined, turn: () => undefined };
  const limits = { shed: "newest", maxUnacknowledged: 10, maxWaiting: 10, maxBytes: 131_072 } as const;
  const outbox = new Outbox(clock, { ...limits, ackTimeoutMs: 100, giveUpMs: 0, duplicateWindowMs: 1000 });
  const server = new Server();
  outbox.start(server);
  outbox.add({ peer: "10-0-0-1_1", subject: "d.p", bytes: Buffer.alloc(1), headersBytes: 0 });
  const passMs = (ms: number): void => {
    nowMs += ms;
    outbox.tick();
  };
  passMs(99);
  expect(server.probes).toHaveLength(0);
  for (let round = 0; round < 10; round++) passMs(100);
  expect(server.probes).toHaveLength(1);
  expect(outbox.stats().resent).toBe(0);
  server.probes.pop()?.();
  passMs(0);
  expect(outbox.stats().resent).toBe(1);
  expect(server.sent).toEqual([1, 1]);
  // A probe of an old connection says nothing about the new one.
  passMs(100);
  expect(server.probes).toHaveLength(1);
  outbox.connected(false);
  outbox.connected(true);
  expect(outbox.stats().resent).toBe(2);
  server.probes.pop()?.();
  passMs(99);
  passMs(1);
  expect(server.probes).toHaveLength(1);
  expect(outbox.stats().resent).toBe(2);
});

test("losses are counted for at most 1,024 peers, and the rest together", () => {
  const clock = { now: () => 0, wall: () => 0n, after: () => () => undefined, turn: () => undefined };
  const limits = { shed: "newest", maxUnacknowledged: 1, maxWaiting: 1, maxBytes: 131_072 } as const;
  const outbox = new Outbox(clock, { ...limits, ackTimeoutMs: 100, giveUpMs: 0, duplicateWindowMs: 0 });
  outbox.start(new Server());
  for (let port = 1; port <= 3000; port++)
    outbox.add({
      peer: `10-0-0-1_${port}`,
      subject: "d.p",
      bytes: Buffer.alloc(0),
      headersBytes: 0,
    });
  const losses = outbox.takeLosses();
  expect(losses?.peers).toHaveLength(1024);
  expect(losses).toMatchObject({ shed: 2998, others: 2998 - 1024 });
});

/** A server that keeps the numbers of what was sent. */
class Server implements Broker {
  readonly maxMessageBytes = 100_000;
  readonly sent: number[] = [];
  readonly stored = new Set<number>();
  /** Probes without an answer. */
  readonly probes: (() => void)[] = [];

  listen(): void {
    // The test calls the outbox itself.
  }

  publish(number: number): void {
    this.sent.push(number);
  }

  probe(answered: () => void): void {
    this.probes.push(answered);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

test("a message that is settled is not kept, even if a replaced table of a Map keeps its entry", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const clock = { now: () => 0, wall: () => 0n, after: () => () => undefined, turn: () => undefined };
  const outbox = new Outbox(clock, {
    shed: "newest",
    maxUnacknowledged: 10,
    maxWaiting: 10,
    maxBytes: 131_072,
    ackTimeoutMs: 100,
    giveUpMs: 300,
    duplicateWindowMs: 1000,
  });
  const published: number[] = [];
  outbox.start({
    maxMessageBytes: 1000,
    listen: () => undefined,
    publish: (number) => void published.push(number),
    probe: () => undefined,
    close: () => Promise.resolve(),
  });
  const set = vi.spyOn(Map.prototype, "set");
  const memory = ["stored", "refused"].map((subject) => {
    const bytes = Buffer.alloc(100);
    outbox.add({ subject, bytes, headersBytes: 0, peer: "10-0-0-1_1" });
    return new WeakRef(bytes);
  });
  const entries = set.mock.calls.map(([, entry]) => entry as unknown);
  set.mockRestore();
  expect(entries).toHaveLength(2);

  // A WeakRef keeps its target until the end of the turn in which it was read.
  await turn();
  collectGarbage();
  expect(memory.map((each) => each.deref()?.length)).toEqual([100, 100]);
  expect(published).toEqual([1, 2]);
  outbox.stored(1, false);
  outbox.refused(2, "no");
  await turn();
  collectGarbage();
  expect(memory.map((each) => each.deref())).toEqual([undefined, undefined]);
  expect(entries).toHaveLength(2);
});
