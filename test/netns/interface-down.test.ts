/** An interface that goes down, and comes up again. */

import { setTimeout as wait } from "node:timers/promises";

import { type TestContext, describe, expect, test } from "vitest";

import { type DriverName, overDrivers } from "../process/programs.js";
import { type Addresses, cabledHosts, families, impatient, sharedHosts } from "./network.js";
import { type Pair, RemoteSocket } from "./remote.js";

const twoHosts = sharedHosts(async (life) => {
  const [from, to] = await cabledHosts(life);
  impatient(from, "dg0a");
  return [from, to] as const;
});

overDrivers((driver) => {
  describe.each(families)("over $family", (at) => {
    test("while the own interface is down, sends reject and the process uses no CPU; afterwards all datagrams arrive", async (t) => {
      const { from, s, peer, there } = await opened(t, driver, at);
      await expectAllArrive(s, peer, there);
      from.changeFor(t, "ip link set dg0a down", "ip link set dg0a up");
      for (let i = 0; i < 10; i++) {
        await expect(s.sendto("lost", there)).rejects.toMatchObject({ code: "ENETUNREACH" });
      }
      await expectRest(s, peer);
      expect((await s.stats()).sendErrors).toEqual({ ENETUNREACH: 10 });
      from.run("ip link set dg0a up");
      await untilBack(s, peer, there);
      await expectAllArrive(s, peer, there);
      await Promise.all([s.close(), peer.close()]);
    });

    test("while the far interface is down, the driver reports it if it can, and the process uses no CPU; afterwards all datagrams arrive", async (t) => {
      const { to, s, peer, there } = await opened(t, driver, at);
      await expectAllArrive(s, peer, there);
      to.changeFor(t, "ip link set dg0b down", "ip link set dg0b up");
      if ((await s.capabilities()).icmpErrors.available) await untilTold(s, there);
      else await s.sendto("lost", there);
      await expectRest(s, peer);
      to.run("ip link set dg0b up");
      await untilBack(s, peer, there);
      await expectAllArrive(s, peer, there);
      await Promise.all([s.close(), peer.close()]);
    });
  });
});

/** Two hosts, and a socket on each. */
async function opened(test: TestContext, driver: DriverName, at: Addresses) {
  const [from, to] = await twoHosts(test);
  const [s, peer] = await Promise.all([
    RemoteSocket.open(test, driver, from, at.any),
    RemoteSocket.open(test, driver, to, at.any),
  ]);
  const there: Pair = [at.next, peer.address[1]];
  return { from, to, s, peer, there };
}

async function expectAllArrive(s: RemoteSocket, peer: RemoteSocket, there: Pair): Promise<void> {
  const payloads = Array.from({ length: 100 }, (_, index) => `datagram ${index}`);
  await s.sendMany(payloads, there);
  expect((await peer.receive(payloads.length)).map(({ data }) => data)).toEqual(payloads);
}

/** Neither process is in a busy loop: both use little CPU while nothing happens. */
async function expectRest(...sockets: readonly RemoteSocket[]): Promise<void> {
  const cpuMs = (): Promise<number[]> => Promise.all(sockets.map((each) => each.cpuMs()));
  const [before, start] = [await cpuMs(), performance.now()];
  await wait(300);
  const elapsedMs = performance.now() - start;
  const after = await cpuMs();
  for (const [index, ms] of after.entries()) expect(ms - before[index]!).toBeLessThan(elapsedMs / 2);
}

/** Sends until an event says that nothing arrives: the kernel takes a moment to see that the cable is dead. */
async function untilTold(s: RemoteSocket, there: Pair): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    await s.sendto("lost", there);
    await wait(50);
    const [report] = await s.events("unreachable");
    if (!report) continue;
    const [host, port] = there;
    expect(report).toMatchObject({ destination: { host, port }, code: "EHOSTUNREACH" });
    return;
  }
  throw new Error("lost datagrams were never told of");
}

/** Sends until a datagram arrives, and receives all of them. */
async function untilBack(s: RemoteSocket, peer: RemoteSocket, there: Pair): Promise<void> {
  const arrives = (timeoutMs: number): Promise<boolean> =>
    peer.recvmsg({ timeoutMs }).then(
      () => true,
      () => false,
    );
  for (let tries = 0; tries < 100; tries++) {
    const sent = s.sendto("hello", there).catch(() => 0);
    if ((await sent) > 0 && (await arrives(100))) {
      while (await arrives(300)) continue;
      return;
    }
  }
  throw new Error("the interface never came back");
}
