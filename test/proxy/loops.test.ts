import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { expect, test } from "vitest";

import { unusedPort } from "../ports.js";
import { answerAll, bound, client, expectAccounted, relayTo, soon, until } from "./network.js";

// semantics: relay-circle
test.for([
  ["127.0.0.1", "127.0.0.1"],
  ["127.0.0.1", "::ffff:127.0.0.1"],
  ["::ffff:127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "127.0.0.1"],
  ["::", "127.0.0.1"],
])(
  "a datagram in a circle of relays on %s and %s goes round once, and is counted",
  async ([one, other], t) => {
    const ports = [unusedPort(), unusedPort()];
    const at = (host: string): string => ({ "0.0.0.0": "127.0.0.1", "::": "::1" })[host] ?? host;
    const first = await relayTo(t, [at(other!), ports[1]!], { listen: [one!, ports[0]!] });
    const second = await relayTo(t, [at(one!), ports[0]!], { listen: [other!, ports[1]!] });
    const s = await bound(t, one === "::" ? "::1" : one === "0.0.0.0" ? "127.0.0.1" : one);
    await s.sendto("round and round", [at(one!), ports[0]!]);
    await until(() => first.stats().up.looped === 1);
    expect(first.stats()).toMatchObject({
      clients: { now: 1 },
      up: { received: { datagrams: 2 }, refused: 0 },
    });
    expect(second.stats()).toMatchObject({ clients: { now: 1 }, up: { received: { datagrams: 1 } } });
    expectAccounted(first);
    expectAccounted(second);
  },
);

test("relays in a row are not a circle", async (t) => {
  const target = await bound(t);
  void answerAll(target);
  let relay = await relayTo(t, target);
  for (let count = 0; count < 4; count++) relay = await relayTo(t, relay.address);
  const c = await client(t, relay);
  await c.send("through five");
  expect((await c.recvmsg(soon)).data.toString()).toMatch(/:through five$/);
});

// semantics: relay-circle-outside
test("a loop through other addresses fills the table of clients up to its limit, and the counts show it", async (t) => {
  // A NAT that leads back here does the same: each flow gets a socket of its own, which the relay cannot recognise.
  const nat = await bound(t);
  const relay = await relayTo(t, nat, { maxClients: 40 });
  const flows: Promise<void>[] = [];
  void (async () => {
    for await (const { data } of nat) {
      const s = socket(AF_INET, SOCK_DGRAM);
      t.onTestFinished(() => s.close());
      flows.push(s.sendto(data, relay.address).then(() => undefined));
    }
  })();
  await (await client(t, relay)).send("round and round");
  await until(() => relay.stats().up.refused === 1);
  await Promise.all(flows);
  expect(relay.stats()).toMatchObject({ clients: { now: 40, ever: 40 }, alikeInRow: 40 });
  expectAccounted(relay);
});

test("clients that send the same first bytes and get answers are not a circle", async (t) => {
  const target = await bound(t);
  void answerAll(target);
  const relay = await relayTo(t, target);
  for (let count = 0; count < 10; count++) {
    const c = await client(t, relay);
    await c.send("hello");
    await c.recvmsg(soon);
  }
  expect(relay.stats().alikeInRow).toBe(1);
});

// semantics: relay-flood
test("a flood of new clients is limited and counted, and existing clients still work", async (t) => {
  const target = await bound(t);
  void answerAll(target);
  const relay = await relayTo(t, target, { maxClients: 8 });
  const c = await client(t, relay);
  await c.send("before");
  await c.recvmsg(soon);
  const many = await Promise.all(Array.from({ length: 100 }, () => client(t, relay)));
  await Promise.all(many.map((each) => each.send("new")));
  await until(() => relay.stats().up.received.datagrams === 101);
  expect(relay.stats()).toMatchObject({ clients: { now: 8, ever: 8 }, up: { refused: 93 } });
  await c.send("after");
  expect((await c.recvmsg(soon)).data.toString()).toMatch(/:after$/);
  expectAccounted(relay);
});
