import { Network } from "datagram/sim";
import { expect, test } from "vitest";

test.each([
  ["of a router", 68],
  ["of the host at the end", 1500],
])("an ICMP error %s that is longer than the next link's MTU comes in fragments", async (_, farMtuBytes) => {
  const network = new Network();
  const [near, far] = [
    network.host("near", { address: "10.0.0.1" }),
    network.host("far", { address: "10.0.1.1" }),
  ];
  const router = network.router("router");
  network.link(near, router, { mtuBytes: 296 });
  network.link(router, far, { mtuBytes: farMtuBytes });
  await network.run(async () => {
    const s = near.socket();
    // With its 28 bytes of headers just what the link carries: quoted in an error, it is more.
    await s.sendto(Buffer.alloc(268), [far.address, 9000]);
    await network.eventually(() => s.stats().tooBig + (s.stats().unreachable?.ECONNREFUSED ?? 0) === 1);
  });
  const errors = network.trace.packets.filter(
    ({ link, packet }) => link === "router→near" && packet.content.protocol === "icmp",
  );
  expect(errors.map(({ packet }) => packet.offset)).toEqual([0, 272]);
  expect(errors.map(({ fate }) => fate)).toEqual(["reassembled", "noted"]);
});
