/** Devices that do not answer ARP yet, or never: the kernel holds the datagrams to them. */

import { setTimeout as wait } from "node:timers/promises";

import { type TestContext, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { type Host, cabledHosts, inOneQueue, kernelCount, sharedHosts } from "./network.js";
import { RemoteSocket } from "./remote.js";

const silent = ["10.77.0.8", "10.77.0.9"] as const;
/** The usual buffer. The kernel doubles what it is told. */
const usualBuffer = 212_992 / 2;
const large = "x".repeat(1000);

const twoHosts = sharedHosts(async (life) => {
  const [from, to] = await cabledHosts(life);
  inOneQueue(to, "dg0b");
  // It asks ten times a second, and does not give up before the test says so.
  from.run("cd /proc/sys/net/ipv4/neigh/dg0a; echo 1000 > mcast_solicit; echo 100 > retrans_time_ms");
  return [from, to] as const;
});

/** Makes the host give up all devices that it asks for, again and again until the calls have ended. */
async function giveUpUntil(calls: Promise<unknown>, at: Host): Promise<void> {
  let isOver = false;
  const over = calls.finally(() => (isOver = true));
  while (!isOver) {
    at.run("ip neigh flush dev dg0a");
    await wait(10);
  }
  await over;
}

overDrivers((driver) => {
  /** A socket on each host, which have exchanged a datagram, so that they know each other. */
  async function opened(t: TestContext, sendBuffer?: number) {
    const [from, to] = await twoHosts(t);
    const s = await RemoteSocket.open(t, driver, from, "0.0.0.0", sendBuffer ? { sendBuffer } : {});
    const peer = await RemoteSocket.open(t, driver, to, "0.0.0.0");
    const there = ["10.77.0.2", peer.address[1]] as const;
    await s.sendto("first", there);
    expect((await peer.recvmsg()).data).toBe("first");
    return { from, to, s, peer, there };
  }

  test("two devices that do not answer ARP fill the usual send buffer, and a send to another device waits until they are given up", async (t) => {
    const { from, s, peer, there } = await opened(t, usualBuffer);
    const filling = silent.map((host) => s.sendMany(Array<string>(200).fill(large), [host, 9]));
    const waits = s.sendto("hello", there);
    await expect(peer.recvmsg({ timeoutMs: 500 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
    await giveUpUntil(Promise.all([...filling, waits]), from);
    expect((await peer.recvmsg()).data).toBe("hello");
  });

  test("of a burst to a device that answers ARP late, the first datagrams are lost and the last arrive, and no send fails", async (t) => {
    const { from, to, s, peer, there } = await opened(t);
    to.changeFor(t, "ip addr del 10.77.0.2/24 dev dg0b", "ip addr replace 10.77.0.2/24 dev dg0b");
    from.run("ip neigh flush dev dg0a");
    const numbers = Array.from({ length: 1000 }, (_, number) => `${number}`);
    const counters = ["UdpSndbufErrors", "IpOutDiscards", "IpOutNoRoutes"];
    const before = counters.map((name) => kernelCount(from, name));
    expect(
      await s.sendMany(
        numbers.map((number) => number.padEnd(1000)),
        there,
      ),
    ).toBe(1000);
    to.run("ip addr add 10.77.0.2/24 dev dg0b");
    const came: string[] = [];
    while (came.at(-1) !== "999") came.push((await peer.recvmsg()).data.trimEnd());
    expect(came.length).toBeLessThan(900);
    expect(came).toEqual(numbers.slice(-came.length));
    expect((await s.stats()).sendErrors).toEqual({});
    expect(counters.map((name) => kernelCount(from, name))).toEqual(before);
  });
});
