import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TOS,
  IP_TTL,
} from "datagram";
import { expect } from "vitest";

import { freshGroup } from "./groups.js";
import { contract, failure, mapped, soon, texts } from "./world.js";

/** The error of an IPv4 operation on a socket with `IPV6_V6ONLY`. */
const refusedByV6Only = expect.objectContaining({
  code: "ENOPROTOOPT",
  message: expect.stringContaining("IPV6_V6ONLY") as string,
}) as Error;

for (const spelling of ["its own spelling", "the spelling ::ffff:"] as const) {
  // semantics: group-mapped
  contract(`an IPv6 socket joins, receives and leaves an IPv4 group in ${spelling}`, async (world) => {
    const { loopback } = world;
    const [receiver, sender] = [world.socket(AF_INET6), await world.bound()];
    await receiver.bind(["", 0]);
    const [plain, { port }] = [freshGroup(sender), receiver.getsockname()];
    const group = spelling === "its own spelling" ? plain : mapped(plain);
    receiver.addMembership(group, loopback);
    expect(() => receiver.addMembership(plain, loopback)).toThrow(
      expect.objectContaining({ code: "EADDRINUSE" }),
    );
    sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, loopback);
    await sender.sendto("joined", [plain, port]);
    expect(await texts(receiver, 1)).toEqual(["joined"]);
    receiver.dropMembership(group, loopback);
    await sender.sendto("left", [plain, port]);
    await sender.sendto("marker", [world.localhost(), port]);
    expect(await texts(receiver, 1)).toEqual(["marker"]);
  });
}

// semantics: group-scope
contract("the scope of a mapped group is its interface", async (world) => {
  const receiver = world.socket(AF_INET6);
  const group = freshGroup(world.socket(AF_INET));
  receiver.addMembership(`${mapped(group)}%${world.loopback}`);
  expect(() => receiver.addMembership(group, world.loopback)).toThrow(
    expect.objectContaining({ code: "EADDRINUSE" }),
  );
  const refused = expect.objectContaining({
    code: "EINVAL",
    message: expect.stringContaining("nosuch0") as string,
  }) as Error;
  expect(() => receiver.addMembership(`${mapped(group)}%${world.loopback}`, "nosuch0")).toThrow(refused);
  await receiver.close();
});

// semantics: other-family
contract(
  "with IPV6_V6ONLY no IPv4 address can be reached, and the message names the option",
  async ({ socket }) => {
    const s = socket(AF_INET6);
    s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
    const refused = {
      code: "ENETUNREACH",
      message: expect.stringContaining("IPV6_V6ONLY keeps IPv4 from this socket") as string,
    };
    expect(await failure(s.sendto("x", ["::ffff:127.0.0.1", 9]))).toMatchObject(refused);
    expect(await failure(s.connect(["::ffff:127.0.0.1", 9]))).toMatchObject(refused);
  },
);

// semantics: group-mapped
contract(
  "with IPV6_V6ONLY an IPv4 group is refused, and the message names the option",
  ({ socket, loopback }) => {
    const s = socket(AF_INET6);
    s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
    for (const group of ["239.255.0.1", mapped("239.255.0.1")]) {
      expect(() => s.addMembership(group, loopback)).toThrow(refusedByV6Only);
      expect(() => s.dropMembership(group, loopback)).toThrow(refusedByV6Only);
    }
  },
);

// semantics: group-scope
contract("the scope of an IPv6 group is its interface", async ({ loopback, socket }) => {
  const receiver = socket(AF_INET6);
  await receiver.bind(["", 0]);
  const group = freshGroup(receiver);
  const code = (code: string): Error => expect.objectContaining({ name: "OSError", code }) as Error;
  receiver.addMembership(`${group}%${loopback}`);
  expect(() => receiver.addMembership(group, loopback)).toThrow(code("EADDRINUSE"));
  receiver.dropMembership(group, loopback);
  expect(() => receiver.dropMembership(`${group}%${loopback}`, loopback)).toThrow(code("EADDRNOTAVAIL"));
  expect(() => receiver.addMembership(`${group}%nosuch0`)).toThrow(code("ENODEV"));
});

// semantics: dual-stack-ipv6-options
contract(
  "TTL and TOS of an IPv6 socket apply to peers of both families",
  async ({ bound, socket }) => {
    const s = socket(AF_INET6);
    s.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7);
    s.setsockopt(IPPROTO_IPV6, IPV6_TCLASS, 0x28);
    for (const family of [AF_INET, AF_INET6] as const) {
      const receiver = await bound(family);
      const { host, port } = receiver.getsockname();
      await s.sendto("hello", [family === AF_INET ? mapped(host) : host, port]);
      expect(await receiver.recvmsg(soon)).toMatchObject({ ttl: 7, tos: 0x28 });
    }
  },
  "packetInfo",
);

// semantics: dual-stack-ipv4-options
contract(
  "IPv4 options on an IPv6 socket apply to its IPv4 peers only",
  async ({ bound, socket }) => {
    const s = socket(AF_INET6);
    s.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7);
    s.setsockopt(IPPROTO_IPV6, IPV6_TCLASS, 0x28);
    s.setsockopt(IPPROTO_IP, IP_TTL, 9);
    s.setsockopt(IPPROTO_IP, IP_TOS, 0x48);
    for (const [family, expected] of [
      [AF_INET, { ttl: 9, tos: 0x48 }],
      [AF_INET6, { ttl: 7, tos: 0x28 }],
    ] as const) {
      const receiver = await bound(family);
      const { host, port } = receiver.getsockname();
      await s.sendto("hello", [family === AF_INET ? mapped(host) : host, port]);
      expect(await receiver.recvmsg(soon)).toMatchObject(expected);
    }
  },
  "packetInfo",
);

// semantics: dual-stack-ipv6-options
contract(
  "an IPv6 option that is set can be read as the IPv4 option, and not the reverse",
  ({ loopback, socket }) => {
    const s = socket(AF_INET6);
    const pairs = [
      [IPV6_TCLASS, IP_TOS, 0x28, 0x48],
      [IPV6_UNICAST_HOPS, IP_TTL, 7, 9],
      [IPV6_MULTICAST_HOPS, IP_MULTICAST_TTL, 3, 4],
      [IPV6_MULTICAST_LOOP, IP_MULTICAST_LOOP, 0, 1],
    ] as const;
    for (const [ipv6, ipv4, both, own] of pairs) {
      s.setsockopt(IPPROTO_IPV6, ipv6, both);
      expect([s.getsockopt(IPPROTO_IPV6, ipv6), s.getsockopt(IPPROTO_IP, ipv4)]).toEqual([both, both]);
      s.setsockopt(IPPROTO_IP, ipv4, own);
      expect([s.getsockopt(IPPROTO_IPV6, ipv6), s.getsockopt(IPPROTO_IP, ipv4)]).toEqual([both, own]);
    }
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, loopback);
    expect(s.getsockopt(IPPROTO_IP, IP_MULTICAST_IF)).toBe(loopback);
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, "");
    expect(s.getsockopt(IPPROTO_IP, IP_MULTICAST_IF)).toBe("0.0.0.0");
    expect(s.getsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF)).toBe("");
  },
  "optionReadback",
);

// semantics: dual-stack-ipv6-options
contract(
  "IPV6_MULTICAST_IF and IPV6_MULTICAST_HOPS apply to IPv4 groups too",
  async ({ loopback, socket }) => {
    const [s, receiver] = [socket(AF_INET6), socket()];
    await receiver.bind(["", 0]);
    const [group, { port }] = [freshGroup(receiver), receiver.getsockname()];
    receiver.addMembership(group, loopback);
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, loopback);
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 5);
    await s.sendto("hello", [mapped(group), port]);
    const { data, ttl } = await receiver.recvmsg(soon);
    expect([data.toString(), ttl]).toEqual(["hello", 5]);
  },
  "packetInfo",
);

// semantics: dual-stack-ipv6-options
contract(
  "if the driver sets an option for IPv6 only, datagrams to IPv4 are ENOTSUP, and the error names another driver",
  async ({ bound, socket }) => {
    const [receiver, both] = [await bound(), await bound(AF_INET6)];
    const { host, port } = receiver.getsockname();
    const cases = [
      [IPV6_UNICAST_HOPS, mapped(host)],
      [IPV6_MULTICAST_HOPS, mapped(freshGroup(receiver))],
    ] as const;
    for (const [option, to] of cases) {
      const s = socket(AF_INET6);
      s.setsockopt(IPPROTO_IPV6, option, 7);
      const refused = await failure(s.sendto("hello", [to, port]));
      expect(refused).toMatchObject({ code: "ENOTSUP", address: to });
      expect(refused.message).toContain("native");
      await s.sendto("IPv6", both.getsockname());
      expect(await texts(both, 1)).toEqual(["IPv6"]);
    }
  },
  "no allOptions",
);

// semantics: dual-stack-ipv4-options
contract(
  "an IPv4 option that the driver cannot set on an IPv6 socket is ENOTSUP, and the error names another driver",
  ({ socket }) => {
    const s = socket(AF_INET6);
    const refused = expect.objectContaining({
      code: "ENOTSUP",
      message: expect.stringContaining("native") as string,
    }) as Error;
    for (const option of [IP_TTL, IP_TOS, IP_MULTICAST_TTL, IP_MULTICAST_LOOP])
      expect(() => s.setsockopt(IPPROTO_IP, option, 1)).toThrow(refused);
  },
  "no allOptions",
);

// semantics: dual-stack-ipv4-options
contract("with IPV6_V6ONLY IPv4 options are refused, and the message names the option", ({ socket }) => {
  const s = socket(AF_INET6);
  s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
  for (const option of [IP_TTL, IP_TOS, IP_MULTICAST_TTL, IP_MULTICAST_LOOP]) {
    expect(() => s.setsockopt(IPPROTO_IP, option, 1)).toThrow(refusedByV6Only);
    expect(() => s.getsockopt(IPPROTO_IP, option)).toThrow(refusedByV6Only);
  }
  expect(() => s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "lo")).toThrow(refusedByV6Only);
});

// semantics: sendmsg-fields
contract(
  "sendmsg from an IPv6 socket to an IPv4 peer applies source, interface, TTL and TOS",
  async ({ bound, loopback, moreHosts, socket }) => {
    const [s, receiver] = [socket(AF_INET6), await bound()];
    const { host, port } = receiver.getsockname();
    const own = { source: mapped(moreHosts[0]), interface: loopback, ttl: 9, tos: 0x28 };
    await s.sendmsg({ data: "hello", address: [mapped(host), port], ...own });
    const { source, interface: by, ttl, tos } = await receiver.recvmsg(soon);
    expect({ source: mapped(source.host), interface: by, ttl, tos }).toEqual(own);
  },
  "packetInfo",
);
