import { readdirSync } from "node:fs";
import { networkInterfaces } from "node:os";

import { type Address, Address as At } from "datagram";
import { proxy } from "datagram/proxy";
import { describe, expect, test } from "vitest";

import { answerAll, bound, client, drain, expectAccounted, relayTo, soon, take, until } from "./network.js";

describe("without faults", () => {
  test.for(["127.0.0.1", "::1"])("over %s, every size passes unchanged, both ways", async (host, t) => {
    const target = await bound(t, host);
    const relay = await relayTo(t, target, { listen: [host, 0] });
    const c = await client(t, relay);
    for (const size of [0, 1, 64, 1472, 1473, 9000, 65_507]) {
      const payload = Buffer.from(Array.from({ length: size }, (_, index) => (index * 7 + size) % 251));
      await c.send(payload);
      const request = await target.recvmsg(soon);
      expect(request.data.equals(payload)).toBe(true);
      const answer = Buffer.from(payload).reverse();
      await request.reply(answer);
      expect((await c.recvmsg(soon)).data.equals(answer)).toBe(true);
    }
    expect(relay.stats()).toMatchObject({
      up: { received: { datagrams: 7 }, delivered: { datagrams: 7 } },
      down: { received: { datagrams: 7 }, delivered: { datagrams: 7 } },
      clients: { now: 1, ever: 1, expired: 0 },
      errors: {},
    });
  });

  test("each of many clients gets the answers to its own datagrams, in their order", async (t) => {
    const target = await bound(t);
    void answerAll(target);
    const relay = await relayTo(t, target);
    const clients = await Promise.all(Array.from({ length: 50 }, () => client(t, relay)));
    await Promise.all(clients.map((c, who) => c.sendMany([0, 1, 2, 3].map((n) => `${who}.${n}`))));
    const ports = await Promise.all(
      clients.map(async (c, who) => {
        const answers = (await take(c, 4)).map(({ data }) => data.toString().split(":"));
        expect(answers.map(([, text]) => text)).toEqual([0, 1, 2, 3].map((n) => `${who}.${n}`));
        return new Set(answers.map(([port]) => port));
      }),
    );
    // The relay uses a socket of its own towards the target for each client.
    expect(ports.every(({ size }) => size === 1)).toBe(true);
    expect(new Set(ports.flatMap((each) => [...each])).size).toBe(50);
    expect(relay.stats().clients).toEqual({ now: 50, ever: 50, expired: 0 });
    expectAccounted(relay);
  });

  test("clients over IPv6 reach a target over IPv4", async (t) => {
    const target = await bound(t);
    void answerAll(target);
    const c = await client(t, await relayTo(t, target, { listen: ["::1", 0] }));
    await c.send("six to four");
    expect((await c.recvmsg(soon)).data.toString()).toMatch(/^\d+:six to four$/);
  });

  test("the target can be a name", async (t) => {
    const target = await bound(t);
    void answerAll(target);
    const relay = await relayTo(t, ["localhost", target.getsockname().port]);
    expect(relay.target.equals(target.getsockname())).toBe(true);
    const c = await client(t, relay);
    await c.send("by name");
    expect((await c.recvmsg(soon)).data.toString()).toMatch(/:by name$/);
  });

  test.for([
    ["0.0.0.0", "127.0.0.9"],
    ["::", "::1"],
  ])("listening on %s, an answer comes from the address that the client sent to", async ([any, asked], t) => {
    const target = await bound(t);
    void answerAll(target);
    const relay = await relayTo(t, target, { listen: [any!, 0] });
    const s = await bound(t, asked === "::1" ? "::1" : "127.0.0.1");
    t.skip(!s.capabilities.packetInfo.available, "this driver does not know where a datagram came to");
    // A connected socket receives from its peer only.
    await s.connect([asked!, relay.address.port]);
    await s.send("x");
    expect((await s.recvmsg(soon)).data.toString()).toMatch(/:x$/);
  });

  test("a datagram of a stranger to a client's socket for the target is not passed on", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target);
    const c = await client(t, relay);
    await c.send("hello");
    const { source } = await target.recvmsg(soon);
    await (await bound(t)).sendto("injected", source);
    await target.sendto("answer", source);
    expect((await c.recvmsg(soon)).data.toString()).toBe("answer");
    expect(await drain(c)).toEqual([]);
    expect(relay.stats().down.received.datagrams).toBe(1);
  });
});

describe("clients", () => {
  test("clients above the limit are refused and counted, until another client was idle for long enough", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { maxClients: 2, idleMs: 400 });
    const [one, two, three] = await Promise.all([client(t, relay), client(t, relay), client(t, relay)]);
    await one.send("one");
    await two.send("two");
    await take(target, 2);
    await three.send("three");
    await until(() => relay.stats().up.refused === 1);
    expect(relay.stats().clients).toMatchObject({ now: 2, ever: 2 });
    await until(() => relay.stats().clients.now === 0);
    await three.send("again");
    expect((await target.recvmsg(soon)).data.toString()).toBe("again");
    expect(relay.stats().clients).toMatchObject({ now: 1, ever: 3, expired: 2 });
    // The counts of sockets that are closed are kept.
    expect(relay.stats().up.delivered.datagrams).toBe(3);
    expectAccounted(relay);
  });

  test("clients that expire come back as new clients, for the target too", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { idleMs: 200 });
    const c = await client(t, relay);
    await c.send("first");
    const first = await target.recvmsg(soon);
    await until(() => relay.stats().clients.expired === 1);
    await c.send("second");
    const second = await target.recvmsg(soon);
    await second.reply("to the second");
    await first.reply("to nobody");
    expect((await drain(c)).map(({ data }) => data.toString())).toEqual(["to the second"]);
  });

  test("clients do not expire while one of their datagrams is in flight", async (t) => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { idleMs: 10, link: { latencyMs: 200 } });
    await (await client(t, relay)).send("slow");
    expect((await target.recvmsg(soon)).data.toString()).toBe("slow");
    await until(() => relay.stats().clients.expired === 1);
  });

  test("clients of a closed target port show in the counts, and get answers after a socket opens there", async (t) => {
    const before = await bound(t);
    const { port } = before.getsockname();
    await before.close();
    const relay = await relayTo(t, ["127.0.0.1", port]);
    const c = await client(t, relay);
    await c.send("to nobody");
    await until(() => (relay.stats().up.unreachable.ECONNREFUSED ?? 0) > 0);
    const target = await bound(t, "127.0.0.1", port);
    await c.send("to somebody");
    expect((await target.recvmsg(soon)).data.toString()).toBe("to somebody");
    expect(relay.stats().errors).toEqual({});
  });
});

describe("the end", () => {
  test("an ICMP error that is reported when its client is closed is counted, and no uncaught exception", async (t) => {
    const before = await bound(t);
    const { port } = before.getsockname();
    await before.close();
    let reported = 0;
    // The report comes between two turns of the event loop, so each relay is closed a little later than the one before.
    for (let turns = 0; turns < 60; turns++) {
      const relay = await relayTo(t, ["127.0.0.1", port]);
      await (await client(t, relay)).send("to nobody");
      for (let turn = 0; turn < turns / 4; turn++) await new Promise((done) => setImmediate(done));
      await relay.close();
      await new Promise((done) => setImmediate(done));
      reported += relay.stats().up.unreachable.ECONNREFUSED ?? 0;
    }
    expect(reported).toBeGreaterThan(0);
  });

  test("close() closes every socket and frees the port, and datagrams in flight are counted", async (t) => {
    const target = await bound(t);
    const descriptors = (): number => readdirSync("/proc/self/fd").length;
    const relay = await relayTo(t, target, { link: { up: {}, down: { latencyMs: 60_000 } } });
    const clients = await Promise.all(Array.from({ length: 20 }, () => client(t, relay)));
    const before = descriptors();
    await Promise.all(clients.map((c) => c.send("x")));
    for (const datagram of await take(target, 20)) await datagram.reply("never");
    await until(() => relay.stats().down.inFlight === 20);
    expect(descriptors()).toBeGreaterThanOrEqual(before + 20);
    await relay.close();
    await relay[Symbol.asyncDispose]();
    expect(descriptors()).toBeLessThan(before);
    expect(relay.stats()).toMatchObject({
      up: { delivered: { datagrams: 20 } },
      down: { received: { datagrams: 20 }, delivered: { datagrams: 0 }, unsent: 20, inFlight: 0 },
      clients: { now: 0, ever: 20, expired: 0 },
      errors: {},
    });
    expectAccounted(relay);
    await bound(t, "127.0.0.1", relay.address.port);
  });
});

describe("what the relay refuses", () => {
  // semantics: address-equality, relay-itself
  test.for([
    ["127.0.0.1", "127.0.0.1"],
    ["0.0.0.0", "127.0.0.1"],
    ["0.0.0.0", "localhost"],
    ["::1", "::1"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["127.0.0.1", "::ffff:127.0.0.1"],
    ["127.0.0.1", "0.0.0.0"],
    ["::1", "::"],
    ["::1", "0::1"],
    ["0.0.0.0", "127.8.9.1"],
    ["0.0.0.0", "::ffff:127.0.0.1"],
    ["::", "127.0.0.9"],
    ["::", "::ffff:127.0.0.9"],
    ["::ffff:0.0.0.0", "127.0.0.1"],
  ])("a relay on %s with itself as its target, as %s, is refused", async ([listen, target], t) => {
    const free = await bound(t, listen);
    const { port } = free.getsockname();
    await free.close();
    const options = { listen: new At(listen!, port), target: new At(target!, port) };
    await expect(proxy(options)).rejects.toMatchObject({ code: "EINVAL", syscall: "proxy", port });
    // The relay has released the port.
    await bound(t, listen, port);
  });

  // semantics: relay-itself
  test("a relay to itself by any address of this host is refused", async (t) => {
    const free = await bound(t, "::");
    const { port } = free.getsockname();
    await free.close();
    const hosts = Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
      all.map(({ address, scopeid }) => (scopeid ? `${address}%${name}` : address)),
    );
    for (const host of hosts) {
      await expect(proxy({ listen: ["::", port], target: [host, port] }), host).rejects.toMatchObject({
        code: "EINVAL",
        syscall: "proxy",
      });
    }
  });

  test("another socket with the same port number, on another host or of the other family, is allowed", async (t) => {
    const target = await bound(t, "::1");
    const { port } = target.getsockname();
    const relay = await relayTo(t, ["::1", port], { listen: ["127.0.0.1", port] });
    await relayTo(t, ["127.0.0.3", port], { listen: ["127.0.0.2", port] });
    await (await client(t, relay)).send("to the other family");
    expect((await target.recvmsg(soon)).data.toString()).toBe("to the other family");
  });

  test("a taken port, a name without an address, and an address of another host are refused", async (t) => {
    const taken = (await bound(t)).getsockname();
    const target: Address = new At("127.0.0.1", 9);
    await expect(proxy({ target, listen: taken })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(proxy({ target: ["no-such-host.invalid", 9] })).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) as string,
    });
    await expect(proxy({ target, listen: ["192.0.2.1", 0] })).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
    });
  });

  test.for<[string, unknown, RegExp]>([
    ["no options", undefined, /^options must be/],
    ["no target", {}, /^target: address must be/],
    ["no address to listen at", { target: ["127.0.0.1", 9], listen: 9000 }, /^listen: address must be/],
    [
      "a setting of a link that is not in one",
      { target: ["127.0.0.1", 9], lossRatio: 0.1 },
      /^options: a field must be one of target, listen, link,.* not "lossRatio"/,
    ],
    ["a group as a target", { target: ["239.1.1.1", 9] }, /^target must be the address of one host/],
    ["everybody as a target", { target: ["255.255.255.255", 9] }, /^target must be the address of one host/],
    ["port 0 as a target", { target: ["127.0.0.1", 0] }, /^target must be/],
    ["a seed below 0", { target: ["127.0.0.1", 9], seed: -1 }, /^seed must be/],
    ["no clients", { target: ["127.0.0.1", 9], maxClients: 0 }, /^maxClients must be/],
    ["an idle time of 0", { target: ["127.0.0.1", 9], idleMs: 0 }, /^idleMs must be/],
    ["nothing in flight", { target: ["127.0.0.1", 9], maxInFlight: 0 }, /^maxInFlight must be/],
    ["few bytes in flight", { target: ["127.0.0.1", 9], maxInFlightBytes: 1 }, /^maxInFlightBytes must be/],
    ["a ratio above 1", { target: ["127.0.0.1", 9], link: { lossRatio: 1.5 } }, /^link: lossRatio must be/],
    [
      "an unknown profile",
      { target: ["127.0.0.1", 9], link: { up: "dialup" } },
      /^link, up: profile must be one of lan/,
    ],
    [
      "an MTU that IPv6 does not have",
      { target: ["::1", 9], listen: ["::1", 0], link: { mtuBytes: 1279 } },
      /^link, up: mtuBytes must be 1280 or more/,
    ],
  ])("proxy() refuses %s", async ([, options, message]) => {
    const error = await proxy(options as Parameters<typeof proxy>[0]).catch((reason: unknown) => reason);
    expect((error as Error).message).toMatch(message);
    expect((error as { code?: string }).code).toMatch(/^ERR_(OUT_OF_RANGE|INVALID_ARG_TYPE)$/);
  });
});
