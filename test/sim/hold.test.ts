/** Links that hold packets, and partitions of one direction. */

import { type Host, type Link, Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { chain, failure, fates, heard, packetsOn, pause, textsOf } from "./tools.js";

const camera = ["10.9.0.2", 9000] as const;

async function listen(host: Host) {
  const s = host.socket();
  await s.bind(["", 9000]);
  return heard(s);
}

/** Opens sockets on both hosts; `exchange` sends a text in each direction. */
async function talk(desk: Host, host: Host) {
  const [there, here] = [await listen(host), await listen(desk)];
  const [s, back] = [desk.socket(), host.socket()];
  const exchange = async (text: string): Promise<void> => {
    await s.sendto(text, camera);
    await back.sendto(text, [desk.address, 9000]);
    await pause(10);
  };
  return { there, here, exchange };
}

describe("a link that is held", () => {
  test("a held link keeps its packets, those in flight too, until release; then they arrive in the order in which they were sent", async () => {
    const { network, desk, camera: host, links } = chain(4, { latencyMs: 10 });
    const link = links[0]!;
    await network.run(async () => {
      const all = await listen(host);
      const s = desk.socket();
      await s.sendto("travels", camera);
      network.hold(link);
      for (const text of ["one", "two", "three"]) {
        await s.sendto(text, camera);
        await pause(50);
      }
      expect(all).toEqual([]);
      expect(fates(network)).toEqual({ held: 4 });
      // Not held: arrives at the usual time.
      await s.sendto("last", camera);
      network.release(link);
      await pause(1);
      expect(textsOf(all)).toEqual(["travels", "one", "two", "three"]);
      await pause(10);
      expect(textsOf(all).at(-1)).toBe("last");
    });
    const came = packetsOn(network).map(({ sentMs, arrivedMs, held, fate }) => [
      sentMs,
      arrivedMs,
      held,
      fate,
    ]);
    expect(came).toEqual([
      [0, 150, true, "delivered"],
      [0, 150, true, "delivered"],
      [50, 150, true, "delivered"],
      [100, 150, true, "delivered"],
      [150, 160, false, "delivered"],
    ]);
    expect(network.trace.toString().split("\n")[1]).toMatch(/: delivered after 150 ms, held$/);
  });

  test("one direction can be held, and the returned call releases its packets", async () => {
    const { network, desk, camera: host, links } = chain(4, {});
    await network.run(async () => {
      const { there, here, exchange } = await talk(desk, host);
      const release = network.hold(links[0]!, "up");
      network.hold(links[0]!, "up");
      await exchange("1");
      expect([textsOf(there), textsOf(here)]).toEqual([[], ["1"]]);
      network.hold(links[0]!, "down");
      network.release(links[0]!, "up");
      await exchange("2");
      expect([textsOf(there), textsOf(here)]).toEqual([["1", "2"], ["1"]]);
      release();
      network.release(links[0]!);
      network.release(links[0]!);
      await exchange("3");
      expect(textsOf(here)).toEqual(["1", "2", "3"]);
    });
  });

  test("a held link keeps 16,384 packets, and drops later ones", async () => {
    const { network, desk, camera: host, links } = chain(4, {});
    await network.run(async () => {
      const all = await listen(host);
      network.hold(links[0]!);
      await desk.socket().sendMany(
        Array.from({ length: 16_394 }, () => "x"),
        camera,
      );
      await pause(10);
      expect(fates(network)).toEqual({ held: 16_384, "queue full": 10 });
      network.release(links[0]!);
      await pause(10);
      expect(fates(network)).toMatchObject({ "queue full": 10 });
      expect(all.length).toBeGreaterThan(5000);
    });
  });

  test("a held link keeps 16 MiB, and drops later packets", async () => {
    const network = new Network();
    const [near, far] = [
      network.host("near", { address: "10.0.0.1" }),
      network.host("far", { address: "10.9.0.2" }),
    ];
    const link = network.link(near, far, { mtuBytes: 65_536 });
    network.hold(link);
    await network.run(async () => {
      await near.socket().sendMany(
        Array.from({ length: 260 }, () => Buffer.alloc(65_507)),
        camera,
      );
      await pause(10);
    });
    // There is room for 256 packets of 65,535 bytes, and 256 bytes more.
    expect(fates(network)).toEqual({ held: 256, "queue full": 4 });
  });

  test("packets of a crashed host are held and released too, and packets to a host that is down are lost", async () => {
    const { network, desk, camera: host, links } = chain(4, {});
    await network.run(async () => {
      const all = await listen(host);
      await listen(desk);
      network.hold(links[0]!);
      await desk.socket().sendto("it had left", camera);
      await host.socket().sendto("too late", [desk.address, 9000]);
      await pause(10);
      desk.crash();
      network.release(links[0]!);
      await pause(10);
      expect(textsOf(all)).toEqual(["it had left"]);
    });
    expect(fates(network, "camera→desk")).toEqual({ "host is down": 1 });
  });

  test("a held link is named if a run cannot continue", async () => {
    const { network, desk, camera: host, links } = chain(4, {});
    network.hold(links[0]!);
    const run = network.run(async () => {
      const r = host.socket();
      await r.bind(["", 9000]);
      await desk.socket().sendto("x", camera);
      await r.recv(10);
    });
    expect(await failure(run)).toMatchObject({
      code: "ERR_SIM_DEADLOCK",
      waiting: [
        "camera waits for a datagram on 0.0.0.0:9000",
        "1 packet on desk→camera: held until network.release()",
      ],
    });
  });

  test("hold() refuses a link of another network, and a direction other than up or down", () => {
    const { network, links } = chain(4, {});
    const other = chain(4, {}).links[0]!;
    for (const call of ["hold", "release"] as const) {
      expect(() => network[call](other)).toThrow(`${call}: link must be a link of this network`);
      expect(() => network[call](undefined as unknown as Link)).toThrow(TypeError);
      expect(() => network[call](links[0]!, "left" as "up")).toThrow(
        `${call}: direction must be up or down, not "left"`,
      );
    }
  });
});

describe("a partition of one direction", () => {
  test("a one-way partition drops packets from the first hosts to the second, through a router too, until it is healed", async () => {
    const { network, desk, camera: host } = chain(4, {}, {});
    await network.run(async () => {
      const { there, here, exchange } = await talk(desk, host);
      const heal = network.partitionOneWay([desk], [host]);
      await exchange("1");
      expect([textsOf(there), textsOf(here)]).toEqual([[], ["1"]]);
      const healOther = network.partitionOneWay([host], [desk]);
      await exchange("2");
      heal();
      await exchange("3");
      expect([textsOf(there), textsOf(here)]).toEqual([["3"], ["1"]]);
      healOther();
      await exchange("4");
      expect([textsOf(there), textsOf(here)]).toEqual([
        ["3", "4"],
        ["1", "4"],
      ]);
    });
    expect(fates(network).cut).toBe(4);
  });

  test("a one-way partition checks its groups as partition() does", () => {
    const { network, desk } = chain(4, {});
    expect(() => network.partitionOneWay([desk], [desk])).toThrow(
      'partitionOneWay: group 1 must be hosts that no other group has, not "desk"',
    );
    expect(() => network.partitionOneWay(desk as unknown as Host[], [])).toThrow(TypeError);
  });
});
