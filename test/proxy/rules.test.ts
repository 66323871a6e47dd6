import { type ProxyRule, proxy } from "datagram/proxy";
import { type TestContext, expect, test } from "vitest";

import { answerAll, bound, client, expectAccounted, relayTo, soon, take, until } from "./network.js";

/** Sends `payloads` through a relay with some rules. Returns what arrived, and the relay. */
async function through(t: TestContext, rules: readonly ProxyRule[], payloads: readonly string[], more = {}) {
  const target = await bound(t);
  const relay = await relayTo(t, target, { rules, ...more });
  const c = await client(t, relay);
  await c.sendMany(payloads);
  await until(() => relay.stats().up.received.datagrams === payloads.length);
  const arrived = await take(target, payloads.length - relay.stats().up.dropped);
  expectAccounted(relay);
  return { arrived: arrived.map(({ data }) => data.toString()), relay, c, target };
}

const five = ["GET one", "PUT two", "GET three", "ack", "PUT five"];

// semantics: relay-rule
test.for<[string, ProxyRule, readonly string[]]>([
  ["the first two datagrams", { action: "drop", numbers: "1-2" }, ["GET three", "ack", "PUT five"]],
  ["datagrams 3 and 5", { action: "drop", numbers: [3, 5] }, ["GET one", "PUT two", "ack"]],
  ["all datagrams from the second on", { action: "drop", numbers: "2-" }, ["GET one"]],
  [
    "datagrams that start with a text",
    { action: "drop", bytes: "GET", at: 0 },
    ["PUT two", "ack", "PUT five"],
  ],
  [
    "datagrams that contain bytes",
    { action: "drop", bytes: Buffer.from("776f", "hex") },
    ["GET one", "GET three", "ack", "PUT five"],
  ],
  [
    "datagrams with bytes at an offset",
    { action: "drop", bytes: "f", at: 4 },
    ["GET one", "PUT two", "GET three", "ack"],
  ],
  [
    "the second datagram that matches",
    { action: "drop", bytes: "PUT", numbers: "2" },
    ["GET one", "PUT two", "GET three", "ack"],
  ],
  [
    "datagrams that a function selects",
    { action: "drop", when: ({ data }) => data.length === 3 },
    ["GET one", "PUT two", "GET three", "PUT five"],
  ],
  ["no datagram, if it is for the other direction", { action: "drop", direction: "down" }, five],
])("a rule can drop %s", async ([, rule, arrives], t) => {
  const { arrived, relay } = await through(t, [rule], five);
  expect(arrived).toEqual(arrives);
  const lost = five.length - arrives.length;
  expect(relay.stats().up.dropped).toBe(lost);
  expect(relay.stats().rules).toMatchObject([{ up: lost, down: 0 }]);
});

// semantics: relay-rule
test("each direction is counted separately, and a removed rule does nothing more", async (t) => {
  const target = await bound(t);
  void answerAll(target);
  const relay = await relayTo(t, target);
  const rule = relay.addRule({ action: "drop", numbers: "1" });
  const c = await client(t, relay);
  await c.sendMany(["lost", "its answer is lost", "answered"]);
  expect((await c.recvmsg(soon)).data.toString()).toMatch(/:answered$/);
  expect(rule.stats()).toEqual({ rule: "drop numbers=1", up: 1, down: 1, error: undefined });
  const all = relay.addRule({ action: "drop" });
  await c.send("lost");
  await until(() => all.stats().up === 1);
  all.remove();
  all.remove();
  expect(relay.stats().rules.map((each) => each.rule)).toEqual(["drop numbers=1"]);
  await c.send("passes again");
  expect((await c.recvmsg(soon)).data.toString()).toMatch(/:passes again$/);
  expectAccounted(relay);
});

test("a rule can be for one client, in any spelling of its address", async (t) => {
  const target = await bound(t);
  const relay = await relayTo(t, target);
  const [one, other] = [await client(t, relay), await client(t, relay)];
  const { port } = one.getsockname();
  relay.addRule({ action: "drop", client: `[::ffff:127.0.0.1]:${port}` });
  relay.addRule({ action: "drop", client: "127.0.0.2" });
  await one.send("of the one");
  await other.send("of the other");
  expect((await target.recvmsg(soon)).data.toString()).toBe("of the other");
  await until(() => relay.stats().up.dropped === 1);
  expect(relay.stats().rules).toMatchObject([{ up: 1 }, { up: 0 }]);
  const everybody = relay.addRule({ action: "drop", client: "127.0.0.1" });
  await other.send("of the other");
  await until(() => everybody.stats().up === 1);
});

test("a delayed datagram is overtaken by later ones, and the delay is added to that of the link", async (t) => {
  const { arrived, relay } = await through(t, [{ action: { delayMs: 60 }, bytes: "GET" }], five, {
    link: { latencyMs: 5 },
  });
  expect(arrived).toEqual(["PUT two", "ack", "PUT five", "GET one", "GET three"]);
  expect(relay.stats().up.delayed).toBe(2);
});

test("corrupt flips one bit, and does not change the random numbers of the link", async (t) => {
  const link = { lossRatio: 0.3 };
  const payloads = Array.from({ length: 40 }, (_, index) => `payload ${index}`);
  const survivors = async (rules: readonly ProxyRule[]): Promise<readonly string[]> => {
    const target = await bound(t);
    const relay = await relayTo(t, target, { rules, link });
    await (await client(t, relay)).sendMany(payloads);
    await until(() => relay.stats().up.received.datagrams === payloads.length);
    return (await take(target, payloads.length - relay.stats().up.lost)).map(({ data }) =>
      data.toString("latin1"),
    );
  };
  const plain = await survivors([]);
  const changed = await survivors([{ action: "corrupt" }]);
  expect(changed.map((each) => each.length)).toEqual(plain.map((each) => each.length));
  for (const [index, text] of changed.entries()) {
    const bits = Array.from(
      Buffer.from(text, "latin1"),
      (byte, at) => byte ^ plain[index]!.charCodeAt(at),
    ).filter((each) => each > 0);
    expect(bits).toHaveLength(1);
    expect(Math.log2(bits[0]!) % 1).toBe(0);
  }
});

test("rules apply in their order, and a dropped datagram does not reach later rules", async (t) => {
  const rules: ProxyRule[] = [
    { action: "drop", numbers: "1" },
    { action: "drop", numbers: "1" },
  ];
  const { arrived } = await through(t, rules, five);
  expect(arrived).toEqual(five.slice(2));
});

test("an error that a function throws ends its rule only", async (t) => {
  const boom = (): boolean => {
    throw new Error("boom");
  };
  const { arrived, relay } = await through(t, [{ action: "drop", when: boom }], five);
  expect(arrived).toEqual(five);
  expect(relay.stats().rules).toEqual([{ rule: "drop when(…)", up: 0, down: 0, error: "boom" }]);
});

// semantics: relay-bad-rule
test("a rule that is not possible is refused with its place, and so is one rule too many", async (t) => {
  const target = await bound(t);
  const at = target.getsockname();
  await expect(
    proxy({ target: at, rules: [{ action: "drop" }, { action: "lose" as never }] }),
  ).rejects.toThrow(/^rules\[1\]: action must be/);
  await expect(proxy({ target: at, rules: { action: "drop" } as never })).rejects.toThrow(
    /^rules must be an array/,
  );
  const relay = await relayTo(t, target);
  const added = Array.from({ length: 64 }, () => relay.addRule({ action: "corrupt" }));
  expect(() => relay.addRule({ action: "drop" })).toThrow(/^rule must be one of at most 64 at one time/);
  added[0]!.remove();
  relay.addRule({ action: "drop" });
});
