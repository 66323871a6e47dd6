/** What the program learns of a path that is narrower than its first cable: the MTU behind the router is 1,280 bytes. */

import { type TestContext, describe, expect, test } from "vitest";

import { type DriverName, overDrivers, whySkipped } from "../process/programs.js";
import { type Addresses, families, routedHosts, sharedHosts } from "./network.js";
import { RemoteSocket } from "./remote.js";

const mtu = 1280;
/** Fits the first cable in one packet, but not the second. */
const long = "l".repeat(1400);
const why = whySkipped("native");
const acrossRouter = sharedHosts((life) => routedHosts(life, mtu));

describe.each(families)("over $family", (at) => {
  const whole = mtu - at.headerBytes;

  overDrivers((driver) => {
    test("a datagram lost to a narrow path is reported; after that, longer datagrams travel in fragments and are counted", async (t) => {
      const { s, peer } = await opened(t, driver, at);
      const { available } = (await s.capabilities()).pathMtu;
      expect(await s.pathMtu([at.next, 9])).toBe(available ? 1500 : undefined);
      await s.sendto(long, peer.address);
      // When the answer arrives, the router has sent its error.
      await s.sendto("short", peer.address);
      expect((await peer.answer("got it")).data).toBe("short");
      await s.recvmsg();
      if (available) {
        const [host, port] = peer.address;
        const change = { destination: { host, port }, mtu, maxPayload: whole, from: at.next };
        expect(await s.event("pathMtu")).toEqual(change);
      }
      expect(await s.pathMtu(peer.address)).toBe(available ? mtu : undefined);
      expect(await s.maxPayload(peer.address)).toBe(available ? whole : undefined);

      for (let i = 0; i < 10; i++) await s.sendto(long, peer.address);
      await s.sendMany(Array<string>(10).fill(long), peer.address);
      await s.sendMany(Array<string>(10).fill(long.slice(0, whole)), peer.address);
      const came = await peer.receive(30);
      expect(came.map(({ size }) => size)).toEqual([
        ...Array<number>(20).fill(long.length),
        ...Array<number>(10).fill(whole),
      ]);
      expect(await s.events("pathMtu")).toEqual([]);
      const { fragmented, tooBig, sendErrors } = await s.stats();
      expect({ fragmented, tooBig }).toEqual(
        available ? { fragmented: 20, tooBig: 1 } : { fragmented: undefined, tooBig: 0 },
      );
      expect(sendErrors).toEqual({});
      await s.close();
    });
  });

  test.skipIf(why !== undefined)(
    "with dontFragment, a datagram above the known path MTU rejects with the limit, and one of that size arrives",
    async (t) => {
      const { s, peer } = await opened(t, "native", at, { dontFragment: true });
      await s.sendto(long, peer.address);
      expect(await s.event("pathMtu")).toMatchObject({ mtu, maxPayload: whole, from: at.next });
      for (const size of [long.length, whole + 1]) {
        await expect(s.sendto(long.slice(0, size), peer.address)).rejects.toMatchObject({
          code: "EMSGSIZE",
          limit: whole,
        });
      }
      await expect(s.sendMany([long, long], peer.address)).rejects.toMatchObject({
        code: "EMSGSIZE",
        limit: whole,
        index: 0,
        sent: 0,
      });
      await s.sendto(long.slice(0, whole), peer.address);
      expect((await peer.recvmsg()).size).toBe(whole);
      expect(await s.stats()).toMatchObject({ fragmented: 0, tooBig: 5, sendErrors: { EMSGSIZE: 4 } });
      await s.close();
    },
  );
});

/** A socket, and a socket behind the router that it sends to. */
async function opened(
  test: TestContext,
  driver: DriverName,
  at: Addresses,
  options: { readonly dontFragment?: boolean } = {},
) {
  const { from, to } = await acrossRouter(test);
  // The kernel forgets what other tests made it learn of the path.
  from.run("ip route flush cache; ip -6 route flush cache");
  const [s, peer] = await Promise.all([
    RemoteSocket.open(test, driver, from, at.any, options),
    RemoteSocket.open(test, driver, to, at.to),
  ]);
  return { s, peer };
}
