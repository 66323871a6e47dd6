import { AF_INET6, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, SOCK_DGRAM, type Socket } from "datagram";
import { describe, expect, test } from "vitest";

import { type Chain, bytes, chain, fates, heard, icmpOn, packetsOn, pause, textsOf } from "./tools.js";

/** The sockets of both ends. Routers may fragment datagrams from the desk. */
async function ends({ desk, camera }: Chain): Promise<[Socket, Socket]> {
  const [sender, receiver] = [desk.socket(), camera.socket()];
  sender.setsockopt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  await receiver.bind(["0.0.0.0", 9000]);
  return [sender, receiver];
}

const camera = ["10.9.0.2", 9000] as const;

describe("IPv4", () => {
  test("the sender fragments datagrams above the MTU of its link, at multiples of 8, and the peer receives them whole", async () => {
    const world = chain(4, { mtuBytes: 300 });
    await world.network.run(async () => {
      const [s, r] = await ends(world);
      for (const length of [272, 273, 1000, 65_507]) {
        await s.sendto(bytes(length), camera);
        const { data, truncated } = await r.recvmsg();
        expect([data.equals(bytes(length)), truncated]).toEqual([true, false]);
      }
    });
    const sent = packetsOn(world.network, "desk→camera").map(({ packet }) => packet);
    expect(
      sent.slice(0, 7).map(({ offset, length, moreFragments }) => [offset, length, moreFragments]),
    ).toEqual([
      [0, 280, false],
      [0, 280, true],
      [280, 1, false],
      [0, 280, true],
      [280, 280, true],
      [560, 280, true],
      [840, 168, false],
    ]);
    expect(sent).toHaveLength(7 + Math.ceil(65_515 / 280));
    expect(new Set(sent.map(({ identification }) => identification)).size).toBe(4);
  });

  test("over the narrowest possible link, 68 bytes, 65,507 bytes arrive", async () => {
    const world = chain(4, { mtuBytes: 68 });
    await world.network.run(async () => {
      const [s, r] = await ends(world);
      await s.sendto(bytes(65_507), camera);
      expect((await r.recv(65_507)).equals(bytes(65_507))).toBe(true);
    });
    expect(packetsOn(world.network)).toHaveLength(Math.ceil(65_515 / 48));
    expect(fates(world.network)).toEqual({ reassembled: 1364, delivered: 1 });
  });

  test("a router fragments packets above the MTU of the next link, and a second router fragments fragments", async () => {
    const world = chain(4, {}, { mtuBytes: 700 }, { mtuBytes: 300 });
    await world.network.run(async () => {
      const [s, r] = await ends(world);
      await s.sendto(bytes(3000), camera);
      const { data, ttl } = await r.recvmsg();
      expect([data.equals(bytes(3000)), ttl]).toEqual([true, 62]);
    });
    const shape = (link: string) =>
      packetsOn(world.network, link).map(({ packet: { offset, length, moreFragments } }) => [
        offset,
        length,
        moreFragments,
      ]);
    expect(shape("desk→r1")).toEqual([
      [0, 1480, true],
      [1480, 1480, true],
      [2960, 48, false],
    ]);
    expect(shape("r1→r2").map(([offset]) => offset)).toEqual([0, 680, 1360, 1480, 2160, 2840, 2960]);
    const last = shape("r2→camera");
    expect(last.map(([offset]) => offset)).toEqual([
      0, 280, 560, 680, 960, 1240, 1360, 1480, 1760, 2040, 2160, 2440, 2720, 2840, 2960,
    ]);
    expect(last.filter(([, , more]) => more === false)).toEqual([[2960, 48, false]]);
    expect(fates(world.network, "r2→camera")).toEqual({ reassembled: 14, delivered: 1 });
  });

  test("fragments that overtake each other are reassembled", async () => {
    const world = chain(4, { mtuBytes: 300, reorderRatio: 0.5, latencyMs: 5 });
    await world.network.run(async () => {
      const [s, r] = await ends(world);
      for (let round = 0; round < 20; round++) {
        await s.sendto(bytes(2000 + round), camera);
        expect((await r.recv(4000)).equals(bytes(2000 + round))).toBe(true);
      }
    });
    expect(packetsOn(world.network).some(({ reordered }) => reordered)).toBe(true);
  });

  test("if some fragments arrive twice the datagram arrives once; it arrives twice if all of them came again after the first", async () => {
    const world = chain(4, { mtuBytes: 300, duplicateRatio: 0.5, latencyMs: 5 });
    const got: number[] = [];
    await world.network.run(async () => {
      const [s, r] = await ends(world);
      const all = heard(r);
      for (let round = 0; round < 50; round++) {
        const before = all.length;
        await s.sendto(bytes(800), camera);
        await pause(100);
        got.push(all.length - before);
      }
      expect(all.every(({ data }) => data.equals(bytes(800)))).toBe(true);
      await pause(31_000);
    });
    expect(new Set(got)).toEqual(new Set([1]));
    const counts = fates(world.network, "desk→camera");
    expect(counts["duplicate fragment"]).toBeGreaterThan(30);
    // Duplicates after the last part begin a datagram that is never complete.
    expect(counts["reassembly timed out"]).toBeGreaterThan(10);
    expect(counts["waits for fragments"]).toBeUndefined();
  });

  // semantics: reassembly-exceeded
  test("if a fragment is lost, the rest waits for 30 s, and then an ICMP error is sent, but no socket gets it", async () => {
    const world = chain(4, { mtuBytes: 300, latencyMs: 10 }, { latencyMs: 10 });
    const { network, links, camera: host } = world;
    await network.run(async () => {
      const [s, r] = await ends(world);
      const all = heard(r);
      const heal = links[1]!.drop(({ offset }) => offset === 280);
      await s.sendto(bytes(1000), camera);
      await pause(25_000);
      heal();
      await s.sendto("whole", camera);
      await pause(30_720 - 25_001);
      expect(fates(network, "r1→camera")).toEqual({
        "waits for fragments": 3,
        "dropped by a rule": 1,
        delivered: 1,
      });
      await pause(100);
      expect(textsOf(all)).toEqual(["whole"]);
      expect(fates(network, "r1→camera")).toMatchObject({ "reassembly timed out": 3 });
      expect(s.stats().unreachable).toEqual({});
    });
    expect(icmpOn(network, "camera→r1")).toEqual([[11, 1, host.address]]);
    expect(fates(network, "r1→desk")).toMatchObject({ noted: 1 });
  });

  test("without the first fragment, no ICMP error is sent", async () => {
    const world = chain(4, { mtuBytes: 300 });
    await world.network.run(async () => {
      const [s, r] = await ends(world);
      const all = heard(r);
      world.links[0]!.drop(({ offset, moreFragments }) => offset === 0 && moreFragments);
      await s.sendto(bytes(1000), camera);
      await pause(40_000);
      expect(all).toEqual([]);
    });
    expect(fates(world.network)).toEqual({ "dropped by a rule": 1, "reassembly timed out": 3 });
  });

  test("incomplete datagrams use at most 4 MiB of a host, while whole ones arrive; after a time the memory is free", async () => {
    const world = chain(4, {});
    const { network, links } = world;
    await network.run(async () => {
      const [s, r] = await ends(world);
      const all = heard(r);
      const heal = links[0]!.drop(({ offset }) => offset > 0);
      for (let round = 0; round < 3000; round++) await s.sendto(bytes(2000), camera);
      await s.sendto("whole", camera);
      heal();
      await pause(1000);
      await s.sendto(bytes(2000), camera);
      await pause(1000);
      expect(textsOf(all)).toEqual(["whole"]);
      const most = Math.floor((4 << 20) / (200 + 2304)) + 1;
      const first = { "waits for fragments": most, "no memory for fragments": 3002 - most };
      expect(fates(network)).toEqual({ ...first, "dropped by a rule": 3000, delivered: 1 });
      expect(world.camera.stats().host).toMatchObject({ IpReasmFails: 3002 - most, Ip6ReasmFails: 0 });
      await pause(32_000);
      await s.sendto(bytes(2000), camera);
      await pause(1000);
      expect(all.map(({ size }) => size)).toEqual([5, 2000]);
      // As on Linux, each incomplete datagram that is dropped counts once more.
      expect(world.camera.stats().host).toMatchObject({ IpReasmFails: 3002, UdpInErrors: 0 });
    });
    expect(fates(network)["waits for fragments"]).toBeUndefined();
  });

  test("a corrupted fragment makes the datagram corrupt, unless corruption passes", async () => {
    for (const corruptPasses of [false, true]) {
      const world = chain(4, { mtuBytes: 300, corruptRatio: 1, corruptPasses });
      const got = await world.network.run(async () => {
        const [s, r] = await ends(world);
        const all = heard(r);
        await s.sendto(bytes(1000), camera);
        await pause(1000);
        return all;
      });
      expect(fates(world.network)).toEqual({
        reassembled: 3,
        [corruptPasses ? "delivered" : "wrong checksum"]: 1,
      });
      const host = { UdpInErrors: corruptPasses ? 0 : 1, UdpRcvbufErrors: 0, Udp6InErrors: 0 };
      expect(world.camera.stats().host).toMatchObject(host);
      const wrong = got.flatMap(({ data }) => [...data].filter((byte, at) => byte !== bytes(1000)[at]));
      expect(wrong).toHaveLength(corruptPasses ? 4 : 0);
    }
  });

  test("a corruption that the checksum detects is reported after one that it does not detect, too", async () => {
    for (const [first, second] of [
      [false, true],
      [true, false],
    ] as const) {
      const world = chain(
        4,
        { corruptRatio: 1, corruptPasses: first },
        { corruptRatio: 1, corruptPasses: second },
      );
      await world.network.run(async () => {
        const [s, r] = await ends(world);
        const all = heard(r);
        await s.sendto(bytes(1000), camera);
        await pause(10);
        expect(all).toEqual([]);
      });
      expect(fates(world.network, "r1→camera")).toEqual({ "wrong checksum": 1 });
    }
  });

  test("an ICMP error travels in fragments over a link with a smaller MTU", async () => {
    const world = chain(4, { mtuBytes: 300 });
    await world.network.run(async () => {
      const [s] = await ends(world);
      const report = new Promise((resolve) => void s.on("unreachable", resolve));
      await s.sendto(bytes(1000), ["10.9.0.2", 9999]);
      expect(await report).toMatchObject({ kind: "port unreachable", from: "10.9.0.2" });
    });
    expect(fates(world.network, "camera→desk")).toEqual({ reassembled: 1, noted: 1 });
  });
});

describe("IPv6", () => {
  // semantics: reassembly-exceeded
  test("if a fragment is lost, the rest waits for 60 s, and then the sender gets an ICMP error", async () => {
    const world = chain(6, { mtuBytes: 1280, latencyMs: 10 });
    const { network, links, camera: host, desk } = world;
    const reports: unknown[] = [];
    await network.run(async () => {
      const s = desk.socket(AF_INET6, SOCK_DGRAM);
      s.on("unreachable", (report) =>
        reports.push([network.clock.now(), report.kind, report.code, report.from]),
      );
      links[0]!.drop(({ offset }) => offset > 0);
      await s.sendto(bytes(2000), ["fd00:9::2", 9000]);
      await pause(70_000);
    });
    expect(reports).toEqual([[61_450, "fragment reassembly time exceeded", "EHOSTUNREACH", host.address]]);
  });

  test("only the sender fragments, and routers never do", async () => {
    const world = chain(6, { mtuBytes: 1280 }, { mtuBytes: 1500 });
    await world.network.run(async () => {
      const s = world.desk.socket(AF_INET6, SOCK_DGRAM);
      const r = world.camera.socket(AF_INET6, SOCK_DGRAM);
      await r.bind(["::", 9000]);
      for (const length of [1232, 1233, 65_527]) {
        await s.sendto(bytes(length), ["fd00:9::2", 9000]);
        const { data, source } = await r.recvmsg();
        expect([data.equals(bytes(length)), source.host]).toEqual([true, "fd00::1"]);
      }
    });
    expect(packetsOn(world.network, "desk→r1")).toHaveLength(1 + 2 + Math.ceil(65_535 / 1232));
    expect(packetsOn(world.network, "r1→camera")).toHaveLength(1 + 2 + Math.ceil(65_535 / 1232));
  });
});

test("a datagram of n fragments is lost if one of them is lost, and no part of it arrives", async () => {
  const world = chain(4, { lossRatio: 0.2, mtuBytes: 300 });
  await world.network.run(async () => {
    const [s, r] = await ends(world);
    const all = heard(r);
    for (let round = 0; round < 500; round++) {
      await s.sendto(bytes(1000), camera);
      await pause(1);
    }
    await pause(40_000);
    const byDatagram = new Map<number, boolean>();
    for (const { packet, fate } of packetsOn(world.network, "desk→camera")) {
      byDatagram.set(
        packet.identification,
        (byDatagram.get(packet.identification) ?? true) && fate !== "lost",
      );
    }
    expect(all).toHaveLength([...byDatagram.values()].filter(Boolean).length);
    // 0.8^4 of 500, within 4 standard deviations.
    expect(Math.abs(all.length - 204.8)).toBeLessThan(4 * Math.sqrt(500 * 0.4096 * 0.5904));
    expect(all.every(({ data }) => data.equals(bytes(1000)))).toBe(true);
  });
});
