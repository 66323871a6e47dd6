import {
  AF_INET,
  AF_INET6,
  Address,
  IPPROTO_IPV6,
  IPV6_MULTICAST_IF,
  SOL_SOCKET,
  SO_REUSEADDR,
  type Socket,
} from "datagram";
import { probePathMtu } from "datagram/message";
import { expect } from "vitest";

import { contract, failure, soon, texts } from "../world.js";
import { answer, heardGroups, type LinkEnd, linkLocalGroup, links, neighbourPort } from "./links.js";

const group = heardGroups[AF_INET6];

/** The group that both neighbours have joined, through one link. */
function groupBy({ name }: LinkEnd): Address {
  return new Address(`${group}%${name}`, neighbourPort);
}

/** The address of a link's neighbour, with the scope of this link or of the other one. */
function neighbourBy(link: LinkEnd, { name }: LinkEnd): Address {
  return new Address(`${link.neighbour(AF_INET6).host}%${name}`, neighbourPort);
}

/** The answers of the neighbours that were reached, in the order of their links. All datagrams have been sent. */
async function reached(s: Socket, datagrams: number): Promise<string[]> {
  return (await texts(s, datagrams)).sort();
}

// semantics: scope
contract(
  "a datagram to a group with a scope that is not link-local leaves through the link of its scope",
  async ({ socket }) => {
    for (const link of links) {
      const s = socket(AF_INET6);
      await s.sendto("who?", groupBy(link));
      expect(await answer(s)).toBe(`${link.mark}who?`);
      // Even if an option of the socket names another interface.
      for (const { name } of links) {
        s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, name);
        await s.sendto(name, groupBy(link));
        expect(await answer(s)).toBe(`${link.mark}${name}`);
      }
      for (const { neighbour } of links) await s.sendto("end", neighbour(AF_INET6));
      expect(await reached(s, 2)).toEqual(["link0 end", "link1 end"]);
    }
  },
  "packetInfo",
);

// semantics: scope
contract(
  "a datagram to an IPv4 group with a scope, from an IPv6 socket, leaves through the link of its scope",
  async ({ socket }) => {
    const s = socket(AF_INET6);
    for (const link of links) {
      await s.sendto("who?", [`::ffff:${heardGroups[AF_INET]}%${link.name}`, neighbourPort]);
      expect(await answer(s)).toBe(`${link.mark}who?`);
    }
  },
  "packetInfo",
);

// semantics: scope
contract(
  "two datagrams to one group with two scopes, in one batch, leave through their own links",
  async ({ socket }) => {
    const s = socket(AF_INET6);
    const [first, second] = links.map(groupBy) as [Address, Address];
    const items = Array.from({ length: 40 }, (_, index) => ({
      data: "x",
      address: index % 2 === 0 ? first : second,
    }));
    await s.sendMany(items);
    await s.sendMany(["y", "y"], second);
    await Promise.all([first, second, first].map((to) => s.sendto("z", to)));
    const counts: Record<string, number> = {};
    for (const text of await texts(s, 45)) counts[text] = (counts[text] ?? 0) + 1;
    expect(counts).toEqual({ "link0 x": 20, "link1 x": 20, "link1 y": 2, "link0 z": 2, "link1 z": 1 });
  },
  "packetInfo",
);

// semantics: scope-conflict
contract(
  "sendmsg to a scope may name the same interface, by name or number, and a TTL",
  async ({ socket }) => {
    for (const link of links) {
      const s = socket(AF_INET6);
      for (const at of [link.name, undefined]) {
        await s.sendmsg({ data: "hello", address: groupBy(link), interface: at, ttl: 7 });
        expect(await answer(s)).toBe(`${link.mark}hello`);
      }
    }
  },
  "packetInfo",
);

// semantics: scope-conflict
contract(
  "an interface that is not the scope of the address is EINVAL, and the error names both",
  async ({ socket }) => {
    const [{ name: one }, { name: other }] = links;
    const s = socket(AF_INET6);
    for (const host of [group, linkLocalGroup, links[0].neighbour(AF_INET6).host]) {
      const refused = await failure(
        s.sendmsg({ data: "x", address: [`${host}%${one}`, neighbourPort], interface: other }),
      );
      expect(refused).toMatchObject({ code: "EINVAL", address: `${host}%${one}` });
      expect(refused.message).toContain(`names the interface ${one}`);
      expect(refused.message).toContain(other);
    }
    expect(s.stats().sent.datagrams).toBe(0);
  },
  "packetInfo",
);

// semantics: scope
contract(
  "a datagram to a unicast address with a scope leaves through that link",
  async ({ socket }) => {
    const s = socket(AF_INET6);
    for (const link of links) {
      await s.sendto("hello", neighbourBy(link, link));
      expect(await answer(s)).toBe(`${link.mark}hello`);
    }
    const [first, second] = links;
    // The other link has no route to the neighbour.
    const astray = neighbourBy(second, first);
    for (const call of [s.sendto("astray", astray), socket(AF_INET6).connect(astray)])
      expect(await failure(call)).toMatchObject({ code: "ENETUNREACH", address: astray.host });
    await s.sendto("end", first.neighbour(AF_INET6));
    expect(await answer(s)).toBe("link0 end");
  },
  "packetInfo",
);

// semantics: scope-connect
contract(
  "connect to a scope that is not link-local keeps the scope, and each send leaves through its link",
  async ({ socket }) => {
    for (const link of links) {
      const s = socket(AF_INET6);
      await s.connect(groupBy(link));
      expect(`${s.getpeername()}`).toBe(`${groupBy(link)}`);
      expect(s.getsockname().host).toBe(link.own(AF_INET6));
      await s.connect(neighbourBy(link, link));
      expect(`${s.getpeername()}`).toBe(`${neighbourBy(link, link)}`);
      await s.send("one");
      await s.sendMany(["two", "three"]);
      await s.sendmsg({ data: "four", ttl: 9 });
      await s.sendto("five", s.getpeername());
      const all = ["one", "two", "three", "four", "five"].map((text) => `${link.mark}${text}`);
      expect(await texts(s, 5)).toEqual(all);
    }
  },
  "packetInfo",
);

// semantics: scope-connect
contract(
  "datagrams to a connected group with a scope leave through the link of the scope",
  async ({ socket }) => {
    for (const link of links) {
      // A group answers from another address than its own. A connected socket does not receive that.
      const [ears, s] = [socket(AF_INET6), socket(AF_INET6)];
      for (const each of [ears, s]) each.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
      await ears.bind(["", 0]);
      await s.bind(["", ears.getsockname().port]);
      await s.connect(groupBy(link));
      expect(s.getsockname().host).toBe(link.own(AF_INET6));
      await s.send("who?");
      await s.sendMany(["and", "who?"]);
      const all = ["who?", "and", "who?"].map((text) => `${link.mark}${text}`);
      expect(await texts(ears, 3)).toEqual(all);
    }
  },
  "packetInfo",
);

// semantics: scope-connect
contract(
  "an ICMP error about a connected peer with a scope fails the next call, with the code of that error",
  async ({ socket }) => {
    const [, link] = links;
    const s = socket(AF_INET6);
    await s.connect(neighbourBy(link, link).withPort(9));
    await s.send("anybody?");
    const refused = await failure(s.recvfrom(64, soon));
    expect(refused).toMatchObject({ code: "ECONNREFUSED", address: s.getpeername().host });
    const event = s.stats();
    expect(event.unreachable).toEqual({ ECONNREFUSED: 1 });
  },
  "packetInfo",
);

// semantics: scope
contract(
  "a scope that the driver cannot use is ENOTSUP, and the error names a driver that can",
  async ({ socket }) => {
    const [, link] = links;
    const s = socket(AF_INET6);
    for (const to of [groupBy(link), neighbourBy(link, link)]) {
      for (const call of [s.sendto("x", to), s.connect(to), s.sendMany(["x"], to)]) {
        const refused = await failure(call);
        expect(refused).toMatchObject({ code: "ENOTSUP", address: to.host });
        expect(refused.message).toContain("native");
      }
    }
    await s.sendto("hello", link.neighbour(AF_INET6));
    expect(await answer(s)).toBe(`${link.mark}hello`);
  },
  "no packetInfo",
);

// semantics: scope-unknown
contract("a scope that is no interface is ENODEV, with any address and any call", async ({ socket }) => {
  const s = socket(AF_INET6);
  for (const host of [group, linkLocalGroup, "fe80::1", "fd00:77:1::2", "::1"]) {
    const to: [string, number] = [`${host}%nosuch0`, neighbourPort];
    const calls = [s.sendto("x", to), s.connect(to), s.sendMany(["x"], to)];
    for (const call of calls) {
      const refused = await failure(call);
      expect(refused).toMatchObject({ code: "ENODEV", address: to[0] });
      expect(refused.message).toContain("no network interface here is named nosuch0");
    }
    const none = expect.objectContaining({ name: "OSError", code: "ENODEV" }) as Error;
    expect(() => s.pathMtu(to)).toThrow(none);
    expect(() => s.maxPayload(to)).toThrow(none);
  }
  for (const host of ["fe80::1", links[1].own(AF_INET6)]) {
    expect(await failure(socket(AF_INET6).bind([`${host}%nosuch0`, 0]))).toMatchObject({ code: "ENODEV" });
  }
  expect(s.stats().sent.datagrams).toBe(0);
});

// semantics: scope-bind
contract("bind to an address with a scope checks that the interface has it", async ({ socket }) => {
  for (const [index, link] of links.entries()) {
    const other = links[1 - index] as LinkEnd;
    const s = socket(AF_INET6);
    const refused = await failure(s.bind([`${link.own(AF_INET6)}%${other.name}`, 0]));
    expect(refused).toMatchObject({ code: "EADDRNOTAVAIL", address: `${link.own(AF_INET6)}%${other.name}` });
    expect(refused.message).toContain(`the interface ${other.name} does not have this address`);
    await s.bind([`${link.own(AF_INET6)}%${link.name}`, 0]);
    expect(s.getsockname().host).toBe(link.own(AF_INET6));
    await s.sendto("hello", link.neighbour(AF_INET6));
    expect(await answer(s)).toBe(`${link.mark}hello`);
  }
});

// semantics: scope-bind
contract("bind to a group or to every interface with a scope is EINVAL", async ({ socket }) => {
  const s = socket(AF_INET6);
  for (const host of [group, "::"]) {
    const refused = await failure(s.bind([`${host}%${links[1].name}`, 0]));
    expect(refused).toMatchObject({ code: "EINVAL" });
    expect(refused.message).toContain("SO_BINDTODEVICE");
  }
});

// semantics: scope
contract(
  "the path MTU to an address with a scope is that of its link",
  ({ socket }) => {
    const s = socket(AF_INET6);
    for (const link of links) {
      expect(s.pathMtu(groupBy(link))).toBe(1500);
      expect(s.maxPayload(neighbourBy(link, link))).toBe(1452);
    }
  },
  "pathMtu",
);

// semantics: group-scope
contract("a group whose scope is one interface cannot be joined on another", async ({ socket }) => {
  const s = socket(AF_INET6);
  await s.bind(["", 0]);
  const [{ name: one }, { name: other }] = links;
  const refused = expect.objectContaining({
    code: "EINVAL",
    message: expect.stringContaining(other) as string,
  }) as Error;
  expect(() => s.addMembership(`ff02::8888%${one}`, other)).toThrow(refused);
  s.addMembership(`ff02::8888%${one}`, one);
  s.addMembership(`ff02::8888%${other}`);
  const twice = expect.objectContaining({ code: "EADDRINUSE" }) as Error;
  expect(() => s.addMembership("ff02::8888", other)).toThrow(twice);
});

// semantics: search-others
contract(
  "a search of the path MTU to a scoped address counts the answers from there, which have no scope",
  async ({ socket }) => {
    for (const link of links) {
      const s = socket(AF_INET6);
      const { lost, ignored, maxPayload } = await probePathMtu(s, neighbourBy(link, link));
      expect({ lost, ignored }).toEqual({ lost: 0, ignored: 0 });
      expect(maxPayload).toBe(1452);
    }
  },
  "pathMtu",
);
