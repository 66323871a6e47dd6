/** Answers to peers through the gateway, with a real server of NATS. */

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import { type NatsConnection, connect } from "@nats-io/transport-node";

import { Address, SOL_SOCKET, SO_REUSEPORT, type Socket, socket } from "datagram";
import { type AnswerResult, type Gateway, type GatewayOptions, gateway, peerToken } from "datagram/gateway";
import { pythonPeer } from "../cli/program.js";
import { Cable } from "./cable.js";
import { NatsServer, noServer } from "./nats.js";
import { bound, until } from "./sending.js";

describe.skipIf(noServer !== undefined)(`answers${noServer === undefined ? "" : `: ${noServer}`}`, () => {
  let server: NatsServer;
  let nats: NatsConnection;
  let streams = 0;
  beforeAll(async () => {
    server = await NatsServer.start();
    nats = await connect({ servers: server.url.slice("nats://".length) });
  });
  afterAll(async () => {
    await nats.close();
    await server.close();
  });

  /** A gateway with a stream of its own. */
  async function start(
    t: TestContext,
    options: Partial<GatewayOptions> = {},
    s?: Socket,
  ): Promise<{ readonly running: Gateway; readonly at: Address }> {
    const receiver = s ?? (await bound(t));
    const stream = `answers${++streams}`;
    const running = await gateway(receiver, { nats: server.url, stream, create: true, ...options });
    t.onTestFinished(() => running.close());
    return { running, at: receiver.getsockname() };
  }

  /** Publishes an answer, and returns what the gateway said about it. */
  async function answer(
    { port }: { readonly port: number },
    peer: string,
    data: string | Uint8Array,
    timeoutMs = 30_000,
  ): Promise<AnswerResult> {
    return (await nats.request(`datagram.${port}.${peer}.reply`, data, { timeout: timeoutMs })).json();
  }

  /** Lets the gateway see a socket. */
  async function greet(running: Gateway, from: Socket, at: Address): Promise<string> {
    const { received } = running.stats();
    await from.sendto("hello", at);
    await until(running, (stats) => stats.received > received);
    return peerToken(from.getsockname());
  }

  test("go to the peer from the address that it sent to, and the requester is told", async (t) => {
    const s = socket();
    t.onTestFinished(() => s.close());
    await s.bind(["0.0.0.0", 0]);
    const { running } = await start(t, {}, s);
    const { port } = s.getsockname();
    const device = await pythonPeer(
      t,
      `s.sendto(b"hello", ("127.0.0.2", ${port}))
data, source = s.recvfrom(2000)
say(data, source[0], source[1])`,
      "127.0.0.1",
    );
    await until(running, ({ stored }) => stored === 1);
    const told = await answer({ port }, `127-0-0-1_${device.port}`, "reset");
    expect(told).toEqual({
      sent: true,
      bytes: 5,
      peer: `127.0.0.1:${device.port}`,
      source: `127.0.0.2:${port}`,
      icmp: null,
    });
    expect(await device.line()).toBe(`b'reset' 127.0.0.2 ${port}`);
    expect(running.stats().answers).toMatchObject({ requests: 1, sent: 1, notSent: 0, pending: 0, peers: 1 });
  });

  test("of any size arrive, an empty one too, and one that is too long is refused with the limit", async (t) => {
    const { running, at } = await start(t);
    const device = await bound(t);
    const peer = await greet(running, device, at);
    for (const bytes of [0, 1, 65_507]) {
      expect(await answer(at, peer, new Uint8Array(bytes))).toMatchObject({ sent: true, bytes });
      expect((await device.recvfrom(70_000))[0]).toHaveLength(bytes);
    }
    for (const bytes of [65_508, 65_528, 900_000])
      expect(await answer(at, peer, new Uint8Array(bytes))).toMatchObject({ sent: false, code: "EMSGSIZE" });
    expect(running.stats().answers).toMatchObject({ sent: 3, notSent: 3, notSentBy: { EMSGSIZE: 3 } });
  });

  test("are taken as soon as the gateway runs, over a slow connection to the server too", async (t) => {
    const cable = await Cable.to(t, server.port);
    cable.delayMs = 200;
    const { at } = await start(t, { nats: cable.url });
    const nobody = peerToken((await bound(t)).getsockname());
    expect(await answer(at, nobody, "x")).toMatchObject({ sent: false, code: "ENOENT" });
  });

  test("to a closed port are told with the ICMP error", async (t) => {
    const { running, at } = await start(t, { answers: { icmpWaitMs: 10_000 } });
    const device = await bound(t);
    const peer = await greet(running, device, at);
    await device.close();
    expect(await answer(at, peer, "gone")).toMatchObject({
      sent: true,
      icmp: { code: "ECONNREFUSED", kind: "port unreachable", from: "127.0.0.1" },
    });
    expect(running.stats().answers).toMatchObject({ sent: 1, unreachable: 1 });
  });

  test("go to peers over IPv4 and IPv6 from one socket, and each gets its own ICMP error", async (t) => {
    const s = await bound(t, "::");
    const { running } = await start(t, { answers: { icmpWaitMs: 10_000 } }, s);
    const { port } = s.getsockname();
    for (const [host, other] of [
      ["127.0.0.1", "127.0.0.9"],
      ["::1", "::1"],
    ] as const) {
      const device = await bound(t, host);
      const peer = await greet(running, device, new Address(other, port));
      const sending = answer({ port }, peer, "hi");
      const [data, source] = await device.recvfrom(100);
      expect([String(data), String(source)]).toEqual(["hi", String(new Address(other, port))]);
      await device.close();
      const from = host === "::1" ? host : `::ffff:${host}`;
      // The wait for ICMP errors of the first answer ends with the error of the second one.
      const all = await Promise.all([sending, answer({ port }, peer, "gone")]);
      expect(all.map(({ sent, icmp }) => ({ sent, icmp }))).toEqual(
        all.map(() => ({ sent: true, icmp: { code: "ECONNREFUSED", kind: "port unreachable", from } })),
      );
    }
  });

  test("go on after the server was away", async (t) => {
    const { running, at } = await start(t);
    const device = await bound(t);
    const peer = await greet(running, device, at);
    await server.signal("SIGKILL");
    await server.start();
    await expect
      .poll(() => answer(at, peer, "back", 1000).catch(String), { timeout: 60_000 })
      .toMatchObject({ sent: true });
    expect(String((await device.recvfrom(100))[0])).toBe("back");
  });

  test("go to nobody who has not sent something within the time", async (t) => {
    const { running, at } = await start(t, { answers: { seenWithinMs: 1, icmpWaitMs: 0 } });
    const [device, stranger] = [await bound(t), await bound(t)];
    const late = await greet(running, device, at);
    await until(running, ({ stored }) => stored === 1);
    for (const peer of [late, peerToken(stranger.getsockname())])
      await expect
        .poll(() => answer(at, peer, "relayed"), { timeout: 60_000 })
        .toEqual({
          sent: false,
          code: "ENOENT",
          error: "no gateway has seen this peer in the last 0.001 s",
        });
    for (const other of ["localhost_9", "127-0-0-1_99999", "x", "gateways", "127-0-0-1"])
      expect(await answer(at, other, "relayed")).toMatchObject({ sent: false, code: "EINVAL" });
    await stranger.sendto("first", stranger.getsockname());
    expect(String((await stranger.recvfrom(100))[0])).toBe("first");
  });

  test("forget the least recently seen peers first when there are too many", async (t) => {
    const { running, at } = await start(t, { answers: { maxPeers: 3, icmpWaitMs: 0 } });
    const devices = await Promise.all(Array.from({ length: 5 }, () => bound(t)));
    const peers: string[] = [];
    for (const device of devices) peers.push(await greet(running, device, at));
    const told = await Promise.all(peers.map((peer) => answer(at, peer, "who")));
    expect(told.map(({ sent }) => sent)).toEqual([false, false, true, true, true]);
    expect(running.stats().answers).toMatchObject({ peers: 3, forgotten: 2 });
  });

  test("above the limit at once are refused, and the account closes", async (t) => {
    const { running, at } = await start(t, { answers: { maxPending: 10, icmpWaitMs: 500 } });
    const device = await bound(t);
    const peer = await greet(running, device, at);
    const told = await Promise.all(Array.from({ length: 200 }, (_, n) => answer(at, peer, `${n}`)));
    const [sent, refused] = [true, false].map((each) => told.filter((result) => result.sent === each));
    expect(sent?.length).toBeGreaterThanOrEqual(10);
    expect(refused?.length).toBe(200 - (sent?.length ?? 0));
    expect(refused?.every(({ code }) => code === "EBUSY")).toBe(true);
    expect(running.stats().answers).toMatchObject({
      requests: 200,
      sent: sent?.length,
      notSent: refused?.length,
      pending: 0,
    });
  });

  test("are not stored by the stream, need no reply subject, and tell nothing to subjects of the server", async (t) => {
    const { running, at } = await start(t, { buckets: 4, stream: "bucketed" });
    const device = await bound(t);
    const peer = await greet(running, device, at);
    nats.publish(`datagram.${at.port}.${peer}.reply`, "silent");
    expect(String((await device.recvfrom(100))[0])).toBe("silent");
    // A requester could have the gateway delete the stream.
    const { answers: before } = running.stats();
    nats.publish(`datagram.${at.port}.${peer}.reply`, "evil", { reply: "$JS.API.STREAM.DELETE.bucketed" });
    const replies = [
      `datagram.${at.port}.${peer}.reply`,
      "datagram.9.9-9-9-9_9",
      "datagram.9.9-9-9-9_9.reply",
    ];
    for (const reply of replies) nats.publish(`datagram.${at.port}.${peer}.reply`, "loop", { reply });
    await until(running, ({ answers }) => answers?.notSent === (before?.notSent ?? 0) + 4);
    await device.sendto("stored", at);
    await until(running, ({ stored }) => stored === 2);
    expect((await server.messages("bucketed")).map(({ data }) => String(data))).toEqual(["hello", "stored"]);
  });

  test("are refused at the start if the stream would store them", async (t) => {
    const s = await bound(t);
    const wide = { nats: server.url, stream: "wide", create: { subjects: ["other.>"] } };
    await expect(gateway(s, { ...wide, prefix: "other" })).rejects.toMatchObject({
      code: "EINVAL",
      message: expect.stringContaining("takes other.>, which includes answers") as string,
    });
    // A part of them is enough.
    const start = `part.${s.getsockname().port}`;
    const part = { ...wide, stream: "part", create: { subjects: [`${start}.*`, `${start}.127-0-0-1_9.>`] } };
    await expect(gateway(s, { ...part, prefix: "part" })).rejects.toMatchObject({ code: "EINVAL" });
  });

  test("are switched off, and then nobody listens to their subjects", async (t) => {
    const { running, at } = await start(t, { answers: false });
    const device = await bound(t);
    const peer = await greet(running, device, at);
    await expect(answer(at, peer, "off")).rejects.toThrow(/no responders/);
    expect(running.stats().answers).toBeUndefined();
  });

  describe("with several gateways of one port", () => {
    /** Gateways whose sockets share a port. The kernel chooses the socket by the address of the peer. */
    async function share(t: TestContext, count: number): Promise<{ gateways: Gateway[]; at: Address }> {
      const gateways: Gateway[] = [];
      let at: Address | undefined;
      for (let index = 0; index < count; index++) {
        const s = socket();
        t.onTestFinished(() => s.close());
        s.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
        await s.bind(at ?? ["127.0.0.1", 0]);
        at ??= s.getsockname();
        gateways.push((await start(t, { stream: `shared${at.port}` }, s)).running);
      }
      return { gateways, at: at! };
    }

    /** Lets some gateway see a new socket. */
    async function device(
      t: TestContext,
      gateways: readonly Gateway[],
      at: Address,
    ): Promise<{ readonly socket: Socket; readonly peer: string; readonly by: Gateway }> {
      const s = await bound(t);
      const before = gateways.map((each) => each.stats().received);
      await s.sendto("hello", at);
      let by: Gateway | undefined;
      await expect
        .poll(() => (by = gateways.find((each, index) => each.stats().received > (before[index] ?? 0))), {
          timeout: 60_000,
        })
        .toBeDefined();
      return { socket: s, peer: peerToken(s.getsockname()), by: by! };
    }

    /** Devices until each gateway has seen one. */
    async function oneOfEach(
      t: TestContext,
      gateways: readonly Gateway[],
      at: Address,
    ): Promise<Awaited<ReturnType<typeof device>>[]> {
      const found = new Map<Gateway, Awaited<ReturnType<typeof device>>>();
      while (found.size < gateways.length) {
        const next = await device(t, gateways, at);
        found.set(next.by, next);
      }
      return gateways.map((each) => found.get(each)!);
    }

    test("each answer is sent once, whichever gateway was asked", async (t) => {
      const { gateways, at } = await share(t, 3);
      const devices = await oneOfEach(t, gateways, at);
      const all = Array.from({ length: 60 }, (_, n) => ({ to: devices[n % 3]!, text: `${n}` }));
      const told = await Promise.all(
        all.map(async ({ to, text }) => {
          for (;;) {
            const result = await answer(at, to.peer, text);
            // On a slow machine, the gateways may not know each other yet, or say too late what they have seen.
            if (result.sent !== false) return result;
          }
        }),
      );
      expect(told).toEqual(
        told.map(() => expect.objectContaining({ sent: true, source: String(at) }) as unknown),
      );
      for (const { socket: s } of devices) {
        const got = (await s.recvMany(100)).map(({ data }) => Number(data));
        while (got.length < 20) got.push(...(await s.recvMany(100)).map(({ data }) => Number(data)));
        expect(new Set(got).size).toBe(20);
        expect(got).toHaveLength(20);
      }
      const counts = gateways.map((each) => each.stats().answers!);
      expect(counts.reduce((sum, { sent }) => sum + sent, 0)).toBe(60);
      expect(counts.reduce((sum, { byOthers }) => sum + byOthers, 0)).toBeGreaterThan(0);
      const stranger = peerToken((await bound(t)).getsockname());
      expect(await answer(at, stranger, "x")).toMatchObject({ sent: false, code: "ENOENT" });
    });

    test("the gateway that saw the peer last sends it", async (t) => {
      // Two addresses of one host: the device moves from one gateway to the other, as with routers that share the load.
      const [first, second] = [await bound(t, "127.0.0.3"), socket()];
      t.onTestFinished(() => second.close());
      const { port } = first.getsockname();
      await second.bind(["127.0.0.4", port]);
      const one = await start(t, { stream: "moves" }, first);
      const two = await start(t, { stream: "moves" }, second);
      const s = await bound(t);
      for (const { running, at } of [one, two, one, two, two, one]) {
        const peer = await greet(running, s, at);
        for (let times = 0; times < 4; times++) {
          expect(await answer({ port }, peer, `${times}`)).toMatchObject({ sent: true, source: String(at) });
          const [data, source] = await s.recvfrom(100);
          expect([String(data), String(source)]).toEqual([`${times}`, String(at)]);
        }
      }
    });

    test("gateways that die do not keep an answer from the next one, and one that hangs is told as unknown", async (t) => {
      const { running, at } = await start(t, { answers: { icmpWaitMs: 0 } });
      const device = await bound(t);
      const peer = await greet(running, device, at);
      const base = `datagram.${at.port}.gateways`;
      const say = (message: object): void => nats.publish(`${base}.all`, JSON.stringify(message));
      // Both greet. One says nothing to questions: it hangs. The server says that the other one is not there: it was killed.
      const hanging = nats.subscribe(`${base}.hangs_hangs_.ask`, { callback: () => undefined });
      for (const run of ["killed-killed", "killedkilled", "hangs_hangs_"])
        say({ type: "hello", run, isNew: true });
      await nats.flush();
      expect(await answer(at, peer, "1")).toMatchObject({ sent: true });
      say({ type: "hello", run: "hangs_hangs_" });
      await nats.flush();
      const stranger = peerToken((await bound(t)).getsockname());
      expect(await answer(at, stranger, "x")).toMatchObject({ sent: false, code: "ETIMEDOUT" });
      hanging.unsubscribe();
      // Another one says that it saw the peer just now.
      const liar = "liar_liar-li";
      const bids = nats.subscribe(`${base}.${liar}.ask`, {
        callback: (_, message) => void message.respond("0"),
      });
      t.onTestFinished(() => bids.unsubscribe());
      // It is forgotten 3.5 s after its last greeting, so it greets before each answer.
      const greetAsLiar = async (): Promise<void> => {
        say({ type: "hello", run: liar });
        await nats.flush();
      };
      await greetAsLiar();
      // It dies before it is told to send: the server says that nobody is there.
      expect(await answer(at, peer, "2")).toMatchObject({ sent: true });
      // It hangs.
      let results: string[] = [];
      const orders = nats.subscribe(`${base}.${liar}.send.*`, {
        callback: (_, { reply = "" }) => results.forEach((result) => nats.publish(reply, result)),
      });
      t.onTestFinished(() => orders.unsubscribe());
      await greetAsLiar();
      expect(await answer(at, peer, "3")).toMatchObject({ sent: null, code: "ETIMEDOUT" });
      // It says something else than a result first.
      results = ["[", "{}", '{"sent":false,"code":"x\r\ny"}', '{"sent":false,"code":"EPERM"}'];
      await greetAsLiar();
      expect(await answer(at, peer, "4")).toEqual({ sent: false, code: "EPERM" });
      expect((await device.recvMany(10)).map(({ data }) => String(data))).toEqual(["1", "2"]);
      expect(running.stats().answers).toMatchObject({
        sent: 2,
        unknown: 1,
        notSentBy: { EPERM: 1, ETIMEDOUT: 1 },
      });
    });

    test("a gateway that has ended is asked no more, and the one that saw the peer before it sends", async (t) => {
      const [first, second] = [await bound(t, "127.0.0.5"), socket()];
      t.onTestFinished(() => second.close());
      const { port } = first.getsockname();
      await second.bind(["127.0.0.6", port]);
      const one = await start(t, { stream: "ends" }, first);
      const two = await start(t, { stream: "ends" }, second);
      const s = await bound(t);
      await greet(one.running, s, one.at);
      const peer = await greet(two.running, s, two.at);
      // On a slow machine, a gateway may say too late what it has seen.
      const answered = (text: string) => expect.poll(() => answer({ port }, peer, text), { timeout: 60_000 });
      await answered("x").toMatchObject({ source: String(two.at) });
      await two.running.close();
      await answered("y").toMatchObject({ source: String(one.at) });
      await one.running.close();
      await expect(answer({ port }, peer, "z")).rejects.toThrow(/no responders/);
    });
  });
});
