import { Network } from "datagram/sim";
import { expect, test } from "vitest";

test("fragments that wait for others are lost with the host that crashes", async () => {
  const network = new Network();
  const [near, far] = [
    network.host("near", { address: "10.0.0.1" }),
    network.host("far", { address: "10.0.0.2" }),
  ];
  network.link(near, far).drop(({ moreFragments }) => !moreFragments, "up");
  await network.run(async () => {
    await near.socket().sendto(Buffer.alloc(4000), [far.address, 9000]);
    await network.eventually(() => network.trace.packets[1]?.fate === "waits for fragments");
    far.crash();
  });
  const fates = network.trace.packets.map(({ fate }) => fate);
  expect(fates).toEqual(["host is down", "host is down", "dropped by a rule"]);
});
