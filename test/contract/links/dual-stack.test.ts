import {
  AF_INET,
  AF_INET6,
  Address,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
} from "datagram";
import { expect } from "vitest";

import { freshGroup } from "../groups.js";
import { contract, mapped, soon, texts } from "../world.js";
import { answer, heardGroups, links, neighbourPort, say } from "./links.js";

for (const option of ["IPV6_MULTICAST_IF", "IP_MULTICAST_IF"] as const) {
  // semantics: dual-stack-ipv6-options
  contract(
    `datagrams from an IPv6 socket to an IPv4 group leave through the link of ${option}`,
    async (world) => {
      for (const { name, mark } of links) {
        const s = world.socket(AF_INET6);
        if (option === "IP_MULTICAST_IF") s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, name);
        else s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, name);
        await s.sendto("who?", [mapped(heardGroups[AF_INET]), neighbourPort]);
        expect(await answer(s)).toBe(`${mark}who?`);
        for (const { neighbour } of links) await s.sendto("end", [mapped(neighbour().host), neighbourPort]);
        expect((await texts(s, 2)).sort()).toEqual(["link0 end", "link1 end"]);
      }
    },
  );
}

// semantics: group-mapped
contract(
  "an IPv6 socket receives an IPv4 group on the link that it joined, and on no other",
  async ({ socket }) => {
    const [other, joined] = links;
    const s = socket(AF_INET6);
    await s.bind(["", 0]);
    const plain = freshGroup(socket(AF_INET));
    s.addMembership(mapped(plain), joined.name);
    const asking = socket(AF_INET);
    const group = new Address(plain, s.getsockname().port);
    await say(asking, other, group, "astray");
    await say(asking, joined, group, "hello");
    const { data, source } = await s.recvmsg(soon);
    expect([data.toString(), source.host]).toEqual(["hello", mapped(joined.neighbour().host)]);
    s.dropMembership(plain, joined.name);
  },
);

// semantics: sendmsg-fields
contract(
  "sendmsg to an IPv4 group leaves through the interface that it names, from an IPv6 socket too",
  async ({ socket }) => {
    const s = socket(AF_INET6);
    for (const { name, mark, own } of links) {
      const address = [mapped(heardGroups[AF_INET]), neighbourPort] as const;
      await s.sendmsg({ data: "who?", address, interface: name });
      expect(await answer(s)).toBe(`${mark}who?`);
      await s.sendmsg({ data: "and now?", address, interface: name, source: mapped(own()), ttl: 3 });
      expect(await answer(s)).toBe(`${mark}and now?`);
    }
  },
  "packetInfo",
);

// semantics: dual-stack-loop
contract(
  "on an IPv6 socket IPV6_MULTICAST_LOOP decides for IPv4 groups, and IP_MULTICAST_LOOP does not",
  async ({ socket }) => {
    const [{ name, own }] = links;
    const [s, ears] = [socket(AF_INET6), socket(AF_INET)];
    await ears.bind(["", 0]);
    const [group, { port }] = [freshGroup(ears), ears.getsockname()];
    ears.addMembership(group, name);
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, name);
    s.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, false);
    await s.sendto("heard", [mapped(group), port]);
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, false);
    await s.sendto("not heard", [mapped(group), port]);
    await s.sendto("marker", [mapped(own()), port]);
    expect(await texts(ears, 2)).toEqual(["heard", "marker"]);
  },
  "allOptions",
);
