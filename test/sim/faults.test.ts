import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DONT,
  SOL_SOCKET,
  SO_BROADCAST,
} from "datagram";
import { type Host, Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { type Chain, bytes, chain, failure, fates, heard, packetsOn, pause, textsOf } from "./tools.js";

const camera = ["10.9.0.2", 9000] as const;

async function receiver({ camera: host }: Chain) {
  const r = host.socket();
  await r.bind(["0.0.0.0", 9000]);
  return heard(r);
}

describe("partitions", () => {
  test("a partition separates groups, also for broadcasts, until the returned call heals it; hosts in no group reach everybody", async () => {
    const network = new Network();
    const segment = network.switch("segment");
    const hosts = ["a", "b", "c", "free"].map((name, index) =>
      network.host(name, { address: `10.0.0.${index + 1}` }),
    );
    for (const host of hosts) network.link(host, segment);
    const [a, b, c, free] = hosts as [Host, Host, Host, Host];
    await network.run(async () => {
      const lists = await Promise.all(
        hosts.map(async (host) => {
          const s = host.socket();
          await s.bind(["0.0.0.0", 9000]);
          s.addMembership("239.1.1.1");
          return heard(s);
        }),
      );
      const s = a.socket();
      s.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
      const reached = async (to: string): Promise<string[]> => {
        for (const list of lists) list.length = 0;
        await s.sendto("x", [to, 9000]);
        await pause(10);
        return hosts.filter((_, index) => (lists[index]?.length ?? 0) > 0).map(({ name }) => name);
      };
      const everybody = ["255.255.255.255", "239.1.1.1"];
      const heal = network.partition([a, b], [c]);
      const healOther = network.partition([a], [free]);
      for (const to of everybody) expect(await reached(to)).toEqual(["a", "b"]);
      expect([await reached(b.address), await reached(c.address), await reached(free.address)]).toEqual([
        ["b"],
        [],
        [],
      ]);
      healOther();
      expect([await reached(c.address), await reached(free.address)]).toEqual([[], ["free"]]);
      heal();
      heal();
      for (const to of everybody) expect(await reached(to)).toEqual(["a", "b", "c", "free"]);
    });
    expect(fates(network, "a→segment").cut).toBe(3);
  });

  test("a partition stops packets from the other side through routers as well, both ways", async () => {
    const world = chain(4, {}, {});
    const { network, desk, camera: host } = world;
    await network.run(async () => {
      const all = await receiver(world);
      const [s, back] = [desk.socket(), host.socket()];
      await s.bind(["0.0.0.0", 9001]);
      const own = heard(s);
      const heal = network.partition([desk], [host]);
      await s.sendto("x", camera);
      await back.sendto("y", ["10.0.0.1", 9001]);
      await pause(10);
      expect([all, own]).toEqual([[], []]);
      heal();
      await s.sendto("x", camera);
      await back.sendto("y", ["10.0.0.1", 9001]);
      await pause(10);
      expect([textsOf(all), textsOf(own)]).toEqual([["x"], ["y"]]);
    });
  });
});

describe("links", () => {
  test("cut() stops new packets but not packets in flight, and mend() ends it", async () => {
    const world = chain(4, { latencyMs: 50 });
    await world.network.run(async () => {
      const all = await receiver(world);
      const s = world.desk.socket();
      await s.sendto("travels", camera);
      world.links[0]!.cut();
      await s.sendto("cut", camera);
      await pause(100);
      world.links[0]!.mend();
      await s.sendto("mended", camera);
      await pause(100);
      expect(textsOf(all)).toEqual(["travels", "mended"]);
    });
    expect(packetsOn(world.network).map(({ fate, arrivedMs }) => [fate, arrivedMs])).toEqual([
      ["delivered", 50],
      ["cut", undefined],
      ["delivered", 150],
    ]);
  });

  test("blackHole drops packets on and off, from its first moment on, and mend() ends it", async () => {
    const world = chain(4, {});
    const { network, links, desk } = world;
    await network.run(async () => {
      const all = await receiver(world);
      const s = desk.socket();
      await pause(1000);
      links[0]!.blackHole({ onMs: 5000, offMs: 2000, firstMs: 500 });
      for (let second = 0; second < 20; second++) {
        await s.sendto(`${second}`, camera);
        await pause(1000);
      }
      // Dropped from 0.5 to 5.5, 7.5 to 12.5 and 14.5 to 19.5 ms.
      expect(textsOf(all)).toEqual(["0", "6", "7", "13", "14"]);
      links[0]!.blackHole();
      await s.sendto("never", camera);
      await pause(100_000);
      await s.sendto("never", camera);
      links[0]!.mend();
      await s.sendto("mended", camera);
      await pause(10);
      expect(textsOf(all).slice(5)).toEqual(["mended"]);
    });
    expect(fates(network)).toEqual({ "black hole": 17, delivered: 6 });
  });

  test("drop(rule) drops the packets that the rule selects, in its direction, until the returned call; every rule sees every packet", async () => {
    const world = chain(4, {});
    const { network, links, desk, camera: host } = world;
    await network.run(async () => {
      const all = await receiver(world);
      const [s, back] = [desk.socket(), host.socket()];
      await s.bind(["0.0.0.0", 9001]);
      const own = heard(s);
      let [seen, other] = [0, 0];
      const endThird = links[0]!.drop(() => ++seen === 3, "up");
      const endAll = links[0]!.drop(() => {
        other++;
        return false;
      });
      const endDown = links[0]!.drop(
        ({ content }) => content.protocol === "udp" && content.payload.length > 3,
        "down",
      );
      for (const text of ["1", "2", "3", "4"]) await s.sendto(text, camera);
      for (const text of ["no", "long"]) await back.sendto(text, ["10.0.0.1", 9001]);
      await pause(10);
      expect([textsOf(all), textsOf(own), seen, other]).toEqual([["1", "2", "4"], ["no"], 4, 6]);
      for (const end of [endThird, endAll, endDown]) end();
      await back.sendto("long", ["10.0.0.1", 9001]);
      await pause(10);
      expect([textsOf(own), seen, other]).toEqual([["no", "long"], 4, 6]);
    });
    expect(fates(network)["dropped by a rule"]).toBe(2);
  });

  test("a rule that throws ends the run with its error, and the next run works", async () => {
    const world = chain(4, {});
    const { network, links, desk } = world;
    links[0]!.drop(() => {
      throw new Error("a bad rule");
    });
    const sent = network.run(async () => {
      await desk.socket().sendto("x", camera);
      await pause(1000);
    });
    expect(String(await failure(sent))).toMatch(/^Error: a bad rule\n\(at 0 ms of virtual time; seed 815/);
    await network.run(async () => {
      const all = await receiver(world);
      await desk.socket().sendto("y", camera);
      await pause(10);
      expect(textsOf(all)).toEqual(["y"]);
    });
  });

  test("set() affects packets that are sent later, but not packets in flight", async () => {
    const world = chain(4, { latencyMs: 100 });
    const { network, links, desk } = world;
    await network.run(async () => {
      const all = await receiver(world);
      const s = desk.socket();
      s.setsockopt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
      await s.sendto("slow", camera);
      links[0]!.set({ latencyMs: 10, mtuBytes: 68 });
      await s.sendto("fast", camera);
      await s.sendto(bytes(100), camera);
      links[0]!.set({ lossRatio: 1 });
      await s.sendto("lost", camera);
      await pause(50);
      expect(all.map(({ size }) => size)).toEqual([4, 100]);
      await pause(100);
      expect(textsOf(all)[2]).toBe("slow");
      links[0]!.set({ up: {}, down: { lossRatio: 1 } });
      await s.sendto("up", camera);
      await pause(10);
      expect(textsOf(all)[3]).toBe("up");
    });
    expect(fates(network)).toEqual({ delivered: 4, reassembled: 2, lost: 1 });
  });
});

describe("a host that crashes", () => {
  test("a crashed host loses its sockets: waiting calls get ECANCELED, every later call EBADF, and an iteration ends", async () => {
    const world = chain(4, {});
    await world.network.run(async () => {
      const s = world.camera.socket();
      await s.bind(["0.0.0.0", 9000]);
      const iterated = world.camera.socket();
      await iterated.bind(["0.0.0.0", 9001]);
      const iteration = (async () => {
        for await (const each of iterated) throw new Error(`${each.size} bytes came`);
      })();
      const waits = [s.recvfrom(10), s.recvmsg(), s.recv(10, { timeoutMs: 5000 })];
      const failures = waits.map((each) => failure(each));
      world.camera.crash();
      expect(world.camera.isUp).toBe(false);
      for (const each of failures) expect(await each).toMatchObject({ code: "ECANCELED" });
      await iteration;
      expect(await failure(s.recv(10))).toMatchObject({ code: "EBADF" });
      expect(await failure(s.sendto("x", ["10.0.0.1", 9]))).toMatchObject({ code: "EBADF" });
      expect(() => world.camera.socket()).toThrow(expect.objectContaining({ code: "ENETDOWN" }));
    });
  });

  test("a crashed host receives and sends nothing until it restarts, and then a new socket has the same port, with nothing unread", async () => {
    const world = chain(4, { latencyMs: 10 });
    const { network, desk, camera: host } = world;
    await network.run(async () => {
      const old = host.socket();
      await old.bind(["0.0.0.0", 9000]);
      const s = desk.socket();
      const reports: string[] = [];
      s.on("unreachable", ({ code }) => reports.push(code));
      await s.sendto("unread", camera);
      await pause(20);
      await s.sendto("on its way", camera);
      host.crash();
      await s.sendto("down", camera);
      await pause(60_000);
      expect(reports).toEqual([]);
      host.restart();
      expect(host.isUp).toBe(true);
      await s.sendto("nobody", camera);
      await pause(100);
      expect(reports).toEqual(["ECONNREFUSED"]);
      const fresh = host.socket();
      await fresh.bind(["0.0.0.0", 9000]);
      const all = heard(fresh);
      await s.sendto("fresh", camera);
      await pause(100);
      expect(textsOf(all)).toEqual(["fresh"]);
    });
    expect(fates(network, "desk→camera")).toEqual({ delivered: 2, "host is down": 2, "nobody listens": 1 });
  });

  test("a host that restarts at once has its ports free at once, and receives packets that are still in flight", async () => {
    const world = chain(4, { latencyMs: 10 });
    const { network, desk, camera: host } = world;
    await network.run(async () => {
      const old = host.socket();
      await old.bind(["0.0.0.0", 9000]);
      await desk.socket().sendto("travels", camera);
      host.crash();
      host.restart();
      const fresh = host.socket();
      await fresh.bind(["0.0.0.0", 9000]);
      expect((await fresh.recv(100)).toString()).toBe("travels");
      expect(await failure(old.recv(10))).toMatchObject({ code: "EBADF" });
    });
  });

  test("a crashed host sends nothing more, also nothing that waits for a name", async () => {
    const world = chain(4, {});
    const { network, camera: host } = world;
    await network.run(async () => {
      const s = host.socket();
      const sent = failure(s.sendto("x", ["desk", 9000]));
      host.crash();
      expect(await sent).toMatchObject({ code: "ECANCELED" });
      await pause(100);
    });
    expect(packetsOn(network)).toEqual([]);
  });

  test("a crashed host forgets fragments, path MTUs and memberships", async () => {
    const world = chain(4, {}, { mtuBytes: 1000 });
    const { network, desk, camera: host, links } = world;
    await network.run(async () => {
      await receiver(world);
      let s = desk.socket();
      await s.sendto(bytes(1200), camera);
      await pause(10);
      expect(s.pathMtu(camera)).toBe(1000);
      links[1]!.drop(({ offset }) => offset > 0);
      await s.sendto(bytes(1200), camera);
      await pause(10);
      host.crash();
      desk.crash();
      for (const each of [host, desk]) each.restart();
      s = desk.socket();
      expect(s.pathMtu(camera)).toBe(1500);
      await pause(60_000);
    });
    expect(fates(network, "r1→camera")).toEqual({ "host is down": 1, "dropped by a rule": 1 });
  });

  test("a host can crash twice and restart twice, also with IPv6 sockets", async () => {
    const world = chain(6, {});
    await world.network.run(async () => {
      const s = world.camera.socket(AF_INET6);
      await s.bind(["::", 9000]);
      world.camera.crash();
      world.camera.crash();
      world.camera.restart();
      world.camera.restart();
      const r = world.camera.socket(AF_INET6);
      await r.bind(["::", 9000]);
      await world.desk.socket(AF_INET6).sendto("x", ["fd00:9::2", 9000]);
      expect((await r.recv(10)).toString()).toBe("x");
      expect(r.family).not.toBe(AF_INET);
    });
  });

  test("fragments that wait for others are lost when the host crashes", async () => {
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
});
