import {
  AF_INET,
  AF_INET6,
  Address,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_IF,
  IPV6_UNICAST_IF,
  IP_MULTICAST_IF,
  IP_UNICAST_IF,
} from "datagram";
import { expect } from "vitest";

import { contract, families, soon, texts } from "../world.js";
import { answer, heardGroups, linkLocalGroup, links, neighbourPort, say } from "./links.js";

for (const [name, family] of families) {
  // semantics: links
  contract(`the neighbour of each link answers over ${name}`, async ({ socket }) => {
    const s = socket(family);
    for (const { mark, neighbour } of links) {
      await s.sendto("ping", neighbour(family));
      const [data, source] = await s.recvfrom(64, soon);
      expect([data.toString(), source.host]).toEqual([`${mark}ping`, neighbour(family).host]);
    }
  });

  // semantics: multicast-interface
  contract(
    `multicast over ${name} leaves through the interface that was set, and through no other`,
    async (world) => {
      for (const { name, mark } of links) {
        const s = world.socket(family);
        if (family === AF_INET) s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, name);
        else s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, name);
        await s.sendto("who?", [heardGroups[family], neighbourPort]);
        expect(await answer(s)).toBe(`${mark}who?`);
        // The answer of the other neighbour would have arrived before this one.
        for (const { neighbour } of links) await s.sendto("end", neighbour(family));
        expect((await texts(s, 2)).sort()).toEqual(["link0 end", "link1 end"]);
      }
    },
  );

  // semantics: group-links
  contract(`a group joined on the second link over ${name} is received from there`, async ({ socket }) => {
    const [, { name, neighbour }] = links;
    const s = socket(family);
    await s.bind(["", 0]);
    const group = new Address(family === AF_INET ? "239.77.8.8" : "ff05::8888", s.getsockname().port);
    s.addMembership(group.host, name);
    await say(s, links[1], group, "hello");
    const { data, source } = await s.recvmsg(soon);
    expect([data.toString(), source.host]).toEqual(["hello", neighbour(family).host]);
  });
}

for (const [name, family] of families) {
  // semantics: option-unicast-interface
  contract(
    `UNICAST_IF over ${name}: unicast leaves through the interface that was set, and multicast is not affected`,
    async ({ socket }) => {
      const [level, option] =
        family === AF_INET ? [IPPROTO_IP, IP_UNICAST_IF] : [IPPROTO_IPV6, IPV6_UNICAST_IF];
      const [one, other] = links;
      const s = socket(family);
      s.setsockopt(level, option, other.name);
      s.setsockopt(level, family === AF_INET ? IP_MULTICAST_IF : IPV6_MULTICAST_IF, one.name);
      await s.sendto("there", other.neighbour(family));
      expect(await answer(s)).toBe(`${other.mark}there`);
      await s.sendto("who?", [heardGroups[family], neighbourPort]);
      expect(await answer(s)).toBe(`${one.mark}who?`);
      // On the other link, no host has the address of this neighbour.
      await s.sendto("lost", one.neighbour(family)).catch(() => undefined);
      s.setsockopt(level, option, "");
      await s.sendto("here", one.neighbour(family));
      expect(await answer(s)).toBe(`${one.mark}here`);
    },
    "allOptions",
  );
}

// semantics: scope
contract(
  "a datagram to a link-local group with a scope leaves through the link of its scope",
  async ({ socket }) => {
    for (const { name, mark } of links) {
      const s = socket(AF_INET6);
      await s.sendto("who?", [`${linkLocalGroup}%${name}`, neighbourPort]);
      expect(await answer(s)).toBe(`${mark}who?`);
    }
  },
);
