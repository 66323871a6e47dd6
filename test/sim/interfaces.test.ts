import {
  type Datagram,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MTU_DISCOVER,
  AF_INET6,
  IP_MTU_DISCOVER,
  SOL_SOCKET,
  SO_BINDTODEVICE,
} from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

import { failure, pause } from "./tools.js";

test("a socket that is bound to a device receives through that device only", async () => {
  const network = new Network();
  const desk = network.host("desk", { addresses: ["10.0.0.1", "10.0.1.1"] });
  const left = network.host("left", { address: "10.0.0.2" });
  const right = network.host("right", { address: "10.0.1.2" });
  network.link(desk, left);
  network.link(desk, right);
  await network.run(async () => {
    const s = desk.socket();
    s.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, "eth0");
    await s.bind(["", 9000]);
    const heard: Datagram[] = [];
    void (async () => {
      for await (const datagram of s) heard.push(datagram);
    })();
    await left.socket().sendto("left", ["10.0.0.1", 9000]);
    await right.socket().sendto("right", ["10.0.1.1", 9000]);
    await pause(10);
    expect(heard.map(({ data }) => data.toString())).toEqual(["left"]);
  });
  expect(network.trace.packets.map(({ fate }) => fate)).toContain("nobody listens");
});

test("an address without a host is EHOSTUNREACH in a network without a router, and ENETUNREACH in another network", async () => {
  const network = new Network();
  const desk = network.host("desk", { address: "10.0.0.1" });
  network.link(desk, network.switch("lan"));
  await network.run(async () => {
    const s = desk.socket();
    expect(await failure(s.sendto("x", ["10.0.0.77", 9]))).toMatchObject({ code: "EHOSTUNREACH" });
    expect(await failure(s.sendto("x", ["192.0.2.1", 9]))).toMatchObject({ code: "ENETUNREACH" });
  });
});

test("a router reports an address without a host, also behind a switch", async () => {
  const network = new Network();
  const desk = network.host("desk", { address: "10.0.0.1" });
  const lan = network.switch("lan");
  const gateway = network.router("gateway", { address: "10.0.0.254" });
  network.link(desk, lan);
  network.link(lan, gateway);
  await network.run(async () => {
    const s = desk.socket();
    const told = new Promise((resolve) => s.once("unreachable", resolve));
    await s.sendto("x", ["192.0.2.1", 9]);
    expect(await told).toMatchObject({ code: "ENETUNREACH", from: "10.0.0.254" });
  });
});

test("IP_PMTUDISC_INTERFACE refuses datagrams larger than the first link, and IP_PMTUDISC_OMIT fragments them", async () => {
  const network = new Network();
  const desk = network.host("desk", { addresses: ["10.0.0.1", "fd00::1"] });
  const camera = network.host("camera", { addresses: ["10.0.0.2", "fd00::2"] });
  network.link(desk, camera, { mtuBytes: 1280 });
  await network.run(async () => {
    for (const [family, level, option, to] of [
      [undefined, IPPROTO_IP, IP_MTU_DISCOVER, "10.0.0.2"],
      [AF_INET6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, "fd00::2"],
    ] as const) {
      const [s, r] = [desk.socket(family), camera.socket(family)];
      await r.bind(["", 9000]);
      s.setsockopt(level, option, 4);
      expect(await failure(s.sendto(Buffer.alloc(2000), [to, 9000]))).toMatchObject({ code: "EMSGSIZE" });
      s.setsockopt(level, option, 5);
      await s.sendto(Buffer.alloc(2000), [to, 9000]);
      expect((await r.recvmsg({ timeoutMs: 1000 })).size).toBe(2000);
      await r.close();
    }
  });
});

test("the trace stays within its bytes, even if every fragment is corrupted and a copy of the whole datagram", async () => {
  const network = new Network({ trace: { bytes: 4 << 20 } });
  const desk = network.host("desk", { address: "10.0.0.1" });
  const camera = network.host("camera", { address: "10.0.0.2" });
  network.link(desk, camera, { corruptRatio: 1 });
  await network.run(async () => {
    const s = desk.socket();
    for (let count = 0; count < 10; count++) await s.sendto(Buffer.alloc(65_507), ["10.0.0.2", 9000]);
    await pause(40_000);
  });
  const { packets, forgotten } = network.trace;
  expect(packets.length + forgotten).toBe(
    450 + packets.filter(({ packet }) => packet.content.protocol === "icmp").length,
  );
  // Only as many copies as fit.
  expect(packets.length).toBeLessThan((4 << 20) / 65_507 + 2);
});
