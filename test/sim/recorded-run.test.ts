/** The capture file of a simulated run: read back with its causes, and replayed. */

import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { datagramsOf } from "../capture/files.js";

/** Sends 100 numbered datagrams from a camera over a router to a server. */
async function recorded(): Promise<Network> {
  const network = new Network({ seed: 3 });
  const camera = network.host("camera", { address: "192.168.1.7" });
  const server = network.host("server", { address: "192.168.2.20" });
  const router = network.router("router");
  network.link(camera, router, { lossRatio: 0.1, corruptRatio: 0.05 });
  network.link(router, server, { rateBps: 64_000, queueBytes: 2000 });
  await network.run(async () => {
    const receiver = server.socket();
    await receiver.bind(["0.0.0.0", 9000]);
    const s = camera.socket();
    for (let number = 0; number < 100; number++) {
      await s.sendto(`${number}`.padEnd(100), ["192.168.2.20", 9000]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    // What waits before the slow link arrives.
    await new Promise((resolve) => setTimeout(resolve, 5000));
  });
  return network;
}

test("read tells why each datagram of a simulated run was dropped, as the trace does", async () => {
  const { trace } = await recorded();
  const found = await datagramsOf(trace.toPcapng());
  const passed = new Set(["delivered", "forwarded"]);
  const causes = trace.packets.map(({ fate, corrupted }) =>
    passed.has(fate) ? undefined : corrupted ? `${fate}, corrupted` : fate,
  );
  expect(found.map(({ dropped }) => dropped)).toEqual(causes);
  expect(new Set(causes)).toEqual(new Set([undefined, "lost", "queue full", "wrong checksum"]));
  const links = new Set(trace.packets.map(({ link }) => link));
  expect(new Set(found.map((each) => each.interface))).toEqual(links);
  expect(found.filter(({ dropped }) => dropped === undefined).map(({ comment }) => comment)).toContain(
    "delivered",
  );
});

test("the run is replayed on another network: what the camera sent, or what arrived at the server", async () => {
  const file = (await recorded()).trace.toPcapng();
  const all = await datagramsOf(file);
  const [first, last] = ["camera→router", "router→server"];
  for (const [link, isChosen] of [
    [first, () => true],
    [last, (dropped: string | undefined) => dropped === undefined],
  ] as const) {
    const chosen = all.filter((each) => each.interface === link && isChosen(each.dropped));
    const network = new Network();
    const server = network.host("server", { address: "10.0.0.1" });
    const received: string[] = [];
    await network.run(async () => {
      const s = server.socket();
      await s.bind(["0.0.0.0", 9000]);
      const filter = (each: (typeof all)[number]): boolean =>
        each.interface === link && isChosen(each.dropped);
      const { datagrams, hosts } = await network.replay(file, { to: server, filter });
      expect([...hosts.keys()]).toEqual(["192.168.1.7"]);
      while (received.length < datagrams)
        received.push(...(await s.recvMany(100)).map(({ data }) => data.toString()));
    });
    expect(received).toEqual(chosen.map(({ data }) => data.toString()));
  }
});
