import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DONT,
  SOCK_DGRAM,
  type PathMtuChange,
  type Socket,
} from "datagram";
import { type CapturedUnreachable, read, record } from "datagram/capture";
import { probePathMtu } from "datagram/message";
import { describe, expect, test } from "vitest";

import { type Chain, bytes, chain, failure, fates, heard, icmpOn, packetsOn, pause } from "./tools.js";

const camera = ["10.9.0.2", 9000] as const;
const camera6 = ["fd00:9::2", 9000] as const;

/** A socket that echoes each datagram. */
async function echo({ camera: host }: Chain, version: 4 | 6 = 4): Promise<Socket> {
  const s = host.socket(version === 4 ? AF_INET : AF_INET6);
  await s.bind([version === 4 ? "0.0.0.0" : "::", 9000]);
  void (async () => {
    for await (const datagram of s) await datagram.reply(datagram.data);
  })();
  return s;
}

function changes(s: Socket): PathMtuChange[] {
  const list: PathMtuChange[] = [];
  s.on("pathMtu", (change) => list.push(change));
  return list;
}

describe("path MTU discovery", () => {
  test("the first datagram that is too large is lost, an event has the limit, and later datagrams are fragmented", async () => {
    const world = chain(4, { latencyMs: 5 }, { mtuBytes: 1000, latencyMs: 5 });
    const { network, desk, camera: host, routers } = world;
    await network.run(async () => {
      const [s, r] = [desk.socket(), host.socket()];
      await r.bind(["0.0.0.0", 9000]);
      const [all, told] = [heard(r), changes(s)];
      expect(s.pathMtu(camera)).toBe(1500);
      await s.sendto(bytes(1200), camera);
      await pause(100);
      expect(told).toEqual([expect.objectContaining({ mtu: 1000 })]);
      expect(`${told[0]?.destination.host}:${told[0]?.destination.port}`).toBe(camera.join(":"));
      expect([s.pathMtu(camera), s.maxPayload(camera), s.stats().tooBig]).toEqual([1000, 972, 1]);
      await s.sendto(bytes(1200), camera);
      await s.sendto(bytes(972), camera);
      await pause(100);
      expect(all.map(({ size }) => size)).toEqual([1200, 972]);
      expect(desk.socket().pathMtu(camera)).toBe(1000);
      expect(s.pathMtu(["10.9.0.3", 9000])).toBe(1500);
    });
    expect(icmpOn(network, "r1→desk")).toEqual([[3, 4, routers[0]?.addresses[0]]]);
    expect(fates(network, "desk→r1")).toEqual({ "too big": 1, forwarded: 3 });
  });

  test.for([4, 6] as const)("a recording has the ICMP error with its MTU, over IPv%i", async (version, t) => {
    const folder = mkdtempSync(join(tmpdir(), "datagram-mtu-"));
    t.onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "mtu.pcapng");
    const { network, desk } = chain(version, { latencyMs: 5 }, { mtuBytes: 1400, latencyMs: 5 });
    await network.run(async () => {
      const s = desk.socket(version === 4 ? AF_INET : AF_INET6);
      const recording = record(s, file);
      await s.sendto(bytes(1420), version === 4 ? camera : camera6);
      await pause(100);
      expect((await recording.close()).unreachable).toBe(1);
    });
    const errors: CapturedUnreachable[] = [];
    for await (const { size } of read(file, { onUnreachable: (error) => errors.push(error) }))
      expect(size).toBe(1420);
    const [type, code] = version === 4 ? [3, 4] : [2, 0];
    expect(errors).toEqual([expect.objectContaining({ type, code, mtu: 1400 })]);
    expect(String(errors[0]?.destination)).toBe(version === 4 ? "10.9.0.2:9000" : "[fd00:9::2]:9000");
  });

  test("a path MTU from an ICMP error expires after ten minutes", async () => {
    const { network, desk, camera: host } = chain(4, {}, { mtuBytes: 1000 });
    await network.run(async () => {
      const [s, r] = [desk.socket(), host.socket()];
      await r.bind(["0.0.0.0", 9000]);
      await s.sendto(bytes(1200), camera);
      await pause(599_000);
      expect(s.pathMtu(camera)).toBe(1000);
      await pause(2_000);
      expect(s.pathMtu(camera)).toBe(1500);
    });
  });

  test("with dontFragment a send above the limit is EMSGSIZE with the limit, for the first link and after an ICMP error", async () => {
    const { network, desk, camera: host } = chain(4, { mtuBytes: 1400 }, { mtuBytes: 1000 });
    await network.run(async () => {
      const s = desk.socket(AF_INET, SOCK_DGRAM, { dontFragment: true });
      const r = host.socket();
      await r.bind(["0.0.0.0", 9000]);
      const told = changes(s);
      expect(await failure(s.sendto(bytes(1373), camera))).toMatchObject({ code: "EMSGSIZE", limit: 1372 });
      await s.sendto(bytes(1372), camera);
      await pause(10);
      expect(told).toMatchObject([{ mtu: 1000 }]);
      expect(await failure(s.sendto(bytes(973), camera))).toMatchObject({ code: "EMSGSIZE", limit: 972 });
      await s.sendto(bytes(972), camera);
      expect((await r.recvmsg()).size).toBe(972);
    });
    expect(packetsOn(network).every(({ packet }) => !packet.moreFragments)).toBe(true);
  });

  test("without path MTU discovery routers fragment, and nothing is lost or learnt", async () => {
    const { network, desk, camera: host } = chain(4, {}, { mtuBytes: 1000 });
    await network.run(async () => {
      const [s, r] = [desk.socket(), host.socket()];
      await r.bind(["0.0.0.0", 9000]);
      s.setsockopt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
      await s.sendto(bytes(1200), camera);
      expect((await r.recvmsg()).size).toBe(1200);
      expect(s.pathMtu(camera)).toBe(1500);
    });
    expect(fates(network, "r1→camera")).toEqual({ reassembled: 1, delivered: 1 });
    expect(icmpOn(network)).toEqual([]);
  });

  test("over IPv4 the path MTU is never below 552 bytes, and routers fragment for narrower links", async () => {
    const { network, desk, camera: host } = chain(4, {}, { mtuBytes: 300 });
    await network.run(async () => {
      const [s, r] = [desk.socket(), host.socket()];
      await r.bind(["0.0.0.0", 9000]);
      const all = heard(r);
      for (const length of [1200, 1200, 500, 524, 200]) {
        await s.sendto(bytes(length), camera);
        await pause(10);
      }
      expect(s.pathMtu(camera)).toBe(552);
      expect(all.map(({ size }) => size)).toEqual([1200, 500, 524, 200]);
    });
  });

  test("the narrowest of several links is found, one after another", async () => {
    const {
      network,
      desk,
      camera: host,
    } = chain(4, {}, { mtuBytes: 1400 }, { mtuBytes: 1300 }, { mtuBytes: 1200 });
    await network.run(async () => {
      const [s, r] = [desk.socket(), host.socket()];
      await r.bind(["0.0.0.0", 9000]);
      const [told, all] = [changes(s), heard(r)];
      // A datagram at the known limit, in one packet, so that the next link can refuse it.
      for (let round = 0; round < 4; round++) {
        await s.sendto(bytes(s.maxPayload(camera) ?? 0), camera);
        await pause(10);
      }
      expect(told.map(({ mtu }) => mtu)).toEqual([1400, 1300, 1200]);
      expect(all.map(({ size }) => size)).toEqual([1172]);
    });
  });

  test("over IPv6 a router sends packet too big, and the sender fragments", async () => {
    const { network, desk, camera: host, routers } = chain(6, {}, { mtuBytes: 1280 });
    await network.run(async () => {
      const [s, r] = [desk.socket(AF_INET6), host.socket(AF_INET6)];
      await r.bind(["::", 9000]);
      const told = changes(s);
      await s.sendto(bytes(1400), camera6);
      await pause(10);
      expect(told).toMatchObject([{ mtu: 1280 }]);
      await s.sendto(bytes(1400), camera6);
      expect((await r.recvmsg()).size).toBe(1400);
    });
    expect(icmpOn(network)).toEqual([[2, 0, routers[0]?.addresses.find((each) => each.includes(":"))]]);
    expect(fates(network, "r1→camera")).toEqual({ reassembled: 1, delivered: 1 });
  });
});

describe("a black hole", () => {
  test("behind a router that drops ICMP, too large datagrams are always lost, and a probe finds the size", async () => {
    const world = chain(4, { latencyMs: 20 }, { latencyMs: 20 }, { mtuBytes: 1000, latencyMs: 20 });
    const { network, desk, routers } = world;
    routers[0]!.firewall = { dropIcmp: true };
    await network.run(async () => {
      await echo(world);
      const s = desk.socket();
      const told = changes(s);
      for (let round = 0; round < 10; round++) {
        await s.sendto(bytes(1200), camera);
        expect(await failure(s.recvmsg({ timeoutMs: 1000 }))).toMatchObject({ code: "ETIMEDOUT" });
      }
      expect([told, s.pathMtu(camera)]).toEqual([[], 1500]);
      const started = network.clock.now();
      expect(await probePathMtu(s, camera)).toMatchObject({ maxPayload: 972, mtu: 1000, blackHole: true });
      expect(network.clock.now() - started).toBeGreaterThan(1000);
    });
    expect(icmpOn(network, "r1→desk")).toEqual([]);
    expect(fates(network, "r2→r1")["dropped by a firewall"]).toBeGreaterThan(9);
  });

  test("a router that drops fragments drops all parts of a fragmented datagram, the first too, and nothing else", async () => {
    const world = chain(4, {}, {});
    world.routers[0]!.firewall = { dropFragments: true };
    const { network, desk } = world;
    await network.run(async () => {
      await echo(world);
      const s = desk.socket();
      await s.sendto(bytes(1473), camera);
      await s.sendto(bytes(1472), camera);
      expect((await s.recvmsg()).size).toBe(1472);
      expect(await failure(s.recvmsg({ timeoutMs: 60_000 }))).toMatchObject({ code: "ETIMEDOUT" });
      world.routers[0]!.firewall = {};
      await s.sendto(bytes(1473), camera);
      expect((await s.recvmsg()).size).toBe(1473);
    });
    expect(fates(network)["dropped by a firewall"]).toBe(2);
  });

  for (const [version, mtuBytes, maxPayload] of [
    [4, 1000, 972],
    [6, 1300, 1252],
  ] as const) {
    test(`with the profile "broken-firewall", no error reports a narrow link over IPv${version}`, async () => {
      const world = chain(version, {}, "broken-firewall", { mtuBytes });
      const { network, desk } = world;
      const peer = version === 4 ? camera : camera6;
      await network.run(async () => {
        await echo(world, version);
        const s = desk.socket(version === 4 ? AF_INET : AF_INET6);
        for (const length of [1400, 3000]) {
          await s.sendto(bytes(length), peer);
          expect(await failure(s.recvmsg({ timeoutMs: 60_000 }))).toMatchObject({ code: "ETIMEDOUT" });
        }
        expect(s.pathMtu(peer)).toBe(1500);
        const { host } = await s
          .sendto("x", peer)
          .then(() => s.recvmsg())
          .then(({ source }) => source);
        expect(host).toBe(peer[0]);
        expect(await probePathMtu(s, peer)).toMatchObject({ maxPayload, blackHole: true });
      });
      expect(fates(network, "r1→r2")["dropped by a firewall"]).toBe(3);
      expect(fates(network, "r2→r1")["dropped by a firewall"]).toBeGreaterThan(0);
    });
  }
});

test("an unknown setting of a firewall is refused", () => {
  const { routers } = chain(4, {}, {});
  const set = (firewall: unknown) => () => (routers[0]!.firewall = firewall as never);
  expect(set({ dropFragment: true })).toThrow(
    /^router r1: firewall: a field must be one of dropFragments, dropIcmp/,
  );
  expect(set({ dropIcmp: 1 })).toThrow(/^router r1: firewall: dropIcmp must be a boolean/);
  expect(set(null)).toThrow(/^router r1: firewall must be an object/);
});
