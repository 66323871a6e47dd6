import {
  AF_INET,
  AF_INET6,
  type Datagram,
  type Family,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IP_TOS,
  IP_TTL,
  SOL_SOCKET,
  SO_BROADCAST,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { freshGroup, meet } from "./groups.js";
import { type World, contract, families, mapped, numbered, soon, texts } from "./world.js";

/** Expedited forwarding (RFC 3246), ECT(1). */
const tos = 0xb9;
const ttl = 33;
/** Nanoseconds by which two clocks of one machine may differ after one of them was set. */
const slack = 5_000_000_000n;

/** The calls that receive datagrams. */
const ways: Readonly<Record<string, (from: Socket, count: number) => Promise<Datagram[]>>> = {
  async recvmsg(from, count) {
    const found: Datagram[] = [];
    while (found.length < count) found.push(await from.recvmsg(soon));
    return found;
  },
  async recvMany(from, count) {
    const found: Datagram[] = [];
    while (found.length < count) found.push(...(await from.recvMany(count - found.length, soon)));
    return found;
  },
  async "for await"(from, count) {
    const found: Datagram[] = [];
    from.settimeout(5);
    for await (const datagram of from) if (found.push(datagram) === count) break;
    return found;
  },
};

/** A socket with a TTL and a TOS that are not the default. */
async function marked({ bound }: World, family: Family): Promise<Socket> {
  const s = await bound(family);
  const level = family === AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  s.setsockopt(level, family === AF_INET ? IP_TTL : IPV6_UNICAST_HOPS, ttl);
  s.setsockopt(level, family === AF_INET ? IP_TOS : IPV6_TCLASS, tos);
  return s;
}

/** The metadata of a datagram, without its time. */
function told({ destination, interface: name, ttl, tos, ecn, lostBefore }: Datagram): unknown {
  return { destination: destination && `${destination}`, interface: name, ttl, tos, ecn, lostBefore };
}

function expected(destination: string, { loopback }: World): unknown {
  return { destination, interface: loopback, ttl, tos, ecn: 1, lostBefore: 0 };
}

/** The metadata of a driver that has none. */
const nothing = Object.fromEntries(
  ["destination", "interface", "ttl", "tos", "ecn", "lostBefore"].map((name) => [name, undefined]),
);

for (const [ip, family] of families) {
  for (const [way, receive] of Object.entries(ways)) {
    // semantics: metadata
    contract(
      `each datagram over ${ip} by ${way} has its destination, interface, TTL, TOS and ECN`,
      async (world) => {
        const [sender, receiver] = [await marked(world, family), await world.bound(family)];
        const to = receiver.getsockname();
        await sender.sendto("alone", to);
        expect((await receive(receiver, 1)).map(told)).toEqual([expected(`${to}`, world)]);
        // Equal datagrams may arrive merged.
        await sender.sendMany(Array<string>(200).fill("one of many"), to);
        const found = await receive(receiver, 200);
        expect(found.map(told)).toEqual(Array(200).fill(expected(`${to}`, world)));
      },
      "packetInfo",
    );
  }

  // semantics: metadata-timestamp
  contract(
    `each datagram over ${ip} has the time at which the kernel received it`,
    async ({ bound }) => {
      const [sender, receiver] = [await bound(family), await bound(family)];
      const before = receiver.clock.wall();
      await sender.sendto("first", receiver.getsockname());
      await sender.sendMany(numbered(100, "later"), receiver.getsockname());
      const times = (await ways.recvMany!(receiver, 101)).map(({ timestamp }) => timestamp ?? 0n);
      const after = receiver.clock.wall();
      for (const time of times) {
        expect(time).toBeTypeOf("bigint");
        expect(time).toBeGreaterThanOrEqual(before - slack);
        expect(time).toBeLessThanOrEqual(after + slack);
      }
      expect(times).toEqual([...times].sort((one, other) => Number(one - other)));
      expect(times[100]).toBeGreaterThan(times[0]!);
    },
    "packetInfo",
  );

  // semantics: metadata-off
  contract(
    `with metadata off all of it is undefined over ${ip}, and reply still works`,
    async ({ bound }) => {
      const [client, server] = [await bound(family), await bound(family, { metadata: false })];
      await client.sendMany(["question", "question"], server.getsockname());
      const found = await ways.recvMany!(server, 2);
      expect(found.map(told)).toEqual([nothing, nothing]);
      expect(found.map(({ timestamp }) => timestamp)).toEqual([undefined, undefined]);
      expect(found[0]!.source.equals(client.getsockname())).toBe(true);
      await found[0]!.reply("answer");
      expect(await texts(client, 1)).toEqual(["answer"]);
    },
  );

  // semantics: metadata
  contract(
    `a driver without metadata returns undefined for all of it over ${ip}`,
    async ({ bound }) => {
      const [client, server] = [await bound(family), await bound(family, { metadata: true })];
      await client.sendto("question", server.getsockname());
      const datagram = await server.recvmsg(soon);
      expect([told(datagram), datagram.timestamp]).toEqual([nothing, undefined]);
      await datagram.reply("answer");
      expect(await texts(client, 1)).toEqual(["answer"]);
    },
    "no packetInfo",
  );
}

// semantics: metadata-mapped
contract(
  "an IPv6 socket has all of it for IPv4 datagrams too, with the destination as ::ffff:",
  async (world) => {
    const [sender, receiver] = [await marked(world, AF_INET), world.socket(AF_INET6)];
    await receiver.bind(["", 0]);
    const { port } = receiver.getsockname();
    for (const host of [world.localhost(), world.moreHosts[0]]) {
      await sender.sendMany(Array<string>(50).fill("one of many"), [host, port]);
      const found = await ways.recvMany!(receiver, 50);
      const each = expected(`[${mapped(host)}]:${port}`, world);
      expect(found.map(told)).toEqual(Array(50).fill(each));
      for (const { timestamp } of found) expect(timestamp).toBeTypeOf("bigint");
    }
  },
  "packetInfo",
);

// semantics: metadata-destination
contract(
  "on a socket on every interface the destination is the address that the sender used",
  async (world) => {
    const [sender, receiver] = [await marked(world, AF_INET), world.socket()];
    await receiver.bind(["", 0]);
    const { port } = receiver.getsockname();
    const hosts = [world.localhost(), ...world.moreHosts];
    for (const host of hosts) await sender.sendto("hello", [host, port]);
    const found = await ways.recvMany!(receiver, 3);
    expect(found.map(told)).toEqual(hosts.map((host) => expected(`${host}:${port}`, world)));
  },
  "packetInfo",
);

// semantics: metadata-destination
contract(
  "the destination of a datagram to a multicast group is the group",
  async (world) => {
    const { receiver, sender, group, port } = await meet(world);
    receiver.addMembership(group, world.loopback);
    await sender.sendto("hello", [group, port]);
    const { destination, interface: name, ttl } = await receiver.recvmsg(soon);
    expect([`${destination}`, name, ttl]).toEqual([`${group}:${port}`, world.loopback, 1]);
  },
  "packetInfo",
);

// semantics: metadata-destination
contract(
  "the destination of a datagram to an IPv6 multicast group is the group",
  async (world) => {
    const [receiver, sender] = [world.socket(AF_INET6), world.socket(AF_INET6)];
    await receiver.bind(["", 0]);
    const [group, port] = [freshGroup(receiver), receiver.getsockname().port];
    receiver.addMembership(group);
    await world.needsRoute(sender.sendto("hello", [group, port]));
    const { destination, interface: name } = await receiver.recvmsg(soon);
    expect([destination?.host.split("%")[0], destination?.port]).toEqual([group, port]);
    expect(name).toMatch(/\w/);
  },
  "packetInfo",
);

// semantics: metadata-destination
contract(
  "the destination of a broadcast is the broadcast address",
  async (world) => {
    const [sender, receiver] = [await world.bound(), world.socket()];
    await receiver.bind(["", 0]);
    const { port } = receiver.getsockname();
    sender.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
    await sender.sendto("hello", [world.broadcast, port]);
    const { destination } = await receiver.recvmsg(soon);
    expect(`${destination}`).toBe(`${world.broadcast}:${port}`);
  },
  "packetInfo",
);

// semantics: metadata
contract(
  "a cut datagram has all of it too",
  async (world) => {
    const [sender, receiver] = [await marked(world, AF_INET), await world.bound()];
    const to = receiver.getsockname();
    await sender.sendto("0123456789", to);
    expect(told(await receiver.recvmsg({ bufsize: 4, ...soon }))).toEqual(expected(`${to}`, world));
  },
  "packetInfo",
);

// semantics: metadata
contract(
  "datagrams that arrive together each have their own TTL and TOS",
  async ({ bound }) => {
    const [receiver, senders] = [await bound(), [await bound(), await bound()]];
    const to = receiver.getsockname();
    for (const [index, s] of senders.entries()) s.setsockopt(IPPROTO_IP, IP_TTL, 10 + index);
    for (let round = 0; round < 20; round++) {
      for (const [index, s] of senders.entries()) {
        s.setsockopt(IPPROTO_IP, IP_TOS, 4 * round);
        await s.sendMany([`${index} ${round}`, `${index} ${round}`], to);
      }
    }
    for (const { data, ttl, tos } of await ways.recvMany!(receiver, 80)) {
      const [index, round] = data.toString().split(" ").map(Number);
      expect({ ttl, tos }).toEqual({ ttl: 10 + index!, tos: 4 * round! });
    }
  },
  "packetInfo",
);
