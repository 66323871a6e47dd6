import dns from "node:dns";

import type { Socket } from "datagram";
import { proxy } from "datagram/proxy";
import { type TestContext, afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { answerAll, bound, client, drain, expectAccounted, relayTo, soon, take, until } from "./network.js";

/** The addresses of names, and how often each was asked for. Only the answers of the name server are simulated. */
const names = new Map<string, readonly string[] | Promise<readonly string[]>>();
const asked: string[] = [];
let serial = 0;

beforeEach(() => {
  asked.length = 0;
  vi.spyOn(dns, "lookup").mockImplementation(((
    host: string,
    { family }: { family: number },
    done: (error: Error | null, list?: { address: string; family: number }[]) => void,
  ) => {
    if (family === 4) asked.push(host);
    void Promise.resolve(names.get(host) ?? []).then((all) => {
      const found = all.filter((each) => each.includes(":") === (family === 6));
      if (found.length > 0)
        done(
          null,
          found.map((address) => ({ address, family })),
        );
      else done(Object.assign(new Error("not found"), { code: "ENOTFOUND" }));
    });
  }) as never);
});

afterEach(() => void vi.restoreAllMocks());

/** A name that no other test uses, so that the resolver has not cached it. */
function named(...addresses: string[]): string {
  const name = `target-${serial++}.example`;
  names.set(name, addresses);
  return name;
}

/** Sockets at one port of several hosts. */
async function atOnePort(t: TestContext, ...hosts: string[]): Promise<[port: number, ...sockets: Socket[]]> {
  const [first = "", ...others] = hosts;
  const s = await bound(t, first);
  const { port } = s.getsockname();
  return [port, s, ...(await Promise.all(others.map((host) => bound(t, host, port))))];
}

async function texts(s: Socket, count: number): Promise<string[]> {
  return (await take(s, count)).map(({ data }) => data.toString());
}

// semantics: address-json
test("the addresses of a relay may have been JSON", async (t) => {
  const target = await bound(t);
  const { host, port } = target.getsockname();
  const relay = await proxy({
    target: { host, port },
    listen: { host, port: 0 },
    rules: [{ client: { host, port: 9 }, action: "drop" }],
  });
  t.onTestFinished(() => relay.close());
  const s = await client(t, relay);
  await s.send("hello");
  expect(await texts(target, 1)).toEqual(["hello"]);
});

describe("a target by its name", () => {
  // semantics: relay-name
  test("a name is looked up for new clients, through the cache of the resolver", async (t) => {
    const [port, one] = await atOnePort(t, "127.0.0.1");
    const name = named("127.0.0.1");
    const relay = await relayTo(t, [name, port]);
    for (let count = 0; count < 5; count++) await (await client(t, relay)).send("x");
    await take(one!, 5);
    expect(asked).toEqual([name]);
    expect(relay.stats().targets).toMatchObject([{ target: `${name}:${port}`, moves: 0, failures: 0 }]);
    expectAccounted(relay);
  });

  test("later clients get the new address of a name, after the resolver has it", async (t) => {
    const [port, one, other] = await atOnePort(t, "127.0.0.1", "127.0.0.2");
    const name = named("127.0.0.1");
    const relay = await relayTo(t, [name, port]);
    const early = await client(t, relay);
    await early.send("early");
    expect(await texts(one!, 1)).toEqual(["early"]);
    names.set(name, ["127.0.0.2"]);
    await forgetting(name);
    await (await client(t, relay)).send("late");
    expect(await texts(other!, 1)).toEqual(["late"]);
    expect(relay.target.host).toBe("127.0.0.2");
    // No error has said that the old target is gone.
    await early.send("still there");
    expect(await texts(one!, 1)).toEqual(["still there"]);
    expect(relay.stats().targets).toMatchObject([{ moves: 1, movedClients: 0 }]);
  });

  // semantics: relay-moves
  test.for([
    ["127.0.0.1", "127.0.0.2"],
    ["127.0.0.1", "::1"],
  ])("after an ICMP error about %s, the clients of a target move to %s", async ([before, after], t) => {
    const [port, one, other] = await atOnePort(t, before!, after!);
    const name = named(before!);
    void answerAll(other!);
    const relay = await relayTo(t, [name, port]);
    const clients = [await client(t, relay), await client(t, relay)];
    for (const c of clients) await c.send("before");
    expect(await texts(one!, 2)).toEqual(["before", "before"]);
    names.set(name, [after!]);
    await one!.close();
    await clients[0]!.send("to nobody");
    await until(() => relay.stats().targets[0]!.movedClients === 2);
    for (const c of clients) {
      await c.send("after");
      expect((await c.recvmsg(soon)).data.toString()).toMatch(/:after$/);
    }
    expect(relay.target.host).toBe(after);
    expect(relay.stats().targets[0]!.lastUnreachable?.host).toBe(before);
    expect(relay.stats()).toMatchObject({
      clients: { now: 2, ever: 2 },
      targets: [{ target: `${name}:${port}`, moves: 1, movedClients: 2, unreachable: { ECONNREFUSED: 1 } }],
      errors: {},
    });
    expectAccounted(relay);
  });

  // semantics: relay-moves
  test("a target that is gone and has no other address keeps its clients, and a flood of ICMP errors causes one lookup", async (t) => {
    const [port, one] = await atOnePort(t, "127.0.0.1");
    const name = named("127.0.0.1");
    const relay = await relayTo(t, [name, port]);
    await one!.close();
    const c = await client(t, relay);
    for (let count = 1; count <= 5; count++) {
      await c.send("to nobody");
      await until(() => (relay.stats().up.unreachable.ECONNREFUSED ?? 0) >= count);
    }
    // At the start, and after the first ICMP error.
    expect(asked).toEqual([name, name]);
    const again = await bound(t, "127.0.0.1", port);
    await c.send("to somebody");
    expect(await texts(again, 1)).toEqual(["to somebody"]);
    expect(relay.stats().targets).toMatchObject([{ moves: 0, movedClients: 0 }]);
  });

  test("if the new address is the relay itself, or there is none, the target keeps its address, and says why", async (t) => {
    const [port, one] = await atOnePort(t, "127.0.0.2");
    const name = named("127.0.0.2");
    const relay = await relayTo(t, [name, port], { listen: ["127.0.0.1", port] });
    names.set(name, ["127.0.0.1"]);
    await forgetting(name);
    await (await client(t, relay)).send("first");
    expect(await texts(one!, 1)).toEqual(["first"]);
    expect(relay.stats().targets).toMatchObject([{ failures: 1, moves: 0 }]);
    expect(relay.stats().targets[0]!.lastError).toMatch(/the target is the proxy itself/);
    names.delete(name);
    await forgetting(name);
    await (await client(t, relay)).send("second");
    expect(await texts(one!, 1)).toEqual(["second"]);
    expect(relay.stats().targets[0]!.lastError).toMatch(/this name has no/);
  });

  test("a slow lookup delays only its new clients, and keeps their order", async (t) => {
    const [port, one] = await atOnePort(t, "127.0.0.1");
    const name = named("127.0.0.1");
    const relay = await relayTo(t, [name, port]);
    const early = await client(t, relay);
    await early.send("early");
    expect(await texts(one!, 1)).toEqual(["early"]);
    let answer!: (addresses: readonly string[]) => void;
    names.set(name, new Promise((resolve) => (answer = resolve)));
    await forgetting(name);
    const late = await client(t, relay);
    await late.sendMany(["1", "2", "3"]);
    await until(() => relay.stats().up.inFlight === 3);
    await early.send("not held up");
    expect(await texts(one!, 1)).toEqual(["not held up"]);
    answer(["127.0.0.1"]);
    expect(await texts(one!, 3)).toEqual(["1", "2", "3"]);
    await until(() => relay.stats().up.inFlight === 0);
    expectAccounted(relay);
  });

  test("a lookup without an answer leaves nothing behind at the end", async (t) => {
    const [port] = await atOnePort(t, "127.0.0.1");
    const name = named("127.0.0.1");
    const relay = await relayTo(t, [name, port]);
    names.set(name, new Promise(() => undefined));
    await forgetting(name);
    await (await client(t, relay)).sendMany(["1", "2"]);
    await until(() => relay.stats().up.inFlight === 2);
    await relay.close();
    expect(relay.stats().up).toMatchObject({ unsent: 2, inFlight: 0 });
    expectAccounted(relay);
  });
});

describe("several targets", () => {
  // semantics: relay-targets
  test("each target gets a copy, and the answers of the first target pass", async (t) => {
    const targets = await Promise.all([bound(t), bound(t, "::1"), bound(t)]);
    const relay = await relayTo(t, targets[0], {
      ...{ target: undefined, targets: targets.map((each) => each.getsockname()) },
    });
    const c = await client(t, relay);
    await c.sendMany(["1", "2"]);
    for (const [index, target] of targets.entries()) {
      for (const request of await take(target, 2))
        await request.reply(`${index}: ${request.data.toString()}`);
    }
    expect(await texts(c, 2)).toEqual(["0: 1", "0: 2"]);
    await until(() => relay.stats().down.ignored === 4);
    expect(await drain(c, 20)).toEqual([]);
    expect(relay.targets.map(String)).toEqual(targets.map((each) => String(each.getsockname())));
    expect(relay.stats().up).toMatchObject({
      received: { datagrams: 2 },
      copied: 4,
      delivered: { datagrams: 6 },
    });
    expectAccounted(relay);
  });

  // semantics: relay-targets
  test("all targets answer if that is asked for", async (t) => {
    const targets = await Promise.all([bound(t), bound(t)]);
    for (const each of targets) void answerAll(each);
    const relay = await relayTo(t, targets[0], {
      ...{ target: undefined, targets: targets.map((each) => each.getsockname()), answers: "all" },
    });
    const c = await client(t, relay);
    await c.send("x");
    const answers = await texts(c, 2);
    expect(answers.every((each) => each.endsWith(":x"))).toBe(true);
    expect(new Set(answers).size).toBe(2);
    expect(relay.stats().down.ignored).toBe(0);
    expectAccounted(relay);
  });

  test("if one target has a closed port, the others get their copies", async (t) => {
    const gone = await bound(t);
    const dead = gone.getsockname();
    await gone.close();
    const alive = await bound(t);
    const relay = await relayTo(t, alive, { ...{ target: undefined, targets: [dead, alive.getsockname()] } });
    const c = await client(t, relay);
    for (let count = 1; count <= 3; count++) {
      await c.send(String(count));
      await until(() => (relay.stats().targets[0]!.unreachable.ECONNREFUSED ?? 0) >= count);
    }
    expect(await texts(alive, 3)).toEqual(["1", "2", "3"]);
    expect(relay.stats().targets[1]!.unreachable).toEqual({});
    expectAccounted(relay);
  });

  test.for<[string, object, RegExp]>([
    ["no target", { targets: [] }, /^targets must be 1 to 16 addresses/],
    [
      "too many targets",
      { targets: Array.from({ length: 17 }, (_, index) => ["127.0.0.1", index + 1]) },
      /^targets must be/,
    ],
    [
      "the option target too",
      { target: ["127.0.0.1", 9], targets: [["127.0.0.1", 9]] },
      /^targets must be left out/,
    ],
    [
      "one target twice",
      {
        targets: [
          ["127.0.0.1", 9],
          ["::ffff:127.0.0.1", 9],
        ],
      },
      /^targets\[1\] must be an address other than targets\[0\]/,
    ],
    ["no array", { targets: "127.0.0.1:9" }, /^targets must be an array/],
    [
      "a group",
      {
        targets: [
          ["127.0.0.1", 9],
          ["239.1.1.1", 9],
        ],
      },
      /^targets\[1\] must be the address of one host/,
    ],
    ["answers of some", { target: ["127.0.0.1", 9], answers: "some" }, /^answers must be first or all/],
  ])("%s: refused", async ([, options, message]) => {
    await expect(proxy(options)).rejects.toThrow(message);
  });
});

/** Makes the resolver's entry for a name too old from now on. */
async function forgetting(name: string): Promise<void> {
  const { forget } = await import("../../src/kernel/resolver.js");
  forget(name);
}
