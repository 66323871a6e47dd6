import {
  AF_INET,
  AF_INET6,
  Address,
  type AddressLike,
  type Family,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IP_MULTICAST_IF,
  IP_MULTICAST_TTL,
  SO_RCVBUF,
  SOL_SOCKET,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { type World, contract, families, mapped, numbered, texts } from "../world.js";
import { type LinkEnd, heardGroups, links, neighbourPort, say } from "./links.js";

const [first, second] = links;

/** The address at which `to` receives datagrams to this host on a link, over a family. */
function at(to: Socket, link: LinkEnd, family: Family): Address {
  return new Address(link.own(family), to.getsockname().port);
}

/** A socket that sends requests to the neighbours, and the datagrams of this host. */
async function control({ socket }: World, family: Family): Promise<Socket> {
  const s = socket(family);
  await s.bind(["", 0]);
  return s;
}

/** Makes both neighbours and this host send to `to`. Returns what arrived. */
async function everybody(world: World, to: Socket, family: Family): Promise<string[]> {
  const from = await control(world, family);
  for (const link of links) await say(from, link, at(to, link, family), link.name);
  await from.sendto("loopback", [world.localhost(family), to.getsockname().port]);
  return (await texts(to, 3)).sort();
}

const all = [first.name, second.name, "loopback"].sort();

/** The warnings of a socket. */
function warnings(s: Socket): string[] {
  const heard: string[] = [];
  s.on("warning", ({ code }) => heard.push(code));
  return heard;
}

const peers: readonly (readonly [
  name: string,
  family: Family,
  peer: AddressLike,
  over: readonly Family[],
])[] = [
  ["a neighbour over IPv4", AF_INET, first.neighbour(AF_INET), [AF_INET]],
  ["a neighbour over IPv6", AF_INET6, first.neighbour(AF_INET6), [AF_INET6, AF_INET]],
  ["an IPv4 group", AF_INET, [heardGroups[AF_INET], neighbourPort], [AF_INET]],
  ["an IPv6 group", AF_INET6, [heardGroups[AF_INET6], neighbourPort], [AF_INET6, AF_INET]],
  [
    "a neighbour over IPv4 from an IPv6 socket",
    AF_INET6,
    [mapped(first.neighbour(AF_INET).host), neighbourPort],
    [AF_INET6, AF_INET],
  ],
];

for (const [index, [name, family, peer, over]] of peers.entries()) {
  // semantics: dissolve
  contract(
    `a socket that was connected to ${name} and is dissolved receives from all hosts`,
    async (world) => {
      // A port that the program chose stays. A port that the system chose is released (udp_disconnect).
      for (const port of [7300 + index, 0]) {
        const s = world.socket(family);
        const warned = warnings(s);
        if (family === AF_INET) s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, first.name);
        else s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, first.name);
        await s.bind(["", port]);
        const before = String(s.getsockname());
        await s.connect(peer);
        await s.connect(null);
        expect(String(s.getsockname())).toBe(before);
        for (const each of over) expect(await everybody(world, s, each)).toEqual(all);
        expect(warned).toEqual([]);
        await s.close();
      }
    },
  );
}

for (const [name, family] of families) {
  // semantics: dissolve-earlier
  contract(
    `datagrams that waited on a socket over ${name} when it was dissolved are delivered`,
    async (world) => {
      const [from, s] = [await control(world, family), world.socket(family)];
      await s.bind(["", 7310]);
      await s.connect(first.neighbour(family));
      const sent = numbered(100);
      for (const text of sent) await say(from, first, at(s, first, family), text);
      await say(from, first, at(from, first, family), "end");
      expect(await texts(from, 1)).toEqual(["end"]);
      await s.connect(null);
      expect(await texts(s, sent.length)).toEqual(sent);
      expect(await everybody(world, s, family)).toEqual(all);
      expect(s.stats().received.datagrams).toBe(sent.length + all.length);
    },
  );

  // semantics: dissolve-earlier
  contract(`datagrams that waited on a dissolved socket over ${name} may be read later`, async (world) => {
    const [from, s] = [await control(world, family), world.socket(family)];
    await s.bind(["", 7311]);
    for (const link of links) {
      await s.connect(link.neighbour(family));
      await say(from, link, at(s, link, family), link.name);
      await say(from, link, at(from, link, family), "end");
      expect(await texts(from, 1)).toEqual(["end"]);
      await s.connect(null);
    }
    expect(await texts(s, 2)).toEqual([first.name, second.name]);
    const waiting = texts(s, 1);
    await s.connect(first.neighbour(family));
    await s.connect(null);
    await say(from, second, at(s, second, family), "to who waited");
    expect(await waiting).toEqual(["to who waited"]);
  });

  // semantics: dissolve
  contract(`options and groups over ${name} stay when the peer is dissolved`, async (world) => {
    const [from, s] = [await control(world, family), world.socket(family)];
    const [level, option] =
      family === AF_INET ? [IPPROTO_IP, IP_MULTICAST_TTL] : [IPPROTO_IPV6, IPV6_MULTICAST_HOPS];
    s.setsockopt(level, option, 3);
    s.setsockopt(level, family === AF_INET ? IP_MULTICAST_IF : IPV6_MULTICAST_IF, second.name);
    s.setsockopt(SOL_SOCKET, SO_RCVBUF, 100_000);
    await s.bind(["", 7312]);
    const buffer = s.getsockopt(SOL_SOCKET, SO_RCVBUF);
    const group = new Address(family === AF_INET ? "239.77.10.10" : "ff05::1010", 7312);
    const left = new Address(family === AF_INET ? "239.77.10.11" : "ff05::1011", 7312);
    const chosen = new Address(family === AF_INET ? "239.77.10.12" : "ff05::1012", 7312);
    s.addMembership(group.host, second.name);
    s.addMembership(left.host, first.name);
    s.dropMembership(left.host, first.name);
    s.addSourceMembership(first.neighbour(family).host, chosen.host, first.name);
    s.addSourceMembership(first.own(family), chosen.host, first.name);
    await s.connect(first.neighbour(family));
    await s.connect(null);
    expect(s.getsockopt(level, option)).toBe(3);
    expect(s.getsockopt(SOL_SOCKET, SO_RCVBUF)).toBe(buffer);
    await s.sendto("who?", [heardGroups[family], neighbourPort]);
    expect(await texts(s, 1)).toEqual([`${second.mark}who?`]);
    for (const to of [left, group, chosen])
      for (const link of links) await say(from, link, to, `${to.host} ${link.name}`);
    for (const link of links) await say(from, link, at(s, link, family), "end");
    const heard = (await texts(s, 4)).filter((text) => text !== "end");
    expect(heard.sort()).toEqual([`${group.host} ${second.name}`, `${chosen.host} ${first.name}`].sort());
  });

  // semantics: connect-filter
  contract(
    `a socket over ${name} that is connected to another neighbour receives from that neighbour only`,
    async (world) => {
      const [from, s] = [await control(world, family), world.socket(family)];
      await s.bind(["", 7313]);
      await s.connect(first.neighbour(family));
      await s.connect(second.neighbour(family));
      for (const link of links) await say(from, link, at(s, link, family), link.name);
      await say(from, first, at(from, first, family), "end");
      expect(await texts(from, 1)).toEqual(["end"]);
      expect(await texts(s, 1)).toEqual([second.name]);
      await s.connect(null);
      expect(await everybody(world, s, family)).toEqual(all);
    },
  );
}

// semantics: dissolve
contract(
  "sources that were blocked stay blocked on an IPv6 socket that is dissolved",
  async (world) => {
    const [from, s] = [await control(world, AF_INET6), world.socket(AF_INET6)];
    await s.bind(["", 7314]);
    const group = new Address("ff05::1313", 7314);
    for (const { name } of links) s.addMembership(group.host, name);
    s.blockSource(second.neighbour(AF_INET6).host, group.host, second.name);
    await s.connect(second.neighbour(AF_INET6));
    await s.connect(null);
    for (const link of links) await say(from, link, group, link.name);
    for (const link of links) await say(from, link, at(s, link, AF_INET6), "end");
    expect((await texts(s, 3)).sort()).toEqual([first.name, "end", "end"].sort());
  },
  "blockSource",
);
