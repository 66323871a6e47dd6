/** How long a NAT of Linux lets datagrams to a device through. */

import { setTimeout as wait } from "node:timers/promises";

import { expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { acrossRouter, families } from "./network.js";
import { RemoteSocket } from "./remote.js";

const [{ from: inside, to: outside }] = families;
/** The usual times of nf_conntrack, for a flow and for a stream, in seconds. */
const [flow, stream] = [30, 120];

overDrivers((driver) => {
  test("a NAT remembers a device for 30 s after a quick answer, and for 120 s only after a datagram 2 s later", async (t) => {
    const { from, router, to } = await acrossRouter(t);
    router.run(`nft -f - <<'RULES'
      table ip nat {
        chain leaving {
          type nat hook postrouting priority 100
          oifname "dg1a" masquerade
        }
      }\nRULES
      cd /proc/sys/net/netfilter
      echo ${flow} > nf_conntrack_udp_timeout; echo ${stream} > nf_conntrack_udp_timeout_stream`);
    const server = await RemoteSocket.open(t, driver, to, outside);
    const exchange = async (device: RemoteSocket): Promise<void> => {
      await device.sendto("hello", [outside, server.address[1]]);
      await server.answer("answer");
      expect((await device.recvmsg()).data).toBe("answer");
    };
    /** Seconds for which the router will remember the device: "udp 17 29 src=10.77.0.1 dst=10.77.1.2 sport=40000 …". */
    const remembered = ({ address: [, port] }: RemoteSocket): number => {
      const flows = router.run("cat /proc/net/nf_conntrack");
      return Number(
        new RegExp(`udp +17 (\\d+) src=${inside} dst=${outside} sport=${port} `).exec(flows)?.[1],
      );
    };
    let device: RemoteSocket;
    let startedAt: number;
    do {
      device = await RemoteSocket.open(t, driver, from, inside);
      startedAt = performance.now();
      await exchange(device);
      // On a machine that needed two seconds for this, it is a stream.
    } while (performance.now() - startedAt >= 2000);
    expect(remembered(device)).toBeLessThanOrEqual(flow);
    // The kernel counts two seconds from the first datagram.
    await wait(2500);
    await exchange(device);
    expect(remembered(device)).toBeGreaterThan(flow);
  });
});
