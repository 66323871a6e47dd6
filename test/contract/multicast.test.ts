import {
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
} from "datagram";
import { expect } from "vitest";

import { freshGroup, meet } from "./groups.js";
import { contract, soon, texts } from "./world.js";

for (const by of ["address", "name"] as const) {
  // semantics: group
  contract(`a group joined on an interface given by its ${by} is received`, async (world) => {
    const { receiver, sender, group, port } = await meet(world);
    receiver.addMembership(group, by === "name" ? world.loopback : world.localhost());
    await sender.sendto("hello", [group, port]);
    const [data, source] = await receiver.recvfrom(64, soon);
    expect(data.toString()).toBe("hello");
    expect(source.equals(sender.getsockname())).toBe(true);
    await receiver.sendto("answer", source);
    expect(await texts(sender, 1)).toEqual(["answer"]);
  });
}

// semantics: multicast-interface
contract("multicast leaves by the interface of IP_MULTICAST_IF, given by its address", async (world) => {
  const { receiver, sender, group, port } = await meet(world);
  sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, world.localhost());
  expect(sender.getsockopt(IPPROTO_IP, IP_MULTICAST_IF)).toBe(world.localhost());
  receiver.addMembership(group, world.localhost());
  await sender.sendto("hello", [group, port]);
  expect(await texts(receiver, 1)).toEqual(["hello"]);
});

// semantics: group
contract("a group that was left, or never joined, is not received", async (world) => {
  const { receiver, sender, group, port } = await meet(world);
  const other = freshGroup(receiver);
  receiver.addMembership(group, world.loopback);
  await sender.sendto("joined", [group, port]);
  expect(await texts(receiver, 1)).toEqual(["joined"]);
  receiver.dropMembership(group, world.loopback);
  await sender.sendto("left", [group, port]);
  await sender.sendto("never joined", [other, port]);
  await sender.sendto("marker", [world.localhost(), port]);
  expect(await texts(receiver, 1)).toEqual(["marker"]);
});

// semantics: group
contract("a group may be joined before bind", async (world) => {
  const { sender, group } = await meet(world);
  const early = world.socket();
  early.addMembership(group, world.localhost());
  await early.bind(["", 0]);
  await sender.sendto("hello", [group, early.getsockname().port]);
  expect(await texts(early, 1)).toEqual(["hello"]);
});

// semantics: group
contract("a socket may be in several groups, and several sockets in one", async (world) => {
  const { receiver, sender, group, port } = await meet(world);
  const [second, other] = [freshGroup(receiver), world.socket()];
  await other.bind(["", 0]);
  for (const each of [group, second]) receiver.addMembership(each, world.loopback);
  other.addMembership(group, world.loopback);
  await sender.sendto("first group", [group, port]);
  await sender.sendto("second group", [second, port]);
  await sender.sendto("to the other", [group, other.getsockname().port]);
  expect(await texts(receiver, 2)).toEqual(["first group", "second group"]);
  expect(await texts(other, 1)).toEqual(["to the other"]);
});

// semantics: multicast-defaults
contract(
  "IP_MULTICAST_TTL and IP_MULTICAST_LOOP are initially 1, and independent of IP_TTL",
  ({ socket }) => {
    const s = socket();
    const read = (): number[] =>
      [IP_MULTICAST_TTL, IP_MULTICAST_LOOP].map((each) => s.getsockopt(IPPROTO_IP, each));
    expect(read()).toEqual([1, 1]);
    s.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, 32);
    s.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, false);
    expect(read()).toEqual([32, 0]);
  },
);

// semantics: multicast-defaults
contract("IPV6_MULTICAST_HOPS and IPV6_MULTICAST_LOOP are initially 1", ({ socket }) => {
  const s = socket(AF_INET6);
  const options = [IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP];
  expect(options.map((each) => s.getsockopt(IPPROTO_IPV6, each))).toEqual([1, 1]);
});

// semantics: address-out
contract(
  "an IPv6 group is received until it is left, and its link-local sender can be answered",
  async (world) => {
    const [receiver, sender] = [world.socket(AF_INET6), world.socket(AF_INET6)];
    await receiver.bind(["", 0]);
    const [group, port] = [freshGroup(receiver), receiver.getsockname().port];
    await world.needsRoute(sender.sendto("not joined", [group, port]));
    receiver.addMembership(group);
    await sender.sendto("joined", [group, port]);
    const heard = await receiver.recvmsg(soon);
    expect(heard.data.toString()).toBe("joined");
    expect(heard.source.host.startsWith("fe80:")).toBe(heard.source.scope !== undefined);
    await heard.reply("answer");
    expect(await texts(sender, 1)).toEqual(["answer"]);
    receiver.dropMembership(group);
    await sender.sendto("left", [group, port]);
    await sender.sendto("marker", [world.localhost(AF_INET6), port]);
    expect(await texts(receiver, 1)).toEqual(["marker"]);
  },
);

// semantics: group
contract(
  "an IPv6 group is joined and left on an interface given by its name",
  async ({ loopback, socket }) => {
    const receiver = socket(AF_INET6);
    await receiver.bind(["", 0]);
    const group = freshGroup(receiver);
    const error = (code: string): Error =>
      expect.objectContaining({ name: "OSError", code, address: group }) as Error;
    receiver.addMembership(group, loopback);
    expect(() => receiver.addMembership(group, loopback)).toThrow(error("EADDRINUSE"));
    receiver.dropMembership(group, loopback);
    expect(() => receiver.dropMembership(group, loopback)).toThrow(error("EADDRNOTAVAIL"));
  },
);

// semantics: multicast-interface
contract("IPV6_MULTICAST_IF accepts the interface's name and returns it", async ({ bound, loopback }) => {
  const s = await bound(AF_INET6);
  s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, loopback);
  expect(s.getsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF)).toBe(loopback);
});

// semantics: group-errors
contract(
  "joining twice is EADDRINUSE, and leaving a group that was not joined is EADDRNOTAVAIL",
  async (world) => {
    const { receiver, group } = await meet(world);
    const joining = { name: "OSError", code: "EADDRINUSE", syscall: "addMembership", address: group };
    const leaving = { name: "OSError", code: "EADDRNOTAVAIL", syscall: "dropMembership", address: group };
    expect(() => receiver.dropMembership(group, world.loopback)).toThrow(expect.objectContaining(leaving));
    receiver.addMembership(group, world.loopback);
    expect(() => receiver.addMembership(group, world.loopback)).toThrow(expect.objectContaining(joining));
    receiver.dropMembership(group, world.loopback);
    expect(() => receiver.dropMembership(group, world.loopback)).toThrow(expect.objectContaining(leaving));
  },
);

// semantics: group-errors
contract(
  "a group that is not a multicast address is EINVAL, and an IPv6 group on an IPv4 socket is EAFNOSUPPORT",
  (world) => {
    const [v4, v6] = [world.socket(), world.socket(AF_INET6)];
    for (const group of ["127.0.0.1", "", "localhost", "255.255.255.255"]) {
      const error = { name: "OSError", code: "EINVAL", syscall: "addMembership" };
      expect(() => v4.addMembership(group, world.localhost())).toThrow(expect.objectContaining(error));
    }
    expect(() => v6.addMembership("fe80::1", world.loopback)).toThrow(
      expect.objectContaining({ code: "EINVAL" }),
    );
    const family = expect.objectContaining({ name: "OSError", code: "EAFNOSUPPORT" }) as Error;
    expect(() => v4.dropMembership("ff02::1", world.loopback)).toThrow(family);
  },
);

// semantics: group-errors
contract("an interface that this host does not have is ENODEV", async (world) => {
  const { receiver, sender, group } = await meet(world);
  const error = expect.objectContaining({ name: "OSError", code: "ENODEV" }) as Error;
  expect(() => receiver.addMembership(group, "nosuch0")).toThrow(error);
  expect(() => receiver.addMembership(group, world.elsewhere())).toThrow(error);
  expect(() => sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "nosuch0")).toThrow(error);
});

// semantics: group-errors
contract("a group or an interface of a wrong type is a TypeError", ({ socket }) => {
  const s = socket();
  const wrong = expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }) as Error;
  for (const group of [5, null, undefined, {}]) expect(() => s.addMembership(group as never)).toThrow(wrong);
  for (const at of [null, {}, true]) expect(() => s.addMembership("239.255.0.1", at as never)).toThrow(wrong);
});

// semantics: group-errors
contract(
  "an interface address that this host does not have is refused at the call, also before bind",
  async ({ elsewhere, socket }) => {
    const s = socket();
    expect(() => s.addMembership("239.255.7.7", elsewhere())).toThrow();
    expect(() => s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "224.0.0.2")).toThrow();
    await s.bind(["", 0]);
  },
);

// semantics: multicast-interface
contract("IP_MULTICAST_IF that was set by name is read as a name", ({ loopback, socket }) => {
  const s = socket();
  s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, loopback);
  expect(s.getsockopt(IPPROTO_IP, IP_MULTICAST_IF)).toBe(loopback);
  return Promise.resolve();
});
