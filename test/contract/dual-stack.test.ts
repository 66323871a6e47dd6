import { AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPV6_V6ONLY, IP_MULTICAST_IF } from "datagram";
import { expect } from "vitest";

import { freshGroup } from "./groups.js";
import { contract, mapped, texts } from "./world.js";

for (const spelling of ["its own spelling", "the spelling ::ffff:"] as const) {
  contract(`an IPv6 socket joins, hears and leaves an IPv4 group in ${spelling}`, async (world) => {
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

contract("an IPv4 group is refused under IPV6_V6ONLY, which the message names", ({ socket, loopback }) => {
  const s = socket(AF_INET6);
  s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
  const refused = expect.objectContaining({
    code: "ENOPROTOOPT",
    message: expect.stringContaining("IPV6_V6ONLY") as string,
  }) as Error;
  for (const group of ["239.255.0.1", mapped("239.255.0.1")]) {
    expect(() => s.addMembership(group, loopback)).toThrow(refused);
    expect(() => s.dropMembership(group, loopback)).toThrow(refused);
  }
});

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
