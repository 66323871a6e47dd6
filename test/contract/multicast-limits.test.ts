import { AF_INET6, IPPROTO_IP, IP_MULTICAST_IF, type OSError, type Socket } from "datagram";
import { expect } from "vitest";

import { freshGroup } from "./groups.js";
import { type World, contract } from "./world.js";

/** More memberships than any system allows a socket here. */
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

/** Makes a change again and again, up to the one that fails. Gives how many did not, and its error. */
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

contract("a group above the limit of a socket is ENOBUFS, with the setting and its value", async (world) => {
  const s = await open(world);
  const group = (count: number): string => `239.255.${1 + (count >> 7)}.${1 + (count & 127)}`;
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

contract("a source above the limit of a group is ENOBUFS, with the setting and its value", async (world) => {
  const [s, v6] = [await open(world), world.socket(AF_INET6)];
  await v6.bind(["", 0]);
  const [group, group6] = [freshGroup(s), freshGroup(v6)];
  const v4 = upToLimit((count) => s.addSourceMembership(`10.0.0.${1 + count}`, group, world.loopback));
  expect(v4.error).toMatchObject({ code: "ENOBUFS", syscall: "addSourceMembership", address: group });
  expect(v4.error.message).toContain(`net.ipv4.igmp_max_msf allows ${v4.most} sources of one group`);
  const late = upToLimit((count) =>
    v6.addSourceMembership(`2001:db8::${(1 + count).toString(16)}`, group6, world.loopback),
  );
  expect(late.error).toMatchObject({ code: "ENOBUFS", address: group6 });
  expect(late.error.message).toContain(`net.ipv6.mld_max_msf allows ${late.most} sources of one group`);
});

contract("no message of a membership has a port, and each names what to do", async (world) => {
  const [early, late] = [world.socket(), await open(world)];
  for (const s of [early, late]) {
    const group = freshGroup(s);
    s.addMembership(group, world.loopback);
    expect(errorOf(() => s.addMembership(group, world.loopback)).message).toBe(
      `addMembership ${group}: this group was joined already (EADDRINUSE)`,
    );
    s.dropMembership(group, world.loopback);
    expect(errorOf(() => s.dropMembership(group, world.loopback)).message).toBe(
      `dropMembership ${group}: this group was not joined (EADDRNOTAVAIL)`,
    );
    expect(errorOf(() => s.addMembership(group, "nosuch0"))).toMatchObject({ code: "ENODEV" });
    expect(errorOf(() => s.addMembership(group, "nosuch0")).message).toMatch(/nosuch0/);
    expect(errorOf(() => s.addMembership(group, world.elsewhere())).message).toContain(world.elsewhere());
  }
  const sender = world.socket();
  const unknown = errorOf(() => sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "nosuch0"));
  expect(unknown.message).toContain("nosuch0");
});
