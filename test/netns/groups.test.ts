/** Groups on interfaces that are deleted and made again. */

import { expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { host, needNetworks } from "./network.js";
import { RemoteSocket } from "./remote.js";

overDrivers((driver) => {
  // semantics: group-interface-gone
  test("a group can be joined and left again on an interface that was deleted and made again; without a route the interface must be named", async (t) => {
    needNetworks(t);
    const at = await host(t);
    const remake = (): void => {
      at.run(`
        ip link del gone 2> /dev/null || true
        ip link add gone type veth peer name far && ip link set far up && ip link set gone up
        ip addr add 10.9.9.1/24 dev gone && ip addr add fd00:9::1/64 dev gone nodad
      `);
    };
    remake();
    const members = await Promise.all(
      ["0.0.0.0", "::"].map(async (any) => ({
        s: await RemoteSocket.open(t, driver, at, any),
        group: any === "::" ? "ff05::9:9" : "239.9.9.9",
      })),
    );
    const joined = (group: string): boolean => at.run("ip maddr show dev gone").includes(group);
    const left = { code: "EADDRNOTAVAIL" };
    for (const { s, group } of members) await s.addMembership(group, "gone");
    remake();
    for (const { s, group } of members) {
      expect(joined(group)).toBe(false);
      await s.addMembership(group, "gone");
      expect(joined(group)).toBe(true);
      await expect(s.addMembership(group, "gone")).rejects.toMatchObject({ code: "EADDRINUSE" });
      await s.dropMembership(group, "gone");
      expect(joined(group)).toBe(false);
      await s.addMembership(group, "gone");
    }
    remake();
    for (const { s, group } of members) {
      await expect(s.dropMembership(group, "gone")).rejects.toMatchObject(left);
      await s.addMembership(group, "gone");
      await s.dropMembership(group, "gone");
      await expect(s.dropMembership(group, "gone")).rejects.toMatchObject(left);
    }
    await expect(members[0]?.s.addMembership("239.1.1.1", "")).rejects.toMatchObject({
      code: "ENODEV",
      address: "239.1.1.1",
      message: "addMembership 239.1.1.1: no route for 239.1.1.1: name the interface (ENODEV)",
    });
    await Promise.all(members.map(({ s }) => s.close()));
  });
});
