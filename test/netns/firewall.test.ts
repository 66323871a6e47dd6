/** A rule in the output chain of the sending host drops some datagrams: the sender gets an error for each. */

import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { exchange, witness } from "./exchange.js";
import { type Host, host, sharedHosts } from "./network.js";
import { RemoteSocket } from "./remote.js";

/** The number of datagrams in a burst: as many as a receive buffer has room for. */
const burst = 1000;
const bursts = 3;
/** One of this many packets is dropped. A datagram that is sent again passes. */
const oneIn = 7;
/** The limits of one packet of the kernel: 65,507 bytes, and 128 segments (include/linux/udp.h). */
const mostSegments = 128;

const hostWithFirewall = sharedHosts(async (life) => {
  const at = await host(life);
  return { at, dropped: droppingOwn(at) };
});

overDrivers((driver) => {
  describe.each([
    { family: "IPv4", address: "127.0.0.1" },
    { family: "IPv6", address: "::1" },
  ])("over $family", ({ address }) => {
    // semantics: firewall
    test("each datagram that a local firewall drops fails with EPERM, once; all others arrive, and no other send fails", async (t) => {
      const { at, dropped } = await hostWithFirewall(t);
      for (const { call, sizes, runs } of [
        { call: "sendMany", sizes: alike(400), runs: true },
        { call: "sendMany", sizes: growing(400), runs: false },
        { call: "sendto", sizes: growing(400), runs: false },
      ] as const) {
        const before = dropped();
        const plan = { host: address, call, sizes, burst, rounds: bursts } as const;
        const { sent, came } = await exchange(driver, at, await witness(at, address), plan);
        const decisions = dropped() - before;
        const { EPERM: failed = 0, ...others } = sent.stats.sendErrors;
        const about = { call, runs, decisions, failed };
        expect(others, JSON.stringify(about)).toEqual({});
        expect(failed, JSON.stringify(about)).toBeGreaterThan(0);
        expect(sent.reported + failed, JSON.stringify(about)).toBe(burst * bursts);
        expect(came.datagrams.length, JSON.stringify(about)).toBe(sent.reported);
        // A run is one packet to the rule, and fails as a whole.
        if (runs) expect(failed).toBeGreaterThanOrEqual(decisions);
        expect(failed, JSON.stringify(about)).toBeLessThanOrEqual(decisions * (runs ? mostSegments : 1));
        if (!runs) expect(failed).toBe(decisions);
      }
      const s = await RemoteSocket.open(t, driver, at, address);
      const send = async (): Promise<void> => {
        for (let tries = 0; tries < 1000; tries++) await s.sendto("x".repeat(400), s.address);
      };
      await expect(send()).rejects.toThrow(
        /^sendto .+: this host's own firewall drops it: .+ output chain .+ \(EPERM\)$/,
      );
      await s.close();
    });
  });
});

function alike(size: number): readonly number[] {
  return Array<number>(burst).fill(size);
}

/** Each payload is longer than the one before, so that no two of them are sent as a run. */
function growing(from: number): readonly number[] {
  return Array.from({ length: burst }, (_, index) => from + index);
}

/**
 * Makes a host drop some of the larger datagrams that it sends.
 *
 * @returns a function that reads how many packets were dropped.
 */
function droppingOwn(at: Host): () => number {
  at.run(`nft -f - <<'RULES'
    table inet dg {
      counter dropped { }
      chain leaving {
        type filter hook output priority 0
        meta l4proto udp meta length >= 300 numgen inc mod ${oneIn} == 3 counter name "dropped" drop
      }
    }\nRULES`);
  return () => Number(/packets (\d+)/.exec(at.run("nft list counter inet dg dropped"))?.[1]);
}
