/**
 * One seed always has the same run, on every platform and every version of Node. The hashes come from one of these. If you
 * change on purpose what the network does to packets, replace the hashes.
 */

import { AF_INET6 } from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { runScenario } from "./fixtures/scenario.js";
import { pause } from "./tools.js";

test("the hash of requests over a bad link is the known one", async () => {
  const network = new Network({ seed: 7 });
  const camera = network.host("camera", { address: "10.0.0.2" });
  const desk = network.host("desk", { address: "10.0.0.1" });
  const bad = {
    lossRatio: 0.2,
    latencyMs: 25,
    jitterMs: 10,
    duplicateRatio: 0.05,
    reorderRatio: 0.1,
    corruptRatio: 0.05,
  };
  network.link(camera, desk, bad);
  let answered = 0;
  await network.run(async () => {
    const acks = camera.socket();
    await acks.bind(["", 9000]);
    void (async () => {
      for await (const datagram of acks) await datagram.reply(["ack: ", datagram.data]);
    })();
    const s = desk.socket();
    for (let request = 0; request < 200; request++) {
      await s.sendto(`ping ${request}`, ["camera", 9000]);
      answered += await s.recvfrom(64, { timeoutMs: 100 }).then(
        () => 1,
        () => 0,
      );
    }
  });
  expect(answered).toBeGreaterThan(100);
  expect(network.trace.hash).toBe("ccda0fec0f6552f8");
});

test("the hash of long datagrams through a NAT, over a slow link with bursts of losses, is the known one", async () => {
  const network = new Network({ seed: 8 });
  const inside = network.host("inside", { address: "192.168.0.2" });
  const outside = network.host("outside", { address: "203.0.113.5" });
  const nat = network.router("nat", { address: "198.51.100.1", nat: true });
  network.link(inside, nat, { rateBps: 2_000_000, queueBytes: 40_000 });
  network.link(nat, outside, { lossRatio: 0.1, lossBurstLength: 3, latencyMs: 40, mtuBytes: 1280 });
  await network.run(async () => {
    const [from, to] = [inside.socket(), outside.socket()];
    await to.bind(["", 9000]);
    for (let sent = 0; sent < 100; sent++) {
      await from.sendto(Buffer.alloc(200 * sent, sent), [outside.address, 9000]);
      if (sent === 50) nat.rebind();
      await pause(20);
    }
  });
  expect(outside.stats().sent.datagrams + inside.stats().sent.datagrams).toBe(100);
  expect(network.trace.hash).toBe("fe8ff58ca3b41a1a");
});

test("the hash of IPv6 through routers, with ICMP errors, is the known one", async () => {
  const network = new Network({ seed: 9 });
  const [one, other] = [
    network.host("one", { address: "fd00::1" }),
    network.host("other", { address: "fd01::1" }),
  ];
  const [near, far] = [network.router("near"), network.router("far")];
  network.link(one, near, { latencyMs: 1 });
  network.link(near, far, { mtuBytes: 1400, jitterMs: 5 });
  network.link(far, other, { gilbertElliott: { toBadRatio: 0.05, toGoodRatio: 0.3, badLossRatio: 0.9 } });
  await network.run(async () => {
    const s = one.socket(AF_INET6);
    for (let sent = 0; sent < 100; sent++) {
      await s.sendto(Buffer.alloc(30 * sent), [other.address, 9000]);
      if (sent === 60) other.crash();
      if (sent === 80) other.restart();
      await pause(10);
    }
    expect(s.stats().unreachable?.ECONNREFUSED).toBeGreaterThan(10);
    expect(s.stats().tooBig).toBeGreaterThan(0);
  });
  expect(network.trace.hash).toBe("a63b78f3174a05e7");
});

test.each([
  [1, "eb53264963a849ee"],
  [2, "4e7cf6c0943737da"],
  [3, "2a21238c4a3fed99"],
])("the scenario of seed %i", async (seed, hash) => {
  expect(await runScenario(seed)).toBe(hash);
});
