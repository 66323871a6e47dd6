/** A recording becomes traffic of a simulated network: `network.replay`. */

import { Buffer } from "node:buffer";

import { expect, test } from "vitest";

import { type Host, Network, type NetworkReplayOptions } from "datagram/sim";

import { Blocks, ipPacket, startNs } from "../capture/files.js";

const recorded: readonly (readonly [atMs: number, source: string, text: string, direction?: "out"])[] = [
  [0, "10.0.0.7", "a"],
  [0.05, "10.0.0.8", "b"],
  [20, "10.0.0.7", "c"],
  [21, "10.0.0.1", "answer", "out"],
  [40, "127.0.0.1", "d"],
];

/** A file of datagrams from port 5000 to port 9000. */
function recording(): Buffer {
  const blocks = new Blocks();
  const packets = recorded.map(([atMs, source, text, direction]) => {
    const flags = direction && [blocks.option(2, blocks.uint32(2))];
    return blocks.packet(ipPacket(text, source), startNs / 1000n + BigInt(atMs * 1000), flags);
  });
  return Buffer.concat([blocks.section(), blocks.interface(101), ...packets]);
}

/** The datagrams that reach the desk: time, address of the source, text. */
async function arrivals(
  network: Network,
  desk: Host,
  options: Omit<NetworkReplayOptions, "to"> = {},
): Promise<{ seen: string[]; hosts: string[] }> {
  return network.run(async () => {
    const s = desk.socket();
    await s.bind(["0.0.0.0", 9000]);
    const seen: string[] = [];
    void (async () => {
      for await (const { data, source } of s) seen.push(`${s.clock.now()} ${source} ${String(data)}`);
    })();
    const { hosts, datagrams } = await network.replay(recording(), { to: desk, ...options });
    expect(datagrams).toBe(4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { seen, hosts: [...hosts].map(([address, { name }]) => `${address} ${name}`) };
  });
}

test("each source is a host, and its datagrams leave at their times", async () => {
  const network = new Network();
  const desk = network.host("desk", { address: "10.9.0.1" });
  const { seen, hosts } = await arrivals(network, desk, { link: { latencyMs: 5 } });
  expect(seen).toEqual([
    "5 10.0.0.7:5000 a",
    "5.05 10.0.0.8:5000 b",
    "25 10.0.0.7:5000 c",
    "45 192.0.2.1:5000 d",
  ]);
  expect(hosts).toEqual([
    "10.0.0.7 recorded-10.0.0.7",
    "10.0.0.8 recorded-10.0.0.8",
    "127.0.0.1 recorded-127.0.0.1",
  ]);
});

test("a host that has the address of a source sends for it, on its own links", async () => {
  const network = new Network();
  const desk = network.host("desk", { address: "10.9.0.1" });
  const camera = network.host("camera", { address: "10.0.0.7" });
  const router = network.router("router");
  network.link(camera, router, { latencyMs: 50 });
  network.link(router, desk);
  const { seen, hosts } = await arrivals(network, desk, { via: router, speed: 2 });
  expect(hosts[0]).toBe("10.0.0.7 camera");
  expect(seen).toEqual([
    "0.025 10.0.0.8:5000 b",
    "20 192.0.2.1:5000 d",
    "50 10.0.0.7:5000 a",
    "60 10.0.0.7:5000 c",
  ]);
});

test("losses come from the seed: the same seed repeats the run", async () => {
  const lossy = async (seed: number): Promise<string> => {
    const network = new Network({ seed });
    const desk = network.host("desk", { address: "10.9.0.1" });
    await arrivals(network, desk, { link: { lossRatio: 0.5 } });
    return network.trace.hash;
  };
  const hashes = [await lossy(1), await lossy(1), await lossy(2), await lossy(3)];
  expect(hashes[1]).toBe(hashes[0]);
  expect(new Set(hashes).size).toBeGreaterThan(1);
});

test("the receiver must be a host of the network", async () => {
  const network = new Network();
  const other = new Network().host("other", { address: "10.9.0.1" });
  for (const to of [undefined, "desk", other])
    await expect(network.replay(recording(), { to } as NetworkReplayOptions)).rejects.toThrow(
      "options.to must be a host of this network",
    );
});
