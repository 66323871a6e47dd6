/** `datagram mtu` over cables and routers. */

import { type TestContext, describe, expect, test } from "vitest";

import type { PathMtuResult } from "../../src/message/index.js";
import type { Output } from "../cli/fixtures/commands.js";
import { Program, home, whySkipped, withDriver } from "../process/programs.js";
import { commandsOn } from "./commands.js";
import {
  type Host,
  type Row,
  acrossRouter,
  defaultRoutes,
  outspoken,
  routedHosts,
  sharedHosts,
} from "./network.js";

const families = [
  {
    version: "IPv4",
    address: (cable: number) => `10.77.${cable}.2`,
    overhead: 28,
    most: 65_507,
    router: "10.77.0.2",
  },
  {
    version: "IPv6",
    address: (cable: number) => `fd00:77:${cable}::2`,
    overhead: 48,
    most: 65_527,
    router: "fd00:77::2",
  },
] as const;

/** The script that makes a host drop the ICMP errors about too big packets: those that it sends or those that it gets, by `hook`. */
function filterIcmp(hook: "input" | "output"): string {
  return `nft -f - <<END
table inet filter {
  chain tooBig {
    type filter hook ${hook} priority 0;
    icmp type destination-unreachable drop
    icmpv6 type packet-too-big drop
  }
}
END`;
}

const unfilter = "nft delete table inet filter";

/** Three hosts in a row. Each sends every ICMP error, so the errors of one test take none from the next. */
const sharedRow = sharedHosts(async (life) => {
  const row = await routedHosts(life);
  for (const each of Object.values(row) as Host[]) outspoken(each);
  return row;
});

/** The hosts, with an MTU behind the router. The first host knows no MTU of a path: it forgot those of other tests. */
async function hosts(test: TestContext, mtu = 1500): Promise<Row> {
  const row = await sharedRow(test);
  row.router.run(`ip link set dg1a mtu ${mtu}`);
  row.to.run(`ip link set dg1b mtu ${mtu}`);
  // What the kernel knows about a path is lost with its route.
  row.from.run(`ip route del default; ip -6 route del default; ${defaultRoutes}`);
  return row;
}

const skipped = whySkipped("native");

for (const { version, address, overhead, most, router } of families) {
  describe.skipIf(skipped !== undefined)(`over ${version}`, () => {
    test("the result over a plain cable is its MTU, and no probe is lost", async (t) => {
      const { from, router: to } = await hosts(t);
      const { result } = await search(from, to, address(0));
      expect(result).toMatchObject({ mtu: 1500, maxPayload: 1500 - overhead, overhead });
      expect(result).toMatchObject({ lost: 0, blackHole: false, ignored: 0 });
    });

    test("the MTU that a router reports for its narrow link is used, and no probe waits for its timeout", async (t) => {
      const { from, to } = await hosts(t, 1280);
      const { result, lines } = await search(from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, lost: 0, blackHole: false });
      const told = lines.filter((line) => line.includes(`${router} says that the MTU is 1280`));
      expect(told).toHaveLength(1);
    });

    test("an MTU that the kernel already knew from a router is used as well", async (t) => {
      const { from, to } = await hosts(t, 1280);
      await search(from, to, address(1));
      const { result } = await search(from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, lost: 0, blackHole: false });
    });

    test("if no router reports, the MTU that the kernel knows is tried early, and one byte more", async (t) => {
      const { from, router: filtering, to } = await hosts(t, 1280);
      await search(from, to, address(1));
      filtering.changeFor(t, filterIcmp("output"), unfilter);
      const { result, lines } = await search(from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, blackHole: false });
      const sizes = new Set(lines.flatMap((line) => /^ *(\d+) bytes/.exec(line)?.[1] ?? []));
      expect([...sizes]).toEqual([1200, most, 1500 - overhead, 1280 - overhead, 1281 - overhead].map(String));
    });

    test("if ICMP is filtered, the size is exact to the byte, and the path is called a black hole", async (t) => {
      const { from, router: filtering, to } = await hosts(t, 1391);
      filtering.changeFor(t, filterIcmp("output"), unfilter);
      const { result, stderr } = await search(from, to, address(1));
      expect(result).toMatchObject({ mtu: 1391, maxPayload: 1391 - overhead, blackHole: true });
      expect(result.lost).toBeGreaterThanOrEqual(3);
      expect(stderr).toContain("warning: a black hole");
    });

    test("a peer that answers with a short text is enough, over a black hole too", async (t) => {
      const { from, to } = await hosts(t, 1420);
      from.changeFor(t, filterIcmp("input"), unfilter);
      const { result } = await search(from, to, address(1), "ok");
      expect(result).toMatchObject({ mtu: 1420, maxPayload: 1420 - overhead, blackHole: true });
    });

    test("this host itself reports a narrow first link", async (t) => {
      const { from, router: to } = await hosts(t);
      from.changeFor(t, "ip link set dg0a mtu 1290", "ip link set dg0a mtu 1500");
      const { result } = await search(from, to, address(0));
      expect(result).toMatchObject({ mtu: 1290, maxPayload: 1290 - overhead, lost: 0, blackHole: false });
    });

    test("a closed port behind a router ends the search at once, with exit code 4", async (t) => {
      const { from } = await hosts(t, 1280);
      const { code, stderr } = await mtu(from, [destination(address(1), "9"), "--timeout", "10m"]);
      expect({ code, stderr }).toEqual({
        code: 4,
        stderr: `datagram mtu: nobody is listening on ${destination(address(1), "9")} (port unreachable, from ${address(1)})\n`,
      });
    });
  });
}

// Hosts of its own: a link loses its IPv6 addresses with so small an MTU.
test.skipIf(skipped !== undefined)("a path narrower than the base is measured too, over IPv4", async (t) => {
  const { from, router, to } = await acrossRouter(t, 1280);
  router.run(`ip link set dg1a mtu 600; ${filterIcmp("output")}`);
  to.run("ip link set dg1b mtu 600");
  const { result } = await search(from, to, "10.77.1.2");
  expect(result).toMatchObject({ mtu: 600, maxPayload: 572, blackHole: true });
});

/** Runs `datagram mtu` on one host towards a peer on another, which echoes, or answers with a text. */
async function search(
  from: Host,
  to: Host,
  address: string,
  ...text: string[]
): Promise<{ result: PathMtuResult; lines: string[]; stderr: string }> {
  const port = await peerOn(to, [address, ...text]);
  const { code, stdout, stderr } = await mtu(from, [destination(address, port), "--json"]);
  if (code !== 0) throw new Error(stderr);
  return { result: JSON.parse(stdout) as PathMtuResult, lines: stderr.split("\n"), stderr };
}

const peers = new WeakMap<Host, Map<string, Promise<string>>>();

/** The port of a peer that answers each datagram until its host is gone. The tests share it: it keeps nothing of them. */
function peerOn(to: Host, args: readonly string[]): Promise<string> {
  const ofHost = peers.get(to) ?? new Map<string, Promise<string>>();
  peers.set(to, ofHost);
  const answerer = `${home}build/test/netns/fixtures/answerer.js`;
  const start = (): Promise<string> =>
    new Program(to.life, [...to.within, process.execPath, answerer, ...args], withDriver("native")).line();
  const port = ofHost.get(args.join(" ")) ?? start();
  ofHost.set(args.join(" "), port);
  return port;
}

/** Runs `datagram mtu` on a host. */
function mtu(at: Host, args: readonly string[]): Promise<Output> {
  return commandsOn(at, "native")(["mtu", ...args]);
}

function destination(address: string, port: string): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
