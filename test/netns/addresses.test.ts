/** Hosts with more than one address: the addresses of datagrams, and their other metadata. */

import { describe, expect, test } from "vitest";

import {
  type Lifetime,
  Program,
  cleanEnding,
  home,
  overDrivers,
  whySkipped,
  withDriver,
} from "../process/programs.js";
import { type Host, cabledHosts, families, join, routedHosts, sharedHosts } from "./network.js";
import { RemoteSocket } from "./remote.js";

const why = whySkipped("native");
/** The second address of the second host on the first cable, and its address on the second cable. */
const others = {
  IPv4: { second: "10.77.0.3", elsewhere: "10.77.1.2" },
  IPv6: { second: "fd00:77::3", elsewhere: "fd00:77:1::2" },
} as const;
const twoCables = sharedHosts(makeCables);
const acrossRouter = sharedHosts(routedHosts);

describe.each(families)("over $family", (at) => {
  const { second, elsewhere } = others[at.family];

  overDrivers((driver) => {
    test("a server bound to all addresses answers from the address that was asked, if the driver reports that address", async (t) => {
      const [from, to] = await twoCables(t);
      const server = await RemoteSocket.open(t, driver, to, at.any);
      const [, port] = server.address;
      const { available } = (await server.capabilities()).packetInfo;
      const asked = [at.next, second, elsewhere, second, at.next];
      const ask = ["python3", "-S", `${home}test/netns/python/ask.py`, String(port), ...asked];
      const client = new Program(t, [...from.within, ...ask]);
      for (const host of asked) {
        const datagram = await server.answer("me");
        expect(datagram.data).toBe("who are you?");
        expect(datagram.destination).toEqual(available ? { host, port } : undefined);
        const cable = host === elsewhere ? "dg1b" : "dg0b";
        expect(datagram.interface).toBe(available ? cable : undefined);
      }
      const answers = JSON.parse(await client.line()) as [host: string, port: number][];
      if (available) expect(answers).toEqual(asked.map((host) => [host, port]));
      // By itself, the kernel sends both answers on this cable from the same address.
      else expect(new Set(answers.map(([host]) => host)).size).toBe(2);
      expect(await client.ended).toMatchObject(cleanEnding);
      await server.close();
    });
  });

  describe.skipIf(why !== undefined)("over native", () => {
    test("sendmsg sends from the address that it names, and rejects an address that is not of this host", async (t) => {
      const [from, to] = await twoCables(t);
      const s = await RemoteSocket.open(t, "native", to, at.any);
      const peer = await RemoteSocket.open(t, "dgram", from, at.any);
      const address = [at.from, peer.address[1]] as const;
      for (const source of [second, at.next, second]) {
        await s.sendmsg({ data: source, address, source });
        const came = await peer.recvmsg();
        expect({ said: came.data, source: came.source.host }).toEqual({ said: source, source });
      }
      // Linux has the second code over IPv4 only, and not in every release.
      await expect(s.sendmsg({ data: "not me", address, source: at.nobody })).rejects.toMatchObject({
        code: expect.stringMatching(at.family === "IPv4" ? /^(EINVAL|ENETUNREACH)$/ : /^EINVAL$/) as string,
      });
      await s.sendmsg({ data: "me", address, source: second });
      expect((await peer.recvmsg()).data).toBe("me");
      await s.close();
    });

    test("messages and serve, bound to all addresses, answer from the address that the peer sent to", async (t) => {
      const [from, to] = await twoCables(t);
      const fixture = [process.execPath, `${home}build/test/netns/fixtures/messages-at.js`];
      const env = withDriver("native");
      const server = new Program(t, [...to.within, ...fixture, at.any], env);
      const ports = (await server.line()).split(" ");
      const asked = [second, elsewhere, at.next, second];
      const client = new Program(t, [...from.within, ...fixture, "from", ...ports, ...asked], env);
      expect(JSON.parse(await client.line())).toEqual(
        asked.map((host) => ({
          message: "250 chunks",
          reply: `300000 bytes from ${host}`,
          plain: host,
        })),
      );
      expect(await client.ended).toMatchObject(cleanEnding);
      for (const _ of asked) expect(await server.line()).toBe("300000");
    });

    test("TTL, TOS and ECN arrive across a router as sendmsg named them, with a TTL lower by one", async (t) => {
      const { from, to } = await acrossRouter(t);
      const s = await RemoteSocket.open(t, "native", from, at.any);
      const peer = await RemoteSocket.open(t, "native", to, at.to);
      const [host, port] = peer.address;
      await s.sendmsg({ data: "marked", address: peer.address, ttl: 5, tos: 0xb8, ecn: 1 });
      await s.sendto("plain", peer.address);
      const came = await peer.receive(2);
      const known = { destination: { host, port }, interface: "dg1b" };
      expect(came).toMatchObject([
        { data: "marked", ttl: 4, tos: 0xb9, ecn: 1, ...known },
        { data: "plain", ttl: 63, tos: 0, ecn: 0, ...known },
      ]);
      await peer.close();
      await s.close();
    });
  });
});

/** Two hosts on two cables. The second host has two addresses on the first cable. */
async function makeCables(life: Lifetime): Promise<[Host, Host]> {
  const [from, to] = await cabledHosts(life);
  join(from, to, 1);
  to.run("ip addr add 10.77.0.3/24 dev dg0b; ip addr add fd00:77::3/64 dev dg0b");
  return [from, to];
}
