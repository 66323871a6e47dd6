/** Sends without a route: the socket's own address is gone, or no interface was named for a group. */

import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { cabledHosts, families, sharedHosts, untilUsable } from "./network.js";
import { RemoteSocket } from "./remote.js";

const twoHosts = sharedHosts(cabledHosts);
const hostWithoutRoutes = sharedHosts(async (life) => {
  const [from] = await cabledHosts(life);
  from.run("ip link set dg0a down; ip link set lo down");
  return from;
});

overDrivers((driver) => {
  describe.each(families)("over $family", ({ family, any, from: own, next }) => {
    const [bits, other, group, interfaceOption] =
      family === "IPv4"
        ? [24, "10.77.0.5", "239.1.1.1", "IP_MULTICAST_IF"]
        : [64, "fd00:77::5", "ff05::4242", "IPV6_MULTICAST_IF"];
    const [addOwn, deleteOwn] = addressOf(own, bits);

    // semantics: own-address-gone
    test("a connected socket reports that its own address is gone, and can connect again", async (t) => {
      const [from] = await twoHosts(t);
      const s = await RemoteSocket.open(t, driver, from, any);
      await s.connect([next, 9]);
      from.changeFor(t, deleteOwn, addOwn);
      for (let times = 0; times < 2; times++) {
        await expect(s.send("lost")).rejects.toThrow(
          `the local address ${own} is gone from this host, or its interface is down: connect again (ENETUNREACH)`,
        );
      }
      const [addOther, deleteOther] = addressOf(other, bits);
      from.changeFor(t, `${addOther}\n${untilUsable}`, deleteOther);
      await s.connect([next, 9]);
      await expect(s.send("back")).resolves.toBe(4);
      await s.close();
    });

    // semantics: own-address-gone
    test("a socket bound to an address that is gone reports that another socket is needed", async (t) => {
      const [from] = await twoHosts(t);
      const s = await RemoteSocket.open(t, driver, from, own);
      await s.connect([next, 9]);
      from.changeFor(t, deleteOwn, addOwn);
      const gone = `the local address ${own} is gone from this host, or its interface is down, and this socket is bound to it: open another`;
      await expect(s.send("lost")).rejects.toThrow(`${gone} (ENETUNREACH)`);
      await expect(s.connect([next, 9])).rejects.toThrow(`${gone} (EADDRNOTAVAIL)`);
      await s.close();
    });

    // semantics: no-route
    test("the error for a group without a route says how to name the interface", async (t) => {
      const from = await hostWithoutRoutes(t);
      const s = await RemoteSocket.open(t, driver, from, any);
      const text = `no route to this group: name the interface (${interfaceOption}, `;
      await expect(s.sendto("x", [group, 9])).rejects.toThrow(text);
      await expect(s.connect([group, 9])).rejects.toThrow(text);
      if (family === "IPv4") {
        await expect(s.sendto("x", ["255.255.255.255", 9])).rejects.toThrow(
          "no route to this broadcast address: name the interface (`interface` of sendmsg, ",
        );
      }
      await s.close();
    });
  });
});

/** The commands that add an address to the first host, and delete it. */
function addressOf(address: string, bits: number): [add: string, del: string] {
  const each = `${address}/${bits} dev dg0a`;
  return [`ip addr add ${each}`, `ip addr del ${each}`];
}
