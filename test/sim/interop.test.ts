/** The networks of the QUIC interop runner, applied to a link, and the message of a run that fails. */

import { setTimeout as delay } from "node:timers/promises";

import { SOL_SOCKET, SO_BROADCAST } from "datagram";
import { type Host, type Link, Network, type ScenarioName, applyScenario, scenarios } from "datagram/sim";
import { expect, test } from "vitest";

interface World {
  readonly network: Network;
  readonly client: Host;
  readonly server: Host;
  readonly link: Link;
  readonly end: () => void;
}

/** A client behind a NAT. Its link to the server has a scenario. */
function worldOf(name: ScenarioName): World {
  const network = new Network({ seed: 1 });
  const client = network.host("client", { address: "192.168.0.2" });
  const server = network.host("server", { address: "203.0.113.9" });
  const nat = network.router("nat", { address: "203.0.113.1", nat: true });
  network.link(client, nat);
  const link = network.link(nat, server);
  const end = applyScenario(network, link, name, { nat });
  return { network, client, server, link, end };
}

/** Sends a datagram every 500 ms for 13 s. Returns the time and the source of those that arrived. */
function sources({ network, client, server }: World): Promise<{ atMs: number; source: string }[]> {
  return network.run(async () => {
    const receiver = server.socket();
    await receiver.bind(["0.0.0.0", 9000]);
    const came: { atMs: number; source: string }[] = [];
    void (async () => {
      for await (const { data, source } of receiver) {
        came.push({ atMs: Number(data.toString()), source: String(source) });
      }
    })();
    const sender = client.socket();
    for (let atMs = 250; atMs < 13_000; atMs += 500) {
      await delay(atMs - network.clock.now());
      await sender.sendto(String(atMs), ["server", 9000]);
    }
    await delay(2000);
    return came;
  });
}

test("blackhole: datagrams from 5 s to 7 s are dropped, once", async () => {
  const came = await sources(worldOf("blackhole"));
  const times = came.map(({ atMs }) => atMs);
  expect(times).not.toEqual([]);
  expect(times.filter((atMs) => atMs > 5000 && atMs < 7000)).toEqual([]);
  expect(times).toHaveLength(26 - 4);
});

test.each([
  ["rebind-port", 1],
  ["rebind-addr", 4],
] as const)("%s: after 1 s, 6 s and 11 s datagrams arrive from another source", async (name, addresses) => {
  const came = await sources(worldOf(name));
  const sourceAt = (from: number, to: number): string[] =>
    came.filter(({ atMs }) => atMs > from && atMs < to).map(({ source }) => source);
  const spans = [sourceAt(0, 980), sourceAt(1000, 5980), sourceAt(6000, 10_980), sourceAt(11_000, 13_000)];
  for (const span of spans) expect(new Set(span).size, "between two rebindings nothing changes").toBe(1);
  const seen = spans.map(([first = ""]) => first);
  expect(new Set(seen).size).toBe(4);
  expect(new Set(seen.map((source) => source.split(":")[0])).size).toBe(addresses);
});

test("the function that a scenario returns ends its faults", async () => {
  const world = worldOf("rebind-port");
  world.end();
  expect(new Set((await sources(world)).map(({ source }) => source)).size).toBe(1);
});

test.each(Object.keys(scenarios) as ScenarioName[])(
  "%s: the link has the settings of the scenario",
  async (name) => {
    const world = worldOf(name);
    const came = await sources(world);
    expect(came.length).toBeGreaterThan(0);
    const [first] = world.network.trace.packets.filter(
      ({ link, fate }) => link === "nat→server" && fate === "delivered",
    );
    expect((first?.arrivedMs ?? 0) - (first?.sentMs ?? 0)).toBeGreaterThan(scenarios[name].up.latencyMs ?? 0);
  },
);

test("an unknown scenario, and one that rebinds without a NAT, are errors that name the reason", () => {
  const network = new Network();
  const [one, other] = [network.router("one"), network.router("other")];
  const link = network.link(one, other);
  expect(() => applyScenario(network, link, "nope" as ScenarioName)).toThrow(
    /scenario must be one of transfer/,
  );
  expect(() => applyScenario(network, link, "rebind-port")).toThrow(/nat of the scenario rebind-port/);
  expect(() => one.rebind()).toThrow(/a router with a NAT/);
});

test("a run that ends with the reason of AbortSignal.timeout() has the seed in its message", async () => {
  const network = new Network({ seed: 77 });
  const host = network.host("host", { address: "10.0.0.1" });
  const run = network.run(() => host.socket().recvfrom(64, { signal: AbortSignal.timeout(500) }));
  await expect(run).rejects.toThrow(/due to timeout\n.*seed 77/);
});

test("broadcasts that circulate between switches end the run, and the error names the links", async () => {
  const network = new Network();
  const [one, two, three] = [network.switch("one"), network.switch("two"), network.switch("three")];
  network.link(one, two);
  network.link(two, three);
  network.link(three, one);
  const host = network.host("host", { address: "10.0.0.1" });
  network.link(host, one);
  const run = network.run(async () => {
    const s = host.socket();
    s.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
    await s.sendto("x", ["<broadcast>", 9]);
    await delay(1);
  });
  await expect(run).rejects.toThrow(/more than 1000000 things happened.*one→two/);
});
