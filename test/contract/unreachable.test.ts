import { AF_INET, AF_INET6, type Family, type Socket, type Unreachable } from "datagram";
import { expect } from "vitest";

import { type World, contract, event, failure, mapped, soon, texts, turn } from "./world.js";

/** A socket, the address that it uses for this host, and that address as text. */
interface Route {
  readonly over: string;
  readonly family: Family;
  readonly target: Family;
  readonly name: (host: string) => string;
}

const routes: readonly Route[] = [
  { over: "IPv4", family: AF_INET, target: AF_INET, name: (host) => host },
  { over: "IPv6", family: AF_INET6, target: AF_INET6, name: (host) => host },
  { over: "IPv4 through an IPv6 socket", family: AF_INET6, target: AF_INET, name: mapped },
];

function reportsOf(s: Socket): Unreachable[] {
  const reports: Unreachable[] = [];
  s.on("unreachable", (report) => reports.push(report));
  return reports;
}

/** An address where nobody listens, in the form that a socket of the route uses. */
async function nobody({ name, target }: Route, world: World): Promise<[host: string, port: number]> {
  const { host, port } = await world.nobody(target);
  return [name(host), port];
}

for (const route of routes) {
  // semantics: unreachable
  contract(
    `nobody listens, over ${route.over}: an event has the destination, the code, the kind and the sender of the ICMP error`,
    async (world) => {
      const [s, gone] = [world.socket(route.family), await nobody(route, world)];
      const told = event(s, "unreachable");
      await s.sendto("anybody?", gone);
      const { destination, code, kind, from } = await told;
      expect([destination?.host, destination?.port]).toEqual(gone);
      expect([code, kind, from]).toEqual(["ECONNREFUSED", "port unreachable", gone[0]]);
      expect(s.stats()).toMatchObject({
        unreachable: { ECONNREFUSED: 1 },
        sendErrors: {},
        sent: { datagrams: 1 },
      });
    },
    "icmpErrors",
  );

  // semantics: unreachable-others-sent
  contract(
    `nobody listens at one peer, over ${route.over}: sends to another peer and receive calls go on`,
    async (world) => {
      const [s, peer] = [world.socket(route.family), await world.bound(route.target)];
      const gone = await nobody(route, world);
      const { host, port } = peer.getsockname();
      const live = [route.name(host), port] as const;
      const told = event(s, "unreachable");
      const waiting = s.recvmsg(soon);
      for (let count = 0; count < 10; count++) {
        await expect(s.sendto("lost", gone)).resolves.toBe(4);
        await expect(s.sendto("ping", live)).resolves.toBe(4);
        if (count % 3 === 0) await turn(s);
      }
      await expect(
        s.sendMany([
          { data: "lost", address: gone },
          { data: "ping", address: live },
        ]),
      ).resolves.toBe(2);
      expect(await texts(peer, 11)).toEqual(Array(11).fill("ping"));
      expect((await told).destination?.port).toBe(gone[1]);
      await peer.sendto("pong", [world.localhost(route.target), s.getsockname().port]);
      expect((await waiting).data.toString()).toBe("pong");
    },
    "icmpErrors",
  );
}

// semantics: unreachable-per-socket
contract(
  "an ICMP error about the datagrams of one socket does not reach another socket",
  async (world) => {
    const [s, other, gone] = [await world.bound(), await world.bound(), await world.nobody()];
    const [told, others] = [event(s, "unreachable"), reportsOf(other)];
    await other.sendto("to the living", s.getsockname());
    await s.sendto("anybody?", gone);
    await told;
    await turn(other);
    expect(others).toEqual([]);
    expect(other.stats().unreachable).toEqual({});
  },
  "icmpErrors",
);

// semantics: refused
contract(
  "a connected socket emits the same event once: the call that fails adds no second event",
  async (world) => {
    const [s, gone] = [await world.bound(), await world.nobody()];
    const reports = reportsOf(s);
    await s.connect(gone);
    await s.send("anybody?");
    await expect(failure(s.recv(64, soon))).resolves.toMatchObject({ code: "ECONNREFUSED" });
    await turn(s);
    expect(reports).toHaveLength(1);
    const [{ destination, kind, from } = {} as Partial<Unreachable>] = reports;
    expect([`${destination}`, kind, from]).toEqual([`${gone}`, "port unreachable", gone.host]);
    expect(s.stats().unreachable).toEqual({ ECONNREFUSED: 1 });
  },
  "icmpErrors",
);

// semantics: unreachable
contract(
  "if only connected sockets get ICMP errors, others count undefined and emit no event",
  async (world) => {
    const [s, live, gone] = [await world.bound(), await world.bound(), await world.nobody()];
    const reports = reportsOf(s);
    await s.sendto("anybody?", gone);
    await turn(s);
    await s.sendto("ping", live.getsockname());
    expect(await texts(live, 1)).toEqual(["ping"]);
    expect(s.stats().unreachable).toBeUndefined();
    expect(reports).toEqual([]);
  },
  "no icmpErrors",
);

// semantics: unreachable
contract(
  "if only connected sockets get ICMP errors, the event has the destination and the code, and the rest is undefined",
  async (world) => {
    const [s, gone] = [await world.bound(), await world.nobody()];
    const reports = reportsOf(s);
    await s.connect(gone);
    await s.send("anybody?");
    await failure(s.recv(64, soon));
    const told = reports.map(({ destination, ...rest }) => ({ destination: `${destination}`, ...rest }));
    expect(told).toEqual([
      { destination: `${gone}`, code: "ECONNREFUSED", kind: undefined, from: undefined },
    ]);
  },
  "no icmpErrors",
);
