/** What the program learns if nobody listens, or if there is no route. */

import { type TestContext, describe, expect, test } from "vitest";

import { type DriverName, overDrivers, whySkipped } from "../process/programs.js";
import {
  type Addresses,
  type Row,
  defaultRoutes,
  families,
  impatient,
  outspoken,
  routedHosts,
  sharedHosts,
} from "./network.js";
import { type Report, RemoteSocket } from "./remote.js";

/** A port without a socket. */
const port = 9;

/** ICMP errors of the router by destination: no route, an unreachable route, a prohibited route, and no such neighbour. */
const places = {
  IPv4: [
    { host: "10.99.0.1", code: "ENETUNREACH", kind: "network unreachable" },
    { host: "10.99.1.1", code: "EHOSTUNREACH", kind: "host unreachable" },
    { host: "10.99.2.1", code: "EHOSTUNREACH", kind: "communication prohibited" },
    { host: "10.77.1.9", code: "EHOSTUNREACH", kind: "host unreachable" },
  ],
  IPv6: [
    { host: "fd00:99::1", code: "ENETUNREACH", kind: "no route to destination" },
    { host: "fd00:99:1::1", code: "ENETUNREACH", kind: "no route to destination" },
    { host: "fd00:99:2::1", code: "EACCES", kind: "communication prohibited" },
    { host: "fd00:77:1::9", code: "EHOSTUNREACH", kind: "address unreachable" },
  ],
} as const;
const routes = `
  ip route add unreachable 10.99.1.0/24; ip -6 route add unreachable fd00:99:1::/64
  ip route add prohibit 10.99.2.0/24; ip -6 route add prohibit fd00:99:2::/64
`;

const sharedRow = sharedHosts(async (life) => {
  const row = await routedHosts(life);
  // Together, the tests cause more ICMP errors than a host sends by default.
  for (const each of [row.router, row.to]) outspoken(each);
  row.router.run(routes);
  impatient(row.router, "dg1a");
  impatient(row.from, "dg0a");
  return row;
});

overDrivers((driver) => {
  describe.each(families)("over $family", (at) => {
    const refused: Report = {
      destination: { host: at.to, port },
      code: "ECONNREFUSED",
      kind: "port unreachable",
      from: at.to,
    };

    test("a closed port across a router is an event of an unconnected socket, and no call fails", async (t) => {
      const { s, healthy } = await opened(t, driver, at, await sharedRow(t));
      await s.sendto("anybody?", [at.to, port]);
      await expectTold(s, healthy, [refused]);
    });

    test("a closed port across a router fails the receive of a connected socket, once", async (t) => {
      const { s } = await opened(t, driver, at, await sharedRow(t));
      await s.connect([at.to, port]);
      await s.send("anybody?");
      await expect(s.recvmsg()).rejects.toMatchObject({ code: "ECONNREFUSED" });
      await expect(s.recvmsg({ timeoutMs: 0 })).rejects.toMatchObject({ code: "EAGAIN" });
      const { destination, code } = refused;
      const { available } = (await s.capabilities()).icmpErrors;
      expect(await s.events("unreachable")).toEqual([available ? refused : { destination, code }]);
      expect((await s.stats()).unreachable).toEqual({ ECONNREFUSED: 1 });
      await s.close();
    });

    test("destinations that a router cannot reach are events that name the router, and no call fails", async (t) => {
      const { s, healthy } = await opened(t, driver, at, await sharedRow(t));
      const reports = places[at.family].map(({ host, ...said }) => ({
        destination: { host, port },
        ...said,
        from: at.next,
      }));
      for (const { destination } of reports) await s.sendto("anybody?", [destination.host, port]);
      await expectTold(s, healthy, reports);
    });

    test("an absent host on the own cable is an event that names this host, and no call fails", async (t) => {
      const { s, healthy } = await opened(t, driver, at, await sharedRow(t));
      await s.sendto("anybody?", [at.nobody, port]);
      const kind = at.family === "IPv4" ? "host unreachable" : "address unreachable";
      const destination = { host: at.nobody, port };
      await expectTold(s, healthy, [{ destination, code: "EHOSTUNREACH", kind, from: at.from }]);
    });

    test("without a route on this host the send rejects, and there is no event", async (t) => {
      const { s, from } = await opened(t, driver, at, await sharedRow(t));
      from.changeFor(t, "ip route del default; ip -6 route del default", defaultRoutes);
      await expect(s.sendto("anybody?", [at.to, port])).rejects.toMatchObject({
        code: "ENETUNREACH",
        address: at.to,
        port,
      });
      expect(await s.events("unreachable")).toEqual([]);
      expect((await s.stats()).sendErrors).toEqual({ ENETUNREACH: 1 });
      await s.close();
    });
  });
});

const why = whySkipped("native");

describe.skipIf(why !== undefined).each(families)("over native, $family", (at) => {
  test("a closed port across a router fails the next send of a connected socket, and no other call", async (t) => {
    const { s } = await opened(t, "native", at, await sharedRow(t));
    await s.connect([at.to, port]);
    await s.send("anybody?");
    await s.event("unreachable");
    await expect(s.send("nobody?")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(await s.send("nobody.")).toBe(7);
    await s.close();
  });

  test("a datagram whose hop limit expires at a router is an event that names the router", async (t) => {
    const { s, healthy } = await opened(t, "native", at, await sharedRow(t));
    const [host, to] = healthy.address;
    await s.sendmsg({ data: "too far", address: [host, to], ttl: 1 });
    const kind = at.family === "IPv4" ? "TTL exceeded in transit" : "hop limit exceeded in transit";
    const destination = { host, port: to };
    await expectTold(s, healthy, [{ destination, code: "EHOSTUNREACH", kind, from: at.next }]);
  });
});

/** A socket, and across a router another one that answers. */
async function opened(test: TestContext, driver: DriverName, at: Addresses, hosts: Row) {
  const [s, healthy] = await Promise.all([
    RemoteSocket.open(test, driver, hosts.from, at.any),
    RemoteSocket.open(test, driver, hosts.to, at.to),
  ]);
  return { ...hosts, s, healthy };
}

/**
 * The program gets an event for each datagram that did not arrive, once, if the driver can tell. Sends to and receives
 * from another peer do not fail.
 */
async function expectTold(s: RemoteSocket, healthy: RemoteSocket, reports: readonly Report[]): Promise<void> {
  const { available } = (await s.capabilities()).icmpErrors;
  if (available) for (const report of reports) expect(await s.event("unreachable")).toEqual(report);
  await s.sendto("are you there?", healthy.address);
  await healthy.answer("yes");
  expect((await s.recvmsg()).data).toBe("yes");
  expect(await s.events("unreachable")).toEqual([]);
  expect((await s.stats()).unreachable).toEqual(
    available ? countOf(reports.map(({ code }) => code)) : undefined,
  );
  await s.close();
}

function countOf(codes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const code of codes) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}
