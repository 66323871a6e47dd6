/** The gateway with a real server of NATS. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { connect } from "@nats-io/transport-node";

import { AF_INET6, socket } from "datagram";
import { type Losses, gateway, peerOfToken } from "datagram/gateway";
import { Cable } from "./cable.js";
import { NatsServer, noServer } from "./nats.js";
import { bound, expectClosed, sendNumbered, started, until } from "./sending.js";

describe.skipIf(noServer !== undefined)(`a gateway${noServer === undefined ? "" : `: ${noServer}`}`, () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  test("stores each datagram once, with its source and its metadata", async (t) => {
    const { running, at } = await started(t, { nats: server.url, stream: "each", create: true });
    const from = await bound(t);
    await sendNumbered(running, from, at, 300);
    await from.sendto("", at);
    await until(running, ({ stored }) => stored === 301);
    await running.close();
    expect(running.stats()).toMatchObject({ received: 301, stored: 301, shed: 0, refused: 0, inFlight: 0 });
    const messages = await server.messages("each");
    expect(messages.map(({ data }) => String(data))).toEqual([
      ...Array.from({ length: 300 }, (_, n) => `${n}`),
      "",
    ]);
    const peer = from.getsockname();
    const [first] = messages;
    expect(first?.subject).toBe(`datagram.${at.port}.127-0-0-1_${peer.port}`);
    const headers = Object.fromEntries(first?.headers ?? []);
    expect(headers).toMatchObject({
      "Datagram-Source": `127.0.0.1:${peer.port}`,
      "Datagram-Destination": `127.0.0.1:${at.port}`,
      "Datagram-Interface": "lo",
      "Datagram-Size": "1",
    });
    expect(headers["Nats-Msg-Id"]).toMatch(new RegExp(`^[\\w-]{12}:127-0-0-1_${peer.port}:1$`));
    expect(BigInt(headers["Datagram-Timestamp"] ?? 0)).toBeGreaterThan(1_700_000_000_000_000_000n);
    expect(new Set(messages.map((each) => each.headers.get("Nats-Msg-Id"))).size).toBe(301);
  });

  test("has one subject for each bucket if buckets are asked for, and the peer in the id", async (t) => {
    const { running, at } = await started(t, {
      nats: server.url,
      stream: "buckets",
      create: true,
      buckets: 2,
      prefix: "site.a",
    });
    const froms = await Promise.all(Array.from({ length: 8 }, () => bound(t)));
    for (const from of froms) await sendNumbered(running, from, at, 1);
    await until(running, ({ stored }) => stored === 8);
    const messages = await server.messages("buckets");
    const subjects = new Set(messages.map(({ subject }) => subject));
    expect([...subjects].every((each) => new RegExp(`^site[.]a[.]${at.port}[.][01]$`).test(each))).toBe(true);
    const peers = messages.map(({ headers }) =>
      String(peerOfToken(headers.get("Nats-Msg-Id")?.split(":")[1] ?? "")),
    );
    expect(peers).toEqual(froms.map((from) => String(from.getsockname())));
  });

  test("stores datagrams that arrive together as one message, each counted, and answers their peers", async (t) => {
    const { running, at } = await started(t, {
      nats: server.url,
      stream: "bundle",
      create: true,
      bundle: true,
      maxUnacknowledged: 300,
    });
    const [from, other] = [await bound(t), await bound(t)];
    await sendNumbered(running, from, at, 500);
    await sendNumbered(running, other, at, 500, "5");
    await until(running, ({ stored }) => stored === 1000);
    expect(running.stats()).toMatchObject({ received: 1000, stored: 1000, shed: 0, refused: 0, inFlight: 0 });
    const messages = await server.messages("bundle");
    expect(messages.length).toBeLessThan(1000);
    const counts = messages.map(({ headers }) => Number(headers.get("Datagram-Bundle")));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1000);
    expect(new Set(messages.map(({ headers }) => headers.get("Nats-Msg-Id"))).size).toBe(messages.length);
    const nats = await connect({ servers: server.url.slice("nats://".length) });
    t.onTestFinished(() => nats.close());
    const subject = `datagram.${at.port}.127-0-0-1_${from.getsockname().port}.reply`;
    const told = await nats.request(subject, "answer", { timeout: 30_000 });
    expect(told.json()).toMatchObject({ sent: true });
    expect(String((await from.recvfrom(100))[0])).toBe("answer");
  });

  test("refuses the datagrams of a bundle one by one in the account", async (t) => {
    const s = await bound(t);
    const subjects = [`datagram.${s.getsockname().port}.*`];
    await server.ask("STREAM.CREATE.fullb", { name: "fullb", subjects, max_msgs: 1, discard: "new" });
    const running = await gateway(s, { nats: server.url, stream: "fullb", bundle: true });
    t.onTestFinished(() => running.close());
    await sendNumbered(running, await bound(t), s.getsockname(), 300);
    await until(running, ({ inFlight }) => inFlight === 0);
    const { stored, refused, refusedBy } = running.stats();
    expect(stored + refused).toBe(300);
    expect(refusedBy).toEqual({ "the stream is full": refused });
    const [message] = await server.messages("fullb");
    expect(message?.headers.get("Datagram-Bundle")).toBe(String(stored));
  });

  test("takes datagrams of IPv6, and the largest ones", async (t) => {
    const s = await bound(t, "::1");
    const running = await gateway(s, { nats: server.url, stream: "six", create: true });
    t.onTestFinished(() => running.close());
    const from = socket(AF_INET6);
    t.onTestFinished(() => from.close());
    await from.sendto(Buffer.alloc(65_000, 0x78), s.getsockname());
    await until(running, ({ stored }) => stored === 1);
    const [message] = await server.messages("six");
    expect(message?.subject).toBe(`datagram.${s.getsockname().port}.--1_${from.getsockname().port}`);
    expect(message?.data.length).toBe(65_000);
  });

  test("counts datagrams that a full stream refuses, and says that it is full", async (t) => {
    const told: Losses[] = [];
    const s = await bound(t);
    const subjects = [`datagram.${s.getsockname().port}.*`];
    await server.ask("STREAM.CREATE.full", { name: "full", subjects, max_msgs: 10, discard: "new" });
    const running = await gateway(s, {
      nats: server.url,
      stream: "full",
      onLosses: (losses) => told.push(losses),
    });
    await sendNumbered(running, await bound(t), s.getsockname(), 25);
    await until(running, ({ inFlight }) => inFlight === 0);
    await running.close();
    const refused = { "the stream is full": 15 };
    expect(running.stats()).toMatchObject({
      received: 25,
      stored: 10,
      shed: 0,
      refused: 15,
      refusedBy: refused,
    });
    expect(told).toEqual([{ shed: 0, peers: [], others: 0, refused }]);
  });

  test("warns of a server that deletes old messages of a stream with a limit of bytes", async (t) => {
    const warnings: string[] = [];
    const listen = (warning: Error & { code?: string }): void => void warnings.push(warning.code ?? "");
    process.on("warning", listen);
    t.onTestFinished(() => void process.off("warning", listen));
    const [s, nats] = [await bound(t), server.url];
    for (const [stream, limit] of [
      ["messages", { max_msgs: 1000 }],
      ["bytes", { max_bytes: 1000 }],
    ] as const) {
      const subjects = [`datagram.${s.getsockname().port}.*`];
      await server.ask(`STREAM.CREATE.${stream}`, { name: stream, subjects, discard: "new", ...limit });
      await (await gateway(s, { nats, stream })).close();
      await server.ask(`STREAM.DELETE.${stream}`);
    }
    const [, minor = 0, patch = 0] = (await server.version()).split(".").map(Number);
    const isFixed = minor > 10 || (minor === 10 && patch >= 5);
    expect(warnings).toEqual(isFixed ? [] : ["STREAM_DELETES_OLD"]);
  });

  test("counts datagrams that no stream takes, and stores again when there is one", async (t) => {
    const options = { nats: server.url, stream: "gone", create: true, giveUpMs: 0, ackTimeoutMs: 100 };
    const { running, at } = await started(t, options);
    const from = await bound(t);
    await server.ask("STREAM.DELETE.gone");
    await sendNumbered(running, from, at, 5);
    await until(running, ({ refused }) => refused === 5);
    expect(running.stats().refusedBy).toEqual({ "no stream takes this subject": 5 });
    await server.ask("STREAM.CREATE.gone", { name: "gone", subjects: [`datagram.${at.port}.*`] });
    await sendNumbered(running, from, at, 5);
    await until(running, ({ stored }) => stored === 5);
    expectClosed(running.stats());
  });

  test("keeps datagrams that no stream takes until giveUpMs have passed", async (t) => {
    const options = { nats: server.url, stream: "later", create: true, giveUpMs: 60_000, ackTimeoutMs: 100 };
    const { running, at } = await started(t, options);
    await server.ask("STREAM.DELETE.later");
    await sendNumbered(running, await bound(t), at, 5);
    await until(running, ({ resent }) => resent > 5);
    await server.ask("STREAM.CREATE.later", { name: "later", subjects: [`datagram.${at.port}.*`] });
    await until(running, ({ stored }) => stored === 5);
    expect(running.stats()).toMatchObject({ received: 5, refused: 0, inFlight: 0 });
  });

  test("does not start without a server, without the stream, and for a stream of other subjects", async (t) => {
    const s = await bound(t);
    await expect(gateway(s, { nats: "nats://127.0.0.1:9", stream: "x" })).rejects.toMatchObject({
      code: "ECONNREFUSED",
    });
    await expect(gateway(s, { nats: server.url, stream: "missing" })).rejects.toMatchObject({
      code: "ENOENT",
      message: expect.stringContaining("there is no stream missing") as string,
    });
    await server.ask("STREAM.CREATE.other", { name: "other", subjects: ["datagram.1.*", "logs.>"] });
    const port = s.getsockname().port;
    await expect(gateway(s, { nats: server.url, stream: "other", create: true })).rejects.toMatchObject({
      code: "EINVAL",
      message: expect.stringContaining(
        `the stream other takes datagram.1.*, logs.>, and the gateway needs datagram.${port}.*`,
      ) as string,
    });
    await expect(gateway(socket(), { nats: server.url, stream: "x" })).rejects.toMatchObject({
      code: "EINVAL",
    });
    // The socket is free for others.
    await expect(s.recvfrom(1, { timeoutMs: 0 })).rejects.toMatchObject({ code: "EAGAIN" });
  });

  test.for(["newest", "oldest"] as const)(
    "sheds a peer that floods while the server hangs, and its %s datagrams",
    async (shed, t) => {
      const stream = `hang-${shed}`;
      const limits = { maxUnacknowledged: 1, maxWaiting: 50, drainMs: 60_000 };
      const told: Losses[] = [];
      const onLosses = (losses: Losses): void => void told.push(losses);
      const options = { nats: server.url, stream, create: true, shed, ...limits, onLosses };
      const { running, at } = await started(t, options);
      const [flood, quiet] = [await bound(t), await bound(t)];
      await server.signal("SIGSTOP");
      t.onTestFinished(() => server.signal("SIGCONT"));
      await sendNumbered(running, flood, at, 400, "flood ");
      await sendNumbered(running, quiet, at, 10, "quiet ");
      expect(running.stats()).toMatchObject({
        received: 410,
        stored: 0,
        shed: 359,
        inFlight: 51,
        waiting: 50,
      });
      await server.signal("SIGCONT");
      await running.close();
      expect(running.stats()).toMatchObject({ received: 410, stored: 51, shed: 359, inFlight: 0 });
      const texts = (await server.messages(stream)).map(({ data }) => String(data));
      expect(texts.filter((text) => text.startsWith("quiet"))).toHaveLength(10);
      const kept =
        shed === "newest" ? ["flood 0", "flood 1", "flood 40"] : ["flood 0", "flood 360", "flood 399"];
      const lost = shed === "newest" ? ["flood 41", "flood 399"] : ["flood 1", "flood 359"];
      expect(texts).toEqual(expect.arrayContaining(kept));
      expect(texts.filter((text) => lost.includes(text))).toEqual([]);
      const peer = String(flood.getsockname());
      expect(told.flatMap(({ peers }) => peers).every((each) => each.peer === peer)).toBe(true);
      expect(told.reduce((sum, each) => sum + each.shed, 0)).toBe(359);
    },
  );

  test("sends again what was not acknowledged when the connection was cut, and stores it once", async (t) => {
    const cable = await Cable.to(t, server.port);
    const states: string[] = [];
    const { running, at } = await started(t, {
      nats: cable.url,
      stream: "cut",
      create: true,
      onConnection: (state) => states.push(state),
    });
    const from = await bound(t);
    await sendNumbered(running, from, at, 200, "a");
    await until(running, ({ stored }) => stored === 200);
    // The server stores them, and their acknowledgements are lost.
    cable.deaf = true;
    await sendNumbered(running, from, at, 200, "b");
    await expect.poll(async () => (await server.messages("cut")).length, { timeout: 60_000 }).toBe(400);
    cable.deaf = false;
    cable.cut();
    await sendNumbered(running, from, at, 200, "c");
    await until(running, ({ stored }) => stored === 600);
    expect(running.stats()).toMatchObject({ received: 600, duplicates: 200, resentLate: 0, inFlight: 0 });
    expect(states).toEqual(["disconnected", "connected"]);
    const texts = (await server.messages("cut")).map(({ data }) => String(data));
    expect(new Set(texts).size).toBe(600);
    expect(texts).toHaveLength(600);
  });

  test("leaves datagrams in flight if it is closed without an answer of the server", async (t) => {
    const cable = await Cable.to(t, server.port);
    const options = { nats: cable.url, stream: "unknown", create: true };
    const { running, at } = await started(t, { ...options, drainMs: 0, maxUnacknowledged: 3 });
    cable.deaf = true;
    await sendNumbered(running, await bound(t), at, 10);
    await running.close();
    expect(running.stats()).toMatchObject({ received: 10, stored: 0, shed: 0, inFlight: 10, waiting: 7 });
  });

  test("ends when its socket is closed", async (t) => {
    const s = await bound(t);
    const running = await gateway(s, { nats: server.url, stream: "ends", create: true });
    await sendNumbered(running, await bound(t), s.getsockname(), 3);
    await s.close();
    await running.closed;
    expect(running.stats()).toMatchObject({ received: 3, stored: 3, inFlight: 0 });
  });
});
