import { Buffer } from "node:buffer";

import { AF_INET, SOCK_DGRAM, type Socket, type Unreachable } from "datagram";
import {
  type Filtering,
  type LinkSettings,
  type NatOptions,
  Network,
  type Packet,
  type UdpDatagram,
} from "datagram/sim";
import { describe, expect, test } from "vitest";

import { Nat } from "../../src/sim/node/nat.js";
import { Random } from "../../src/sim/random.js";
import { bytes, failure, fates, heard, icmpOn, packetsOn, pause, textsOf } from "./tools.js";

const outside = "203.0.113.1";
const server = ["198.51.100.1", 9000] as const;

/** Two hosts at home behind a NAT, and two servers outside, over links with these settings. */
function home(nat: NatOptions | true = true, inner: LinkSettings = {}, outer: LinkSettings = {}) {
  const network = new Network({ seed: 4787 });
  const hosts = ["10.0.0.2", "10.0.0.3"].map((address, index) => network.host(`home${index}`, { address }));
  const [lan, gateway] = [network.switch("lan"), network.router("gateway", { address: outside, nat })];
  const internet = network.router("internet");
  const servers = ["198.51.100.1", "198.51.100.2"].map((address, index) =>
    network.host(`server${index}`, { address }),
  );
  for (const host of hosts) network.link(host, lan, inner);
  const lanLink = network.link(lan, gateway, inner);
  network.link(gateway, internet, outer);
  for (const each of servers) network.link(internet, each);
  return { network, hosts, gateway, servers, lanLink };
}

async function at(host: { socket(): Socket } | undefined, port: number): Promise<Socket> {
  const s = host!.socket();
  await s.bind(["0.0.0.0", port]);
  return s;
}

test("an outgoing datagram has the outside address and a port of the NAT, and the answer arrives", async () => {
  const { network, hosts, servers } = home();
  await network.run(async () => {
    const s = await at(servers[0], 9000);
    const clients = [await at(hosts[0], 5000), await at(hosts[0], 5001), await at(hosts[1], 5000)];
    const ports: number[] = [];
    for (const [index, client] of clients.entries()) {
      await client.sendto(`q${index}`, server);
      const question = await s.recvmsg();
      expect([question.data.toString(), question.source.host]).toEqual([`q${index}`, outside]);
      ports.push(question.source.port);
      await question.reply(`a${index}`);
      const answer = await client.recvmsg();
      expect([answer.data.toString(), ...answer.source]).toEqual([`a${index}`, ...server]);
    }
    expect(new Set(ports).size).toBe(3);
    // A mapping does not depend on the destination (RFC 4787, REQ-1).
    const other = await at(servers[1], 9000);
    await clients[0]?.sendto("again", ["198.51.100.2", 9000]);
    expect((await other.recvmsg()).source.port).toBe(ports[0]);
  });
});

for (const [filtering, address, port] of [
  ["endpoint-independent", true, true],
  ["address-dependent", false, true],
  ["address-and-port-dependent", false, false],
] as const) {
  test(`filtering "${filtering}" lets in ${address ? "every host" : port ? "the same host's other ports" : "the peer only"}`, async () => {
    const { network, hosts, servers } = home({ filtering });
    await network.run(async () => {
      const s = await at(servers[0], 9000);
      const client = hosts[0]!.socket();
      await client.sendto("?", server);
      const { source } = await s.recvmsg();
      const got = heard(client);
      await s.sendto("peer", source);
      await (await at(servers[0], 9001)).sendto("other port", source);
      await (await at(servers[1], 9000)).sendto("other host", source);
      await s.sendto("no mapping", [source.host, source.port ^ 1]);
      await pause(10);
      expect(textsOf(got)).toEqual([
        "peer",
        ...(port ? ["other port"] : []),
        ...(address ? ["other host"] : []),
      ]);
    });
    expect(fates(network, "internet→gateway")).toEqual({
      forwarded: 1 + Number(port) + Number(address),
      "no NAT mapping": 3 - Number(port) - Number(address),
    });
  });
}

test("a mapping lasts as long as there is traffic, and the next one has another port", async () => {
  const { network, hosts, servers } = home({ mappingTimeoutMs: 5000 });
  await network.run(async () => {
    const s = await at(servers[0], 9000);
    const client = hosts[0]!.socket();
    const got = heard(client);
    const ask = async () => {
      await client.sendto("?", server);
      return (await s.recvmsg()).source;
    };
    const first = await ask();
    for (let round = 0; round < 5; round++) {
      await pause(4000);
      expect((await ask()).port).toBe(first.port);
    }
    await pause(4000);
    await s.sendto("from outside", first);
    await pause(4000);
    await s.sendto("still", first);
    await pause(5001);
    await s.sendto("too late", first);
    await pause(10);
    expect(textsOf(got)).toEqual(["from outside", "still"]);
    expect((await ask()).port).not.toBe(first.port);
  });
});

test("after a rebinding the server sees another source, and datagrams to the old one are lost", async () => {
  const { network, hosts, servers, gateway } = home();
  await network.run(async () => {
    const s = await at(servers[0], 9000);
    const client = hosts[0]!.socket();
    const got = heard(client);
    const ask = async () => {
      await client.sendto("?", server);
      return (await s.recvmsg()).source;
    };
    const first = await ask();
    gateway.rebind();
    const second = await ask();
    expect([second.host, second.port === first.port]).toEqual([first.host, false]);
    gateway.rebind("203.0.113.7");
    const third = await ask();
    expect(third.host).toBe("203.0.113.7");
    gateway.rebind("203.0.113.8");
    expect((await ask()).host).toBe("203.0.113.8");
    const [reports, old] = [heard(s), [first, second, third]];
    s.on("unreachable", () => reports.push(undefined as never));
    for (const source of old) await s.sendto("old", source);
    await pause(10);
    expect(got).toEqual([]);
  });
  // Packets to its earlier addresses do not circulate.
  expect(packetsOn(network).length).toBeLessThan(40);
});

test("a rebinding that is not possible is refused", () => {
  const { network, gateway } = home();
  const plain = network.router("plain");
  expect(() => plain.rebind()).toThrow(/^router plain: rebind must be called on a router with a NAT/);
  expect(() => gateway.rebind("198.51.100.1")).toThrow(/server0 has it/);
  for (const bad of ["fd00::1", "x", "224.0.0.1", "203.0.113.255"]) {
    expect(() => gateway.rebind(bad)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  }
  expect(() => gateway.rebind(5 as never)).toThrow(/^router gateway: rebind must be an IP address/);
});

test("inside hosts do not reach each other through the outside address", async () => {
  for (const filtering of ["endpoint-independent", "address-and-port-dependent"] as const) {
    const { network, hosts, servers } = home({ filtering });
    await network.run(async () => {
      const s = await at(servers[0], 9000);
      const client = hosts[0]!.socket();
      await client.sendto("?", server);
      const { source } = await s.recvmsg();
      const got = heard(client);
      await hosts[1]!.socket().sendto("hairpin", source);
      await hosts[1]!.socket().sendto("direct", [hosts[0]!.address, client.getsockname().port]);
      await pause(10);
      expect(textsOf(got)).toEqual(["direct"]);
    });
    expect(fates(network)["no NAT mapping"]).toBe(1);
  }
});

test("no host outside reaches an inside address", async () => {
  const { network, hosts, servers } = home();
  await network.run(async () => {
    const got = heard(await at(hosts[0], 9000));
    await servers[0]!.socket().sendto("?", ["10.0.0.2", 9000]);
    await pause(10);
    expect(got).toEqual([]);
  });
  expect(fates(network, "internet→gateway")).toEqual({ "no NAT mapping": 1 });
});

test("fragments pass a NAT in both directions, and are reassembled in between", async () => {
  const { network, hosts, servers } = home(true, { mtuBytes: 600 }, { mtuBytes: 1000 });
  await network.run(async () => {
    const s = await at(servers[0], 9000);
    const client = hosts[0]!.socket();
    await client.sendto(bytes(1400), server);
    const question = await s.recvmsg();
    expect([question.data.equals(bytes(1400)), question.source.host]).toEqual([true, outside]);
    await question.reply(bytes(3000));
    expect((await client.recvmsg()).data.equals(bytes(3000))).toBe(true);
  });
  expect(fates(network, "lan→gateway")).toEqual({ reassembled: 2, forwarded: 1 });
  expect(packetsOn(network, "gateway→internet").map(({ packet }) => packet.length)).toEqual([976, 432]);
  expect(packetsOn(network, "gateway→lan").map(({ packet }) => packet.length)).toEqual([
    576, 576, 576, 576, 576, 128,
  ]);
});

test("if a fragment is lost before the NAT, the rest times out there after 30 s, and an ICMP error is sent", async () => {
  const { network, hosts, lanLink } = home();
  await network.run(async () => {
    lanLink.drop(({ offset }) => offset > 0);
    await hosts[0]!.socket().sendto(bytes(2000), server);
    await pause(31_000);
  });
  expect(fates(network, "lan→gateway")).toEqual({ "reassembly timed out": 1, "dropped by a rule": 1 });
  expect(icmpOn(network, "gateway→lan")).toEqual([[11, 1, outside]]);
});

describe("ICMP through a NAT", () => {
  test("inside hosts get ICMP errors from outside about their datagrams", async () => {
    const { network, hosts, servers } = home();
    await network.run(async () => {
      const s = await at(hosts[0], 5000);
      await s.connect([servers[0]!.address, 9]);
      await s.send("?");
      expect(await failure(s.recv(10))).toMatchObject({
        code: "ECONNREFUSED",
        address: servers[0]!.address,
        port: 9,
      });
    });
  });

  test("outside hosts get ICMP errors from inside, with the address of the NAT", async () => {
    const { network, hosts, servers } = home();
    await network.run(async () => {
      const s = await at(servers[0], 9000);
      const client = hosts[0]!.socket();
      await client.sendto("?", server);
      const { source } = await s.recvmsg();
      await client.close();
      const report = new Promise<Unreachable>((resolve) => void s.on("unreachable", resolve));
      await s.sendto("anybody?", source);
      const { from, code, destination } = await report;
      expect([from, code, destination?.host, destination?.port]).toEqual([
        outside,
        "ECONNREFUSED",
        ...source,
      ]);
    });
  });

  test("inside hosts are told of a narrow link outside, and outside hosts of one inside", async () => {
    for (const [inner, outer] of [
      [1500, 1000],
      [1000, 1500],
    ] as const) {
      const { network, hosts, servers } = home(true, { mtuBytes: inner }, { mtuBytes: outer });
      await network.run(async () => {
        const s = await at(servers[0], 9000);
        const client = hosts[0]!.socket(AF_INET, SOCK_DGRAM, { dontFragment: true });
        await client.sendto("?", server);
        const { source } = await s.recvmsg();
        const [got, asked] = [heard(client), heard(s)];
        const report = new Promise((resolve) => {
          for (const each of [client, s]) each.on("pathMtu", resolve);
        });
        if (outer === 1000) await client.sendto(bytes(1200), server);
        else await s.sendto(bytes(1200), source);
        if (outer === 1000) {
          await report;
          expect(await failure(client.sendto(bytes(1200), server))).toMatchObject({
            code: "EMSGSIZE",
            limit: 972,
          });
        } else {
          await pause(100);
          await s.sendto(bytes(1200), source);
          await pause(100);
          expect(got.map(({ size }) => size)).toEqual([1200]);
        }
        expect(asked).toEqual([]);
      });
    }
  });

  test("an ICMP error about no known datagram is dropped", async () => {
    const { network, servers } = home();
    await network.run(async () => {
      await servers[0]!.socket().sendto("?", [outside, 4000]);
      await pause(10);
    });
    expect(icmpOn(network)).toEqual([]);
  });
});

describe("an ICMP error from outside", () => {
  /** Whether it reaches the inside, after the inside has sent from 10.0.0.2:5000 to the server. */
  function passes(
    change: (quoted: Packet) => Packet,
    filtering: Filtering = "endpoint-independent",
  ): boolean {
    const parts = { address: outside, inside: [], timeoutNs: 60e9, filtering };
    const nat = new Nat({ now: 1, schedule: () => undefined }, new Random(1, "nat"), parts);
    const sent = nat.translateOut(datagramFrom("10.0.0.2", 5000))!;
    const content = { protocol: "icmp", type: 3, code: 3, mtu: 0, about: change(sent) } as const;
    // From a router that no inside host has sent to: that is allowed.
    const error = { ...sent, source: "192.0.2.99", destination: outside, content };
    const inner = nat.translateIn(error);
    return inner?.destination === "10.0.0.2";
  }
  const quoting = (more: Partial<Packet>, ports: Partial<UdpDatagram> = {}) => {
    return (sent: Packet): Packet => ({
      ...sent,
      ...more,
      content: { ...(sent.content as UdpDatagram), ...ports },
    });
  };

  test.each(["endpoint-independent", "address-dependent", "address-and-port-dependent"] as const)(
    "an error passes only if it quotes a datagram that the inside has sent: filtering %s",
    (filtering) => {
      expect(passes((sent) => sent, filtering)).toBe(true);
      const others: ((sent: Packet) => Packet)[] = [
        // Another destination, another port of it, another source, and a port without a mapping.
        quoting({ destination: "198.51.100.2" }),
        quoting({}, { destinationPort: server[1] + 1 }),
        quoting({ source: "203.0.113.77" }),
        quoting({}, { sourcePort: 1 }),
      ];
      expect(others.map((other) => passes(other, filtering))).toEqual([false, false, false, false]);
    },
  );
});

describe("the peers of a mapping", () => {
  const parts = { address: outside, inside: [], timeoutNs: 60e9 };
  const make = (filtering: Filtering): Nat =>
    new Nat({ now: 1, schedule: () => undefined }, new Random(1, "nat"), { ...parts, filtering });
  /** Sends out to a peer, and returns the packet that the peer sends back. */
  const answerOf = (nat: Nat, destination: string, destinationPort: number): Packet => {
    const sent = datagramFrom("10.0.0.2", 5000);
    const content = { ...(sent.content as UdpDatagram), destinationPort };
    const { sourcePort } = nat.translateOut({ ...sent, destination, content })!.content as UdpDatagram;
    const back = { ...content, sourcePort: destinationPort, destinationPort: sourcePort };
    return { ...sent, source: destination, destination: outside, content: back };
  };

  test("a mapping has at most 1,024 peers: the peer that the inside sent to the longest ago is forgotten first", () => {
    const nat = make("address-and-port-dependent");
    const answers = Array.from({ length: 1024 }, (_, index) => answerOf(nat, "198.51.100.1", 1 + index));
    // The inside sends to the first peer again, so that the second is the oldest.
    answerOf(nat, "198.51.100.1", 1);
    answers.push(answerOf(nat, "198.51.100.2", 9000));
    const passes = answers.map((answer) => nat.translateIn(answer) !== undefined);
    expect(passes.flatMap((passed, index) => (passed ? [] : [index]))).toEqual([1]);
  });

  test("a mapping has at most 1,024 hosts, here of 12,000, and a host is kept as long as one of its ports is", () => {
    const nat = make("address-dependent");
    const host = (index: number): string => `198.51.${index >> 8}.${index & 255}`;
    const answers = Array.from({ length: 12_000 }, (_, index) => answerOf(nat, host(index), 9000));
    const passed = answers.filter((answer) => nat.translateIn(answer) !== undefined);
    expect([passed.length, passed[0]]).toEqual([1024, answers[12_000 - 1024]]);
    const [one, other] = [answerOf(nat, "192.0.2.1", 1), answerOf(nat, "192.0.2.1", 2)];
    for (let index = 0; index < 1023; index++) answerOf(nat, host(index), 9000);
    expect([nat.translateIn(one), nat.translateIn(other)]).not.toContain(undefined);
    answerOf(nat, host(1023), 9000);
    expect(nat.translateIn(other)).toBeUndefined();
  });
});

test("a NAT has at most 64,512 mappings; a new one then has no port until an old one has expired", () => {
  const scheduler = { now: 1, schedule: () => undefined };
  const parts = { address: outside, inside: [], timeoutNs: 60e9, filtering: "endpoint-independent" as const };
  const nat = new Nat(scheduler, new Random(1, "nat"), parts);
  const outward = (index: number): number | undefined => {
    const { content } = nat.translateOut(datagramFrom(`10.0.0.${index >> 15}`, 1 + (index & 32_767))) ?? {};
    return content?.protocol === "udp" ? content.sourcePort : undefined;
  };
  const used = new Set(Array.from({ length: 64_512 }, (_, index) => outward(index)));
  expect([used.size, used.has(undefined), Math.min(...(used as Set<number>))]).toEqual([64_512, false, 1024]);
  expect(outward(64_512)).toBeUndefined();
  scheduler.now += 59e9;
  const kept = outward(5);
  scheduler.now += 2e9;
  expect([outward(64_512) === undefined, outward(5)]).toEqual([false, kept]);
});

function datagramFrom(source: string, sourcePort: number): Packet {
  const payload = Buffer.from("x");
  return {
    number: 1,
    version: 4,
    source,
    destination: server[0],
    ttl: 64,
    tos: 0,
    identification: 1,
    dontFragment: false,
    content: { protocol: "udp", sourcePort, destinationPort: server[1], payload, intact: undefined },
    offset: 0,
    length: 9,
    moreFragments: false,
  };
}
