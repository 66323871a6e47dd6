import {
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_IF,
  IP_MULTICAST_IF,
  type OSError,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { freshGroup } from "./groups.js";
import { type World, contract } from "./world.js";

/** More memberships than any system allows for one socket. */
const many = 2000;

/** The error of a call. */
function errorOf(call: () => void): OSError {
  try {
    call();
  } catch (error) {
    return error as OSError;
  }
  throw new Error("it did not fail");
}

/** Repeats a change until it fails. Returns how often it succeeded, and the error. */
function upToLimit(change: (count: number) => void): { most: number; error: OSError } {
  for (let count = 0; count < many; count++) {
    try {
      change(count);
    } catch (error) {
      return { most: count, error: error as OSError };
    }
  }
  throw new Error(`${many} changes did not fail`);
}

const open = async ({ socket }: World): Promise<Socket> => {
  const s = socket();
  await s.bind(["", 0]);
  return s;
};

const group = (count: number): string => `239.255.${1 + (count >> 7)}.${1 + (count & 127)}`;

// semantics: group-limit
contract("a group above the limit is also refused before the socket is bound", async (world) => {
  const early = world.socket();
  const { most, error } = upToLimit((count) => early.addMembership(group(count), world.loopback));
  const late = await open(world);
  expect(upToLimit((count) => late.addMembership(group(count), world.loopback)).most).toBe(most);
  expect(error.message).toContain(`net.ipv4.igmp_max_memberships allows ${most} groups`);
  await early.bind(["", 0]);
});

// semantics: interface-by-address
contract("an interface is given by an address only over IPv4, and only by an IPv4 address", (world) => {
  const [s, v6] = [world.socket(), world.socket(AF_INET6)];
  const calls = [
    () => s.addMembership(group(0), "::1"),
    () => s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "::1"),
    () => v6.addMembership("ff05::8484", "::1"),
    () => v6.addMembership("ff05::8484", "127.0.0.1"),
    () => v6.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, "::1"),
  ];
  for (const call of calls) {
    const error = errorOf(call);
    expect(error.code).toBe("EINVAL");
    expect(error.message).toMatch(/an interface for IPv[46] is given by its name/);
  }
});

// semantics: interface-by-address
contract("the interface of one datagram cannot be given by an address", async ({ socket }) => {
  const s = socket();
  const address = ["127.0.0.1", 9] as const;
  for (const call of [
    s.sendmsg({ data: "x", address, interface: "127.0.0.1" }),
    s.sendMany([{ data: "x", address, interface: "::1" }]),
  ])
    await expect(call).rejects.toThrow(/^interface must be the name or number of an interface/);
});

// semantics: group-limit
contract("a group above the limit of a socket is ENOBUFS, with the setting and its value", async (world) => {
  const s = await open(world);
  const { most, error } = upToLimit((count) => s.addMembership(group(count), world.loopback));
  expect(error).toMatchObject({ code: "ENOBUFS", syscall: "addMembership", address: group(most) });
  expect(error.message).toBe(
    `addMembership ${group(most)}: net.ipv4.igmp_max_memberships allows ${most} groups on one socket: ` +
      `use one more socket, or sysctl -w net.ipv4.igmp_max_memberships=${2 * most} (ENOBUFS)`,
  );
  s.dropMembership(group(0), world.loopback);
  s.addMembership(group(most), world.loopback);
  const another = await open(world);
  another.addMembership(group(most), world.loopback);
});

// semantics: group-limit
contract("a source above the limit of a group is ENOBUFS, with the setting and its value", async (world) => {
  const [s, v6] = [await open(world), world.socket(AF_INET6)];
  await v6.bind(["", 0]);
  const [group4, group6] = [freshGroup(s), freshGroup(v6)];
  const v4 = upToLimit((count) => s.addSourceMembership(`10.0.0.${1 + count}`, group4, world.loopback));
  expect(v4.error).toMatchObject({ code: "ENOBUFS", syscall: "addSourceMembership", address: group4 });
  expect(v4.error.message).toContain(`net.ipv4.igmp_max_msf allows ${v4.most} sources of one group`);
  const late = upToLimit((count) =>
    v6.addSourceMembership(`2001:db8::${(1 + count).toString(16)}`, group6, world.loopback),
  );
  expect(late.error).toMatchObject({ code: "ENOBUFS", address: group6 });
  expect(late.error.message).toContain(`net.ipv6.mld_max_msf allows ${late.most} sources of one group`);
});

// semantics: group-message
contract("no message about a membership has a port, and each says what to do", async (world) => {
  const [early, late] = [world.socket(), await open(world)];
  for (const s of [early, late]) {
    const fresh = freshGroup(s);
    s.addMembership(fresh, world.loopback);
    expect(errorOf(() => s.addMembership(fresh, world.loopback)).message).toBe(
      `addMembership ${fresh}: this group was joined already (EADDRINUSE)`,
    );
    s.dropMembership(fresh, world.loopback);
    expect(errorOf(() => s.dropMembership(fresh, world.loopback)).message).toBe(
      `dropMembership ${fresh}: this group was not joined (EADDRNOTAVAIL)`,
    );
    expect(errorOf(() => s.addMembership(fresh, "nosuch0")).message).toBe(
      `addMembership ${fresh}: no network interface here is named nosuch0 (ENODEV)`,
    );
    expect(errorOf(() => s.addMembership(fresh, world.elsewhere())).message).toContain(world.elsewhere());
  }
  const sender = world.socket();
  const unknown = errorOf(() => sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "nosuch0"));
  expect(unknown.message).toContain("nosuch0");
});
