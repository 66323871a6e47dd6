import {
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_ALL,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { freshGroup, meet } from "./groups.js";
import { type World, contract, families, texts } from "./world.js";

/** Two senders with different addresses, a group, and a receiver that has not joined it yet. */
async function twoSenders(world: World) {
  const { receiver, group, port } = await meet(world);
  const senders = world.moreHosts.map(async (host) => {
    const sender = world.socket();
    await sender.bind([host, 0]);
    sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, world.loopback);
    return sender;
  });
  const say = async (text: string): Promise<void> => {
    for (const [index, sender] of (await Promise.all(senders)).entries())
      await sender.sendto(`${text} ${index + 1}`, [group, port]);
  };
  const marker = await world.bound();
  const end = (): Promise<number> => marker.sendto("end", [world.localhost(), port]);
  return { receiver, group, say, end, first: world.moreHosts[0], second: world.moreHosts[1] };
}

/** The error of a change of membership. */
function refused(code: string, syscall: string, address: string): Error {
  return expect.objectContaining({ name: "OSError", code, syscall, address }) as Error;
}

// semantics: source
contract("a group that was joined from one source is received from that source only", async (world) => {
  const { receiver, group, say, end, first, second } = await twoSenders(world);
  receiver.addSourceMembership(first, group, world.loopback);
  await say("one");
  receiver.addSourceMembership(second, group, world.loopback);
  await say("both");
  receiver.dropSourceMembership(first, group, world.loopback);
  await say("other");
  receiver.dropSourceMembership(second, group, world.loopback);
  await say("none");
  await end();
  expect(await texts(receiver, 5)).toEqual(["one 1", "both 1", "both 2", "other 2", "end"]);
});

// semantics: source-blocked
contract(
  "a blocked source is not received until it is unblocked",
  async (world) => {
    const { receiver, group, say, end, first } = await twoSenders(world);
    receiver.addMembership(group, world.loopback);
    receiver.blockSource(first, group, world.loopback);
    await say("blocked");
    receiver.unblockSource(first, group, world.loopback);
    await say("unblocked");
    await end();
    expect(await texts(receiver, 4)).toEqual(["blocked 2", "unblocked 1", "unblocked 2", "end"]);
  },
  "blockSource",
);

// semantics: source-blocked
contract(
  "blocking a source without the feature is ENOTSUP, and the error names a driver that can",
  (world) => {
    const s = world.socket();
    const error = { name: "OSError", code: "ENOTSUP", message: expect.stringContaining("native") as string };
    for (const call of ["blockSource", "unblockSource"] as const)
      expect(() => s[call](world.localhost(), freshGroup(s))).toThrow(expect.objectContaining(error));
  },
  "no blockSource",
);

// semantics: source
contract("a group may be joined from a source before bind", async (world) => {
  const { sender, group } = await meet(world);
  const early = world.socket();
  early.addSourceMembership(world.localhost(), group, world.loopback);
  await early.bind(["", 0]);
  await sender.sendto("hello", [group, early.getsockname().port]);
  expect(await texts(early, 1)).toEqual(["hello"]);
});

for (const [name, family] of families) {
  // semantics: source-errors
  contract(`errors of source memberships have the codes of Linux, over ${name}`, async (world) => {
    const [early, late] = [world.socket(family), world.socket(family)];
    await late.bind(["", 0]);
    for (const s of [early, late]) {
      const [group, at] = [freshGroup(s), world.loopback];
      const [one, two] = [world.localhost(family), world.elsewhere(family)];
      const fails = (code: string, call: "dropSourceMembership" | "addSourceMembership"): void => {
        expect(() => s[call](one, group, at)).toThrow(refused(code, call, group));
      };
      fails("EINVAL", "dropSourceMembership");
      s.addSourceMembership(one, group, at);
      fails("EADDRNOTAVAIL", "addSourceMembership");
      expect(() => s.addMembership(group, at)).toThrow(refused("EADDRINUSE", "addMembership", group));
      s.addSourceMembership(two, group, at);
      s.dropSourceMembership(one, group, at);
      fails("EADDRNOTAVAIL", "dropSourceMembership");
      s.dropMembership(group, at);
      fails("EINVAL", "dropSourceMembership");
    }
  });

  // semantics: source-errors
  contract(
    `errors of blocked sources have the codes of Linux, over ${name}`,
    (world) => {
      const s = world.socket(family);
      const [group, at, one] = [freshGroup(s), world.loopback, world.localhost(family)];
      const fails = (code: string, call: "blockSource" | "unblockSource"): void => {
        expect(() => s[call](one, group, at)).toThrow(refused(code, call, group));
      };
      fails("EINVAL", "blockSource");
      fails("EINVAL", "unblockSource");
      s.addSourceMembership(one, group, at);
      fails("EINVAL", "blockSource");
      fails("EINVAL", "unblockSource");
      s.dropMembership(group, at);
      s.addMembership(group, at);
      fails("EADDRNOTAVAIL", "unblockSource");
      s.blockSource(one, group, at);
      fails("EADDRNOTAVAIL", "blockSource");
      for (const call of ["addSourceMembership", "dropSourceMembership"] as const)
        expect(() => s[call](one, group, at)).toThrow(refused("EINVAL", call, group));
    },
    "blockSource",
  );

  // semantics: source-bad-address
  contract(`a source that is not the address of one sender is refused over ${name}`, (world) => {
    const s = world.socket(family);
    const group = freshGroup(s);
    for (const source of [group, "", "camera", s.family === AF_INET6 ? "::" : "255.255.255.255"])
      expect(() => s.addSourceMembership(source, group, world.loopback)).toThrow(
        refused("EINVAL", "addSourceMembership", source),
      );
    const other = s.family === AF_INET6 ? "10.0.0.1" : "fd00::1";
    expect(() => s.addSourceMembership(other, group)).toThrow(
      expect.objectContaining({ name: "OSError", code: "EAFNOSUPPORT" }),
    );
    for (const source of [5, null, undefined, {}])
      expect(() => s.addSourceMembership(source as never, group)).toThrow(TypeError);
  });
}

// semantics: source-errors
contract("dropping a source of a group that was joined from all sources changes nothing", async (world) => {
  const { receiver, group, say, end, first } = await twoSenders(world);
  receiver.addMembership(group, world.loopback);
  expect(() => receiver.dropSourceMembership(first, group, world.loopback)).toThrow(
    refused("EADDRNOTAVAIL", "dropSourceMembership", group),
  );
  await say("all");
  await end();
  expect(await texts(receiver, 3)).toEqual(["all 1", "all 2", "end"]);
});

// semantics: source
contract(
  "a group that was joined from all sources is received from one source after joining that source",
  async (world) => {
    const { receiver, group, say, end, first } = await twoSenders(world);
    receiver.addMembership(group, world.loopback);
    receiver.addSourceMembership(first, group, world.loopback);
    await say("narrowed");
    await end();
    expect(await texts(receiver, 2)).toEqual(["narrowed 1", "end"]);
  },
);

// semantics: multicast-all
contract(
  "a socket receives the groups of all sockets of its host, and without IP_MULTICAST_ALL only its own",
  async (world) => {
    const { receiver, sender, group, port } = await meet(world);
    const [other, own] = [world.socket(), freshGroup(receiver)];
    other.addMembership(group, world.loopback);
    receiver.addMembership(own, world.loopback);
    expect(receiver.getsockopt(IPPROTO_IP, IP_MULTICAST_ALL)).toBe(1);
    await sender.sendto("of another", [group, port]);
    expect(await texts(receiver, 1)).toEqual(["of another"]);
    receiver.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, false);
    expect(receiver.getsockopt(IPPROTO_IP, IP_MULTICAST_ALL)).toBe(0);
    await sender.sendto("of another", [group, port]);
    await sender.sendto("own", [own, port]);
    expect(await texts(receiver, 1)).toEqual(["own"]);
  },
  "allOptions",
);

// semantics: multicast-all
contract(
  "an IPv6 socket without IPV6_MULTICAST_ALL receives only the groups that it joined",
  async (world) => {
    const [receiver, other, sender] = [
      world.socket(AF_INET6),
      world.socket(AF_INET6),
      world.socket(AF_INET6),
    ];
    await receiver.bind(["", 0]);
    const { port } = receiver.getsockname();
    const [group, own] = [freshGroup(receiver), freshGroup(receiver)];
    const say = (text: string, to: string): Promise<number> => sender.sendto(text, [to, port]);
    await world.needsRoute(say("not joined", group));
    other.addMembership(group);
    receiver.addMembership(own);
    await say("of another", group);
    expect(await texts(receiver, 1)).toEqual(["of another"]);
    receiver.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
    expect(receiver.getsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL)).toBe(0);
    await say("of another", group);
    await say("own", own);
    expect(await texts(receiver, 1)).toEqual(["own"]);
  },
  "allOptions",
);

for (const [option, family, group] of [
  ["IP_MULTICAST_ALL", IPPROTO_IP, IP_MULTICAST_ALL],
  ["IPV6_MULTICAST_ALL", IPPROTO_IPV6, IPV6_MULTICAST_ALL],
] as const) {
  // semantics: multicast-all
  contract(
    `${option} is ENOTSUP for a driver without it`,
    (world) => {
      const s: Socket = world.socket(family === IPPROTO_IP ? undefined : AF_INET6);
      expect(() => s.setsockopt(family, group, 0)).toThrow(
        expect.objectContaining({ name: "OSError", code: "ENOTSUP" }),
      );
    },
    "no allOptions",
  );
}
