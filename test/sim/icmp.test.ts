import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_UNICAST_HOPS,
  IP_TTL,
  type Unreachable,
} from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { chain, failure, fates, heard, icmpOn, packetsOn, pause, textsOf } from "./tools.js";

for (const version of [4, 6] as const) {
  const [family, local, there] =
    version === 4
      ? ([AF_INET, "10.0.0.1", "10.9.0.2"] as const)
      : ([AF_INET6, "fd00::1", "fd00:9::2"] as const);

  test(`over IPv${version}, a closed port is an event that names the host of the ICMP error`, async () => {
    const { network, desk } = chain(version, { latencyMs: 3 }, { latencyMs: 3 });
    await network.run(async () => {
      const s = desk.socket(family);
      const report = new Promise<Unreachable>((resolve) => void s.on("unreachable", resolve));
      await s.sendto("?", [there, 9]);
      const { destination, ...said } = await report;
      expect(said).toEqual({ code: "ECONNREFUSED", kind: "port unreachable", from: there });
      expect([destination?.host, destination?.port, network.clock.now()]).toEqual([there, 9, 12]);
      expect(s.getsockname().port).toBeGreaterThan(0);
      // No error of the socket, since it is not connected.
      expect(await failure(s.recvmsg({ timeoutMs: 10 }))).toMatchObject({ code: "ETIMEDOUT" });
    });
    expect(fates(network)).toEqual({ forwarded: 2, "nobody listens": 1, noted: 1 });
  });

  test(`over IPv${version}, the next call of a connected socket is refused, once`, async () => {
    const { network, desk } = chain(version, {}, {});
    await network.run(async () => {
      const s = desk.socket(family);
      await s.connect([there, 9]);
      expect(s.getsockname().host).toBe(local);
      await s.send("?");
      expect(await failure(s.recv(10))).toMatchObject({ code: "ECONNREFUSED", address: there, port: 9 });
      expect(await failure(s.recv(10, { timeoutMs: 10 }))).toMatchObject({ code: "ETIMEDOUT" });
    });
  });

  test(`over IPv${version}, each router in turn reports that the TTL expired, and then the host answers`, async () => {
    const { network, desk, routers } = chain(version, ...Array.from({ length: 6 }, () => ({ latencyMs: 1 })));
    const trace: unknown[] = [];
    await network.run(async () => {
      const s = desk.socket(family);
      for (let ttl = 1; ttl <= 6; ttl++) {
        const [level, option] = version === 4 ? [IPPROTO_IP, IP_TTL] : [IPPROTO_IPV6, IPV6_UNICAST_HOPS];
        s.setsockopt(level, option, ttl);
        const report = new Promise<Unreachable>((resolve) => void s.once("unreachable", resolve));
        const started = network.clock.now();
        await s.sendto("?", [there, 33_434]);
        const { from, kind } = await report;
        trace.push([from, kind, network.clock.now() - started]);
      }
    });
    const ends = routers.map(({ addresses }) =>
      addresses.find((each) => each.includes(":") === (version === 6)),
    );
    expect(trace).toEqual([
      ...ends.map((from, index) => [from, expect.stringMatching(/exceeded/) as string, 2 * (index + 1)]),
      [there, "port unreachable", 12],
    ]);
    expect(fates(network)).toMatchObject({ "TTL exceeded": 5, "nobody listens": 1, noted: 6 });
  });
}

test("the TTL decreases by one at each router, and a switch does not change it", async () => {
  const network = new Network();
  const [a, b] = [network.host("a", { address: "10.0.0.1" }), network.host("b", { address: "10.1.0.1" })];
  const [s1, r1, s2] = [network.switch("s1"), network.router("r1"), network.switch("s2")];
  for (const [from, to] of [
    [a, s1],
    [s1, r1],
    [r1, s2],
    [s2, b],
  ] as const)
    network.link(from, to);
  await network.run(async () => {
    const [s, r] = [a.socket(), b.socket()];
    await r.bind(["0.0.0.0", 9000]);
    await s.sendto("x", ["10.1.0.1", 9000]);
    expect((await r.recvmsg()).ttl).toBe(63);
  });
});

test("an address without a host is unreachable: a router reports it, or without a router the send fails at once", async () => {
  const { network, desk, routers } = chain(4, {}, {});
  const alone = network.host("alone", { address: "10.5.0.1" });
  const pair = network.host("pair", { address: "10.5.0.2" });
  network.link(alone, pair);
  await network.run(async () => {
    const s = desk.socket();
    const report = new Promise<Unreachable>((resolve) => void s.once("unreachable", resolve));
    await s.sendto("?", ["10.77.0.1", 9000]);
    expect(await report).toMatchObject({ code: "ENETUNREACH", from: routers[0]?.addresses[0] });
    for (const nowhere of ["10.77.0.1", "10.0.0.1"]) {
      expect(await failure(alone.socket().sendto("?", [nowhere, 9000]))).toMatchObject({
        code: "ENETUNREACH",
        address: nowhere,
      });
    }
    expect(await failure(desk.socket(AF_INET6).sendto("?", ["fd00:9::2", 9000]))).toMatchObject({
      code: "ENETUNREACH",
    });
    expect(await failure(desk.socket().sendto("?", ["nobody", 9000]))).toMatchObject({
      code: "ENOTFOUND",
      address: "nobody",
    });
  });
  expect(fates(network, "desk→r1")).toEqual({ "no route": 1 });
});

test("a host beyond a router without a route to it is unreachable, and cut links cause no error", async () => {
  const { network, desk, links, camera } = chain(4, {}, {});
  const island = network.host("island", { address: "10.6.0.1" });
  await network.run(async () => {
    const s = desk.socket();
    const reports: string[] = [];
    s.on("unreachable", ({ code }) => reports.push(code));
    expect(await failure(s.sendto("?", [island.address, 9]))).toMatchObject({ code: "ENETUNREACH" });
    links[1]!.cut();
    await s.sendto("?", [camera.address, 9]);
    await pause(1000);
    expect(reports).toEqual([]);
  });
  expect(fates(network)).toEqual({ forwarded: 1, cut: 1 });
});

test("a host that is down does not answer", async () => {
  const { network, desk, camera } = chain(4, {}, {});
  await network.run(async () => {
    const s = desk.socket();
    const all = heard(s);
    camera.crash();
    s.on("unreachable", () => all.push(undefined as never));
    await s.sendto("?", [camera.address, 9]);
    await pause(60_000);
    expect(textsOf(all)).toEqual([]);
  });
  expect(fates(network)).toEqual({ forwarded: 1, "host is down": 1 });
  expect(icmpOn(network)).toEqual([]);
});

test("no ICMP error is sent about an ICMP error, so that none circulates", async () => {
  const { network, desk } = chain(4, {}, { mtuBytes: 1500 });
  await network.run(async () => {
    const s = desk.socket();
    await s.sendto("?", ["10.9.0.2", 9]);
    await s.close();
    await pause(1000);
  });
  expect(
    packetsOn(network)
      .filter(({ packet }) => packet.content.protocol === "icmp")
      .map(({ fate }) => fate),
  ).toEqual(["forwarded", "nobody asked"]);
});

test("a router has no open port, and answers with port unreachable", async () => {
  const { network, desk, routers } = chain(4, {}, {});
  const address = routers[0]!.addresses[0]!;
  await network.run(async () => {
    const s = desk.socket();
    const report = new Promise<Unreachable>((resolve) => void s.once("unreachable", resolve));
    await s.sendto("?", [address, 9]);
    expect(await report).toMatchObject({ code: "ECONNREFUSED", from: address });
  });
});

test.each([
  ["from a router", 68],
  ["from the host at the end", 1500],
])(
  "an ICMP error %s that is longer than the next link's MTU arrives in fragments",
  async (_, farMtuBytes) => {
    const network = new Network();
    const [near, far] = [
      network.host("near", { address: "10.0.0.1" }),
      network.host("far", { address: "10.0.1.1" }),
    ];
    const router = network.router("router");
    network.link(near, router, { mtuBytes: 296 });
    network.link(router, far, { mtuBytes: farMtuBytes });
    await network.run(async () => {
      const s = near.socket();
      // With its 28 bytes of headers the datagram has exactly the size of the link's MTU. An error that quotes it is larger.
      await s.sendto(Buffer.alloc(268), [far.address, 9000]);
      await network.eventually(() => s.stats().tooBig + (s.stats().unreachable?.ECONNREFUSED ?? 0) === 1);
    });
    const errors = network.trace.packets.filter(
      ({ link, packet }) => link === "router→near" && packet.content.protocol === "icmp",
    );
    expect(errors.map(({ packet }) => packet.offset)).toEqual([0, 272]);
    expect(errors.map(({ fate }) => fate)).toEqual(["reassembled", "noted"]);
  },
);
