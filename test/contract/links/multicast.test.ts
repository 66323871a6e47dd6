import {
  AF_INET,
  AF_INET6,
  Address,
  type Family,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_ALL,
  IPV6_MULTICAST_IF,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  SO_REUSEADDR,
  SOL_SOCKET,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { type World, contract, families, texts } from "../world.js";
import { answer, heardGroups, links, neighbourPort, say } from "./links.js";

const [first, second] = links;

/** A socket on every interface, and a group with its port. */
async function receiver({ socket }: World, family: Family): Promise<{ s: Socket; group: Address }> {
  const s = socket(family);
  await s.bind(["", 0]);
  const host = family === AF_INET ? "239.77.9.9" : "ff05::9999";
  return { s, group: new Address(host, s.getsockname().port) };
}

/** Makes both neighbours send to a group, and then to the socket itself. Returns what arrived from the group. */
async function heard(from: Socket, to: Socket, group: Address): Promise<string[]> {
  for (const link of links) await say(from, link, group, link.name);
  for (const { own, neighbour } of links) {
    const end = new Address(own(from.family), to.getsockname().port);
    await from.sendto(`say ${end.host} ${end.port} end`, neighbour(from.family));
  }
  const found: string[] = [];
  for (let ends = 0; ends < 2;) {
    const [text = ""] = await texts(to, 1);
    if (text === "end") ends++;
    else found.push(text);
  }
  return found.sort();
}

for (const [name, family] of families) {
  // semantics: group-links
  contract(
    `a group over ${name} is received from the link on which it was joined, and from no other`,
    async (world) => {
      const { s, group } = await receiver(world, family);
      const control = world.socket(family);
      s.addMembership(group.host, second.name);
      expect(await heard(control, s, group)).toEqual([second.name]);
      s.addMembership(group.host, first.name);
      expect(await heard(control, s, group)).toEqual([first.name, second.name]);
      s.dropMembership(group.host, second.name);
      expect(await heard(control, s, group)).toEqual([first.name]);
    },
  );

  // semantics: group-links
  contract(`a source over ${name} is received on the link on which it was joined`, async (world) => {
    const { s, group } = await receiver(world, family);
    const control = world.socket(family);
    const source = second.neighbour(family).host;
    s.addSourceMembership(source, group.host, second.name);
    expect(await heard(control, s, group)).toEqual([second.name]);
    s.dropSourceMembership(source, group.host, second.name);
    // The link does not lead to this source.
    s.addSourceMembership(source, group.host, first.name);
    expect(await heard(control, s, group)).toEqual([]);
  });

  // semantics: multicast-interface-reset
  contract(
    `the interface through which multicast over ${name} leaves can be reset to the system's choice`,
    async (world) => {
      const s = world.socket(family);
      const [level, option] =
        family === AF_INET ? [IPPROTO_IP, IP_MULTICAST_IF] : [IPPROTO_IPV6, IPV6_MULTICAST_IF];
      const none = family === AF_INET ? "0.0.0.0" : "";
      expect(s.getsockopt(level, option)).toBe(none);
      for (const choice of ["", 0, "0", family === AF_INET ? "0.0.0.0" : "::"]) {
        s.setsockopt(level, option, second.name);
        s.setsockopt(level, option, choice);
        expect(s.getsockopt(level, option)).toBe(none);
        // Over IPv4 this host has no route to groups.
        if (family === AF_INET) continue;
        s.addMembership(heardGroups[family], choice);
        s.dropMembership(heardGroups[family]);
        await s.sendto("who?", [heardGroups[family], neighbourPort]);
        expect(await answer(s)).toBe(`${first.mark}who?`);
      }
    },
  );
}

// semantics: group-links
contract(
  "without IP_MULTICAST_ALL a socket receives a group only on the link on which it joined the group",
  async (world) => {
    const { s, group } = await receiver(world, AF_INET);
    const other = world.socket();
    other.addMembership(group.host, first.name);
    s.addMembership(group.host, second.name);
    expect(await heard(world.socket(), s, group)).toEqual([first.name, second.name]);
    s.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, 0);
    expect(await heard(world.socket(), s, group)).toEqual([second.name]);
  },
  "allOptions",
);

// semantics: group-links
contract(
  "IPV6_MULTICAST_ALL selects groups, not links: a joined group is received from every link on which any socket joined it",
  async (world) => {
    const { s, group } = await receiver(world, AF_INET6);
    const other = world.socket(AF_INET6);
    other.addMembership(group.host, first.name);
    s.addMembership(group.host, second.name);
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
    expect(await heard(world.socket(AF_INET6), s, group)).toEqual([first.name, second.name]);
  },
  "allOptions",
);

// semantics: group-mapped-others
contract("an IPv6 socket receives only the IPv4 groups that it joined itself", async (world) => {
  const s = world.socket(AF_INET6);
  await s.bind(["", 0]);
  const group = new Address("239.77.9.9", s.getsockname().port);
  const control = world.socket();
  world.socket().addMembership(group.host, second.name);
  expect(await heard(control, s, group)).toEqual([]);
  s.addMembership(group.host, second.name);
  expect(await heard(control, s, group)).toEqual([second.name]);
});

// semantics: group
contract("several sockets with SO_REUSEADDR receive one group on one port", async (world) => {
  const { group } = await receiver(world, AF_INET);
  const members = [world.socket(), world.socket()];
  for (const each of members) {
    each.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
    await each.bind([group.host, neighbourPort + 1]);
    each.addMembership(group.host, second.name);
  }
  await say(world.socket(), second, new Address(group.host, neighbourPort + 1), "all of you");
  for (const each of members) expect(await texts(each, 1)).toEqual(["all of you"]);
});

// semantics: group-connected
contract(
  "a connected socket does not receive the groups that it joined, not even from its peer",
  async (world) => {
    const { s, group } = await receiver(world, AF_INET);
    s.addMembership(group.host, second.name);
    await s.connect(second.neighbour());
    await say(world.socket(), second, group, "from the peer");
    await s.send("ping");
    expect(await texts(s, 1)).toEqual([`${second.mark}ping`]);
  },
);
