/** Reading a stream of a real server of NATS. */

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import { type NatsConnection, connect, headers } from "@nats-io/transport-node";

import { Address, type Datagram } from "datagram";
import { bucketOf } from "../../src/gateway/subjects.js";
import {
  peerToken,
  type ConsumeWarning,
  type ConsumeOptions,
  type StoredDatagram,
  type StreamReading,
  consume,
} from "datagram/gateway";
import { NatsServer, noServer } from "./nats.js";
import { bound, sendNumbered, started, until } from "./sending.js";

describe.skipIf(noServer !== undefined)("consume", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  /** Reads a stream to its end of now. */
  async function all(options: Omit<ConsumeOptions, "nats">): Promise<[StoredDatagram[], StreamReading]> {
    const reading = consume({ nats: server.url, until: "now", ...options });
    const found: StoredDatagram[] = [];
    for await (const datagram of reading) found.push(datagram);
    return [found, reading];
  }

  /** A stream with the datagrams of two peers, one after the other. */
  async function storedBy(t: TestContext, stream: string, counts: readonly number[], buckets?: number) {
    const { running, at } = await started(t, { nats: server.url, stream, create: true, buckets });
    const peers = await Promise.all(counts.map(() => bound(t)));
    for (const [index, peer] of peers.entries())
      await sendNumbered(running, peer, at, counts[index] ?? 0, `${index}:`);
    await until(running, ({ inFlight }) => inFlight === 0);
    return { running, at, peers: peers.map((peer) => peer.getsockname()) };
  }

  async function connected(t: TestContext): Promise<NatsConnection> {
    const nats = await connect({ servers: server.url.slice("nats://".length) });
    t.onTestFinished(() => nats.close());
    return nats;
  }

  test("returns each datagram once, in order, with what the socket knew", async (t) => {
    const { at, peers } = await storedBy(t, "each", [3000]);
    const [found, reading] = await all({ stream: "each", prefetch: 100 });
    expect(found.map(({ data }) => String(data))).toEqual(Array.from({ length: 3000 }, (_, n) => `0:${n}`));
    expect(found.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 3000 }, (_, n) => n + 1));
    // The type of what a socket returns.
    const first: Datagram | undefined = found[0];
    expect(first).toMatchObject({ size: 3, truncated: false, interface: "lo", missingBefore: 0 });
    expect(String(first?.source)).toBe(String(peers[0]));
    expect(String(first?.destination)).toBe(String(at));
    expect(first?.timestamp).toBeGreaterThan(1_700_000_000_000_000_000n);
    expect(found[0]?.storedAt).toBeGreaterThanOrEqual(first?.timestamp ?? 0n);
    expect([first?.ttl, first?.tos]).toEqual([undefined, undefined]);
    await expect(first?.reply("late")).rejects.toMatchObject({ code: "EBADF", syscall: "reply" });
    const counts = { datagrams: 3000, filtered: 0, foreign: 0, missing: 0, sequence: 3000, resumed: 0 };
    expect(reading.stats()).toEqual(counts);
    expect(await reading.next()).toEqual({ done: true, value: undefined });
  });

  test("returns the datagrams of bundles one by one, and goes on after the last whole bundle", async (t) => {
    const options = { nats: server.url, stream: "bundles", create: true, bundle: true };
    const { running, at } = await started(t, options);
    const [one, other] = [await bound(t), await bound(t)];
    await sendNumbered(running, one, at, 400, "one:");
    await sendNumbered(running, other, at, 400, "other:");
    await until(running, ({ inFlight }) => inFlight === 0);
    const [found, reading] = await all({ stream: "bundles" });
    const texts = (prefix: string): string[] => Array.from({ length: 400 }, (_, n) => `${prefix}:${n}`);
    expect(found.map(({ data }) => String(data))).toEqual([...texts("one"), ...texts("other")]);
    const messages = await server.messages("bundles");
    expect(messages.every(({ subject }) => subject === `datagram.${at.port}.0`)).toBe(true);
    const sizes = messages.map(({ headers }) => Number(headers.get("Datagram-Bundle")));
    expect(found.map(({ sequence, index }) => [sequence, index])).toEqual(
      sizes.flatMap((size, message) => Array.from({ length: size }, (_, index) => [message + 1, index])),
    );
    expect(messages.length).toBeLessThan(found.length);
    expect(reading.stats()).toMatchObject({
      datagrams: 800,
      foreign: 0,
      missing: 0,
      sequence: messages.length,
    });
    // The peers share bundles, so the reader filters.
    const [ofOther, filtered] = await all({ stream: "bundles", peer: other.getsockname(), buckets: 1 });
    expect(ofOther.map(({ data }) => String(data))).toEqual(texts("other"));
    expect(filtered.stats()).toMatchObject({ datagrams: 400, filtered: 400 });
    // A reader that stops within a bundle gets that bundle again.
    const place = sizes.findIndex((size) => size > 1);
    const before = sizes.slice(0, place).reduce((sum, size) => sum + size, 0);
    const broken = consume({ nats: server.url, stream: "bundles" });
    for (let count = 0; count <= before; count++) await broken.next();
    await broken.return();
    expect(broken.stats()).toMatchObject({
      datagrams: before + 1,
      sequence: place === 0 ? undefined : place,
    });
  });

  test("starts at a number, at a time, and with what is new", async (t) => {
    const { running, at } = await storedBy(t, "starts", [20]);
    const numbers = ([found]: [StoredDatagram[], StreamReading]): number[] =>
      found.map(({ sequence }) => sequence);
    expect(numbers(await all({ stream: "starts", from: { sequence: 18 } }))).toEqual([18, 19, 20]);
    expect(numbers(await all({ stream: "starts", from: { sequence: 21 } }))).toEqual([]);
    expect(numbers(await all({ stream: "starts", from: "new" }))).toEqual([]);
    const [found] = await all({ stream: "starts" });
    const time = found[16]?.storedAt ?? 0n;
    expect(numbers(await all({ stream: "starts", from: { time } }))[0]).toBe(17);
    expect(numbers(await all({ stream: "starts", from: { time: new Date(Date.now() + 60_000) } }))).toEqual(
      [],
    );
    const ahead = consume({
      nats: server.url,
      stream: "starts",
      from: { sequence: 23 },
      onWarning: () => undefined,
    });
    const fresh = consume({ nats: server.url, stream: "starts", from: "new" });
    // The consumers of the readings above are still listed, so their number does not tell that these are open.
    await Promise.all([ahead.open(), fresh.open()]);
    const waiting = [ahead.next(), fresh.next()];
    await sendNumbered(running, await bound(t), at, 5);
    const [later, next] = await Promise.all(waiting);
    expect([later?.value?.sequence, next?.value?.sequence]).toEqual([23, 21]);
    await Promise.all([ahead.return(), fresh.return()]);
  });

  test.for([undefined, 0, 2])("chooses a peer and a port, with %s buckets", async (buckets, t) => {
    const stream = `chosen${buckets ?? ""}`;
    const { at, peers } = await storedBy(t, stream, [5, 7, 1], buckets === 0 ? undefined : buckets);
    const texts = async (options: Partial<ConsumeOptions>): Promise<string[]> =>
      (await all({ stream, buckets, ...options }))[0].map(({ data }) => String(data));
    const second = Array.from({ length: 7 }, (_, n) => `1:${n}`);
    expect(await texts({ peer: String(peers[1]) })).toEqual(second);
    expect(await texts({ peer: peers[1], port: at.port })).toEqual(second);
    expect(await texts({ peer: "127.0.0.1" })).toHaveLength(13);
    expect(await texts({ peer: "::ffff:127.0.0.1" })).toHaveLength(13);
    expect(await texts({ peer: "127.0.0.2" })).toEqual([]);
    expect(await texts({ port: at.port })).toHaveLength(13);
    await expect(texts({ port: at.port === 1 ? 2 : 1 })).rejects.toMatchObject({ code: "EINVAL" });
    const [, reading] = await all({ stream, buckets, peer: String(peers[1]) });
    expect(reading.stats().missing).toBeUndefined();
  });

  test.for([{ bundle: true }, { bundle: true, buckets: 4 }, { buckets: 4 }])(
    "finds a peer without the number of buckets: %o",
    async (gateway, t) => {
      const stream = `found${gateway.buckets ?? 0}${gateway.bundle ?? ""}`;
      const { running, at } = await started(t, { nats: server.url, stream, create: true, ...gateway });
      const [one, other] = [await bound(t), await bound(t)];
      await sendNumbered(running, one, at, 40, "one:");
      await sendNumbered(running, other, at, 40, "other:");
      await until(running, ({ inFlight }) => inFlight === 0);
      const [found] = await all({ stream, peer: String(other.getsockname()) });
      expect(found.map(({ data }) => String(data))).toEqual(
        Array.from({ length: 40 }, (_, n) => `other:${n}`),
      );
    },
  );

  test("warns of a number of buckets that is not that of the gateways", async (t) => {
    const { at } = await storedBy(t, "few", [1], 1);
    const warnings: ConsumeWarning[] = [];
    const options = {
      stream: "few",
      port: at.port,
      onWarning: (each: ConsumeWarning) => warnings.push(each),
    };
    // Bucket 0 of 1 has a datagram of another peer than the one that is looked for, which has bucket 1 of 2 itself.
    const peerOf = (buckets: number, bucket: number): string =>
      Array.from({ length: 200 }, (_, n) => `10.0.0.${n}:9`).find(
        (peer) => bucketOf(peerToken(Address.parse(peer)), buckets) === bucket,
      ) ?? "";
    expect((await all({ ...options, peer: peerOf(2, 1), buckets: 2 }))[0]).toEqual([]);
    const text = `the stream few has no message of datagram.${at.port}.1, and has others of datagram.${at.port}.*: if the gateways do not have 2 buckets, leave the number out`;
    expect(warnings).toEqual([{ code: "STREAM_BUCKETS", message: text }]);
    const nats = await connected(t);
    const set = headers();
    const wrong = peerOf(2, 1);
    for (const [name, value] of [
      ["Source", wrong],
      ["Size", "2"],
    ] as const)
      set.set(`Datagram-${name}`, value);
    await nats.request(`datagram.${at.port}.0`, "hi", { headers: set, timeout: 60_000 });
    await all({ ...options, peer: peerOf(2, 0), buckets: 2, from: { sequence: 2 } });
    expect(warnings.slice(1)).toEqual([
      {
        code: "STREAM_BUCKETS",
        message: `${wrong} is in bucket 0, and with 2 buckets it would be in 1: datagrams of the chosen peer can be in another bucket, so leave the number out`,
      },
    ]);
    await all({ ...options, peer: wrong, buckets: 1 });
    expect(warnings.length).toBe(2);
  });

  test("warns of a start after the end of the stream, and not of one directly after it", async (t) => {
    await storedBy(t, "short", [3]);
    const warnings: ConsumeWarning[] = [];
    const onWarning = (each: ConsumeWarning): void => void warnings.push(each);
    expect((await all({ stream: "short", from: { sequence: 4 }, onWarning }))[0]).toEqual([]);
    expect(warnings).toEqual([]);
    expect((await all({ stream: "short", from: { sequence: 5 }, onWarning }))[0]).toEqual([]);
    const message = "the stream short ends with message number 3: nothing before number 5 is read";
    expect(warnings).toEqual([{ code: "STREAM_ENDS_EARLIER", message }]);
  });

  test("a prefix alone chooses messages too", async (t) => {
    await server.ask("STREAM.CREATE.two", { name: "two", subjects: ["one.*.*", "other.*.*"] });
    for (const prefix of ["one", "other"]) {
      const { running, at } = await started(t, { nats: server.url, stream: "two", prefix });
      await sendNumbered(running, await bound(t), at, 2, prefix);
      await until(running, ({ inFlight }) => inFlight === 0);
    }
    const [found] = await all({ stream: "two", prefix: "other" });
    expect(found.map(({ data }) => String(data))).toEqual(["other0", "other1"]);
    expect((await all({ stream: "two" }))[0].length).toBe(4);
    await expect(all({ stream: "two", prefix: "third" })).rejects.toMatchObject({ code: "EINVAL" });
  });

  test("counts messages that no gateway has written, and returns none of them", async (t) => {
    const { at, peers } = await storedBy(t, "hostile", [1]);
    const nats = await connected(t);
    const peer = String(peers[0]);
    const subject = `datagram.${at.port}.127-0-0-1_${peers[0]?.port}`;
    const good = { Source: peer, Destination: String(at), Interface: "lo", Timestamp: "1", Size: "3" };
    const bad: Record<string, string | string[]>[] = [
      {},
      { ...good, Size: "2" },
      { ...good, Size: "4" },
      { ...good, Size: "-3" },
      { ...good, Size: "3e0" },
      { ...good, Size: "99999999999" },
      { ...good, Size: ["3", "3"] },
      { ...good, Truncated: "true" },
      { ...good, Source: "10.0.0.1:1" },
      { ...good, Source: "example.com:1" },
      { ...good, Source: [peer, peer] },
      { ...good, Destination: "nowhere" },
      { ...good, Destination: "" },
      { ...good, Interface: "a\u00e4" },
      { ...good, Interface: "x".repeat(500) },
      { ...good, Timestamp: "18446744073709551616" },
      { ...good, Timestamp: "-1" },
      { ...good, "Lost-Before": "many" },
      { ...good, Size: "65536" },
      { ...good, Size: "4", Channel: "1" },
      { ...good, Channel: "256" },
      { ...good, Channel: "-1" },
    ];
    for (const fields of bad) {
      const set = headers();
      for (const [name, values] of Object.entries(fields))
        for (const value of [values].flat()) set.append(`Datagram-${name}`, value);
      nats.publish(subject, "abc", { headers: set });
    }
    // A name with a space, which the client cannot read.
    nats.publish(subject, "abc", {
      headers: Object.assign(headers(), {
        encode: () => Buffer.from("NATS/1.0\r\nDatagram Size: 3\r\n\r\n"),
      }),
    });
    nats.publish(subject, "abc");
    const fine = headers();
    for (const [name, value] of Object.entries({ ...good, Interface: "a%20%c3%a4" }))
      fine.append(`Datagram-${name}`, value);
    nats.publish(subject, "abc", { headers: fine });
    await nats.flush();
    const [found, reading] = await all({ stream: "hostile" });
    expect(found.map(({ data }) => String(data))).toEqual(["0:0", "abc"]);
    expect(found[1]).toMatchObject({ interface: "a ä", timestamp: 1n, size: 3 });
    expect(reading.stats()).toMatchObject({ datagrams: 2, foreign: bad.length + 2, missing: 0 });
  });

  test("tells of messages that are deleted", async (t) => {
    await storedBy(t, "deleted", [10]);
    for (const seq of [3, 4, 7, 10]) await server.ask("STREAM.MSG.DELETE.deleted", { seq });
    const [found, reading] = await all({ stream: "deleted" });
    const told = found.filter(({ missingBefore }) => missingBefore !== 0);
    expect(told.map(({ sequence, missingBefore }) => [sequence, missingBefore])).toEqual([
      [5, 2],
      [8, 1],
    ]);
    expect(reading.stats()).toMatchObject({ datagrams: 6, missing: 4 });
    const [rest] = await all({ stream: "deleted", from: { sequence: 3 } });
    expect(rest[0]).toMatchObject({ sequence: 5, missingBefore: 2 });
  });

  test("goes on after the server was killed, without a doubled or lost datagram", async (t) => {
    const own = await NatsServer.start();
    t.onTestFinished(() => own.close());
    const { running, at } = await started(t, {
      nats: own.url,
      stream: "killed",
      create: true,
      ackTimeoutMs: 200,
    });
    const from = await bound(t);
    const states: string[] = [];
    const reading = consume({
      nats: own.url,
      stream: "killed",
      prefetch: 50,
      client: { timeout: 300 },
      onConnection: (state) => states.push(state),
    });
    const texts: string[] = [];
    for (let round = 0; round < 4; round++) {
      await sendNumbered(running, from, at, 300, `${round}:`);
      // In the middle of what is there.
      while (texts.length < 300 * round + 150) texts.push(String((await reading.next()).value?.data));
      if (round === 3) break;
      await own.signal("SIGKILL");
      await own.start();
    }
    while (texts.length < 1200) texts.push(String((await reading.next()).value?.data));
    expect(texts).toEqual(
      [0, 1, 2, 3].flatMap((round) => Array.from({ length: 300 }, (_, n) => `${round}:${n}`)),
    );
    expect(reading.stats()).toMatchObject({ datagrams: 1200, missing: 0, foreign: 0, sequence: 1200 });
    expect(reading.stats().resumed).toBeGreaterThanOrEqual(3);
    expect(states.slice(0, 2)).toEqual(["disconnected", "connected"]);
    await reading.return();
  });

  test("fails if the stream is made again while it is read", async (t) => {
    const { running } = await storedBy(t, "again", [3]);
    await running.close();
    const reading = consume({ nats: server.url, stream: "again" });
    for (let step = 0; step < 3; step++) await reading.next();
    const waiting = reading.next();
    await server.ask("STREAM.DELETE.again");
    await server.ask("STREAM.CREATE.again", { name: "again", subjects: ["again"] });
    await expect(waiting).rejects.toMatchObject({ code: "ESTALE" });
    expect(await reading.next()).toEqual({ done: true, value: undefined });
  });

  test("keeps at most prefetch messages, and leaves no consumer work behind", async (t) => {
    await storedBy(t, "bounded", [500]);
    const reading = consume({ nats: server.url, stream: "bounded", prefetch: 10 });
    await reading.next();
    const delivered = async (): Promise<unknown> => {
      const { consumers } = (await server.ask("CONSUMER.LIST.bounded")) as {
        consumers: { delivered: { consumer_seq: number } }[];
      };
      return consumers[0]?.delivered.consumer_seq;
    };
    await expect.poll(delivered, { timeout: 60_000 }).toBe(10);
    for (let step = 0; step < 4; step++) await reading.next();
    await expect.poll(delivered, { timeout: 60_000 }).toBe(15);
    await reading.return();
  });

  test("keeps at most about 8 MiB of long messages", async (t) => {
    await server.ask("STREAM.CREATE.long", { name: "long", subjects: ["datagram.9003.*"] });
    const nats = await connected(t);
    const set = headers();
    set.set("Datagram-Source", "10.0.0.7:1");
    set.set("Datagram-Size", "60000");
    const count = 600;
    const data = Buffer.alloc(60_000);
    for (let n = 0; n < count; n++) {
      nats.publish("datagram.9003.10-0-0-7_1", data, { headers: set });
      if (n % 50 === 49) await nats.flush();
    }
    await expect
      .poll(async () => (await server.ask("STREAM.INFO.long")).state, { timeout: 60_000 })
      .toMatchObject({ messages: count });
    const reading = consume({ nats: server.url, stream: "long" });
    let ahead = 0;
    for (let taken = 1; taken <= count; taken++) {
      await reading.next();
      if (taken % 20 !== 1) continue;
      const { consumers } = (await server.ask("CONSUMER.LIST.long")) as {
        consumers: { delivered: { consumer_seq: number } }[];
      };
      ahead = Math.max(ahead, (consumers[0]?.delivered.consumer_seq ?? 0) - taken);
    }
    expect(ahead * data.length).toBeLessThan(9 << 20);
    await reading.return();
  });

  test("opens before the first step, or fails there", async (t) => {
    await storedBy(t, "opened", [1]);
    const reading = consume({ nats: server.url, stream: "opened", from: "new" });
    await reading.open();
    await reading.open();
    expect((await server.ask("CONSUMER.LIST.opened")).total).toBe(1);
    await reading.return();
    await reading.open();
    await expect(consume({ nats: server.url, stream: "no" }).open()).rejects.toMatchObject({
      code: "ENOENT",
    });
  });

  test("ends by return and by a signal while it waits, and refuses what is wrong", async (t) => {
    await storedBy(t, "ends", [1]);
    const reading = consume({ nats: server.url, stream: "ends", from: "new" });
    const waiting = reading.next();
    await expect
      .poll(async () => (await server.ask("CONSUMER.LIST.ends")).total, { timeout: 60_000 })
      .toBe(1);
    await reading.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
    const stop = new AbortController();
    const stopped = consume({ nats: server.url, stream: "ends", signal: stop.signal });
    await stopped.next();
    const last = stopped.next();
    const reason = new Error("enough");
    stop.abort(reason);
    await expect(last).rejects.toBe(reason);
    await expect(all({ stream: "missing" })).rejects.toMatchObject({ code: "ENOENT" });
    const none = consume({ nats: "nats://127.0.0.1:9", stream: "x" });
    await expect(none.next()).rejects.toMatchObject({ code: "ECONNREFUSED", syscall: "consume" });
    const wrong = (options: object) => () => consume({ nats: server.url, stream: "ends", ...options });
    expect(wrong({ from: "start" })).toThrow(TypeError);
    expect(wrong({ from: { sequence: 0 } })).toThrow(RangeError);
    expect(wrong({ from: { sequence: 1, time: 1n } })).toThrow(RangeError);
    expect(wrong({ until: "later" })).toThrow(RangeError);
    expect(wrong({ peer: "camera.local:9000" })).toThrow(RangeError);
    expect(wrong({ port: 0 })).toThrow(RangeError);
    expect(wrong({ prefetch: 0 })).toThrow(RangeError);
    expect(wrong({ steam: "ends" })).toThrow("did you mean stream?");
  });
});
