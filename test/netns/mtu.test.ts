/** `datagram mtu` over cables and routers. */

import { type TestContext, describe, expect, test } from "vitest";

import type { PathMtuResult } from "../../src/message/index.js";
import { Program, home, whySkipped, withDriver } from "../process/programs.js";
import { type Host, acrossRouter, twoHosts } from "./network.js";

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

/** Makes a host drop the ICMP errors about too big packets: those that it sends or those that it gets, by `hook`. */
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

const skipped = whySkipped("native");

for (const { version, address, overhead, most, router } of families) {
  describe.skipIf(skipped !== undefined)(`over ${version}`, () => {
    test("the result over a plain cable is its MTU, and no probe is lost", async (t) => {
      const [from, to] = await twoHosts(t);
      const { result } = await search(t, from, to, address(0));
      expect(result).toMatchObject({ mtu: 1500, maxPayload: 1500 - overhead, overhead });
      expect(result).toMatchObject({ lost: 0, blackHole: false, ignored: 0 });
    });

    test("the MTU that a router reports for its narrow link is used, and no probe waits for its timeout", async (t) => {
      const { from, to } = await acrossRouter(t, 1280);
      const { result, lines } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, lost: 0, blackHole: false });
      const told = lines.filter((line) => line.includes(`${router} says that the MTU is 1280`));
      expect(told).toHaveLength(1);
    });

    test("an MTU that the kernel already knew from a router is used as well", async (t) => {
      const { from, to } = await acrossRouter(t, 1280);
      await search(t, from, to, address(1));
      const { result } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, lost: 0, blackHole: false });
    });

    test("if no router reports, the MTU that the kernel knows is tried early, and one byte more", async (t) => {
      const { from, router: filtering, to } = await acrossRouter(t, 1280);
      await search(t, from, to, address(1));
      filtering.run(filterIcmp("output"));
      const { result, lines } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, blackHole: false });
      const sizes = new Set(lines.flatMap((line) => /^ *(\d+) bytes/.exec(line)?.[1] ?? []));
      expect([...sizes]).toEqual([1200, most, 1500 - overhead, 1280 - overhead, 1281 - overhead].map(String));
    });

    test("if ICMP is filtered, the size is exact to the byte, and the path is called a black hole", async (t) => {
      const { from, router: filtering, to } = await acrossRouter(t, 1391);
      filtering.run(filterIcmp("output"));
      const { result, stderr } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1391, maxPayload: 1391 - overhead, blackHole: true });
      expect(result.lost).toBeGreaterThanOrEqual(3);
      expect(stderr).toContain("warning: a black hole");
    });

    test("a peer that answers with a short text is enough, over a black hole too", async (t) => {
      const { from, to } = await acrossRouter(t, 1420);
      from.run(filterIcmp("input"));
      const { result } = await search(t, from, to, address(1), "ok");
      expect(result).toMatchObject({ mtu: 1420, maxPayload: 1420 - overhead, blackHole: true });
    });

    test("this host itself reports a narrow first link", async (t) => {
      const [from, to] = await twoHosts(t);
      from.run("ip link set dg0a mtu 1290");
      const { result } = await search(t, from, to, address(0));
      expect(result).toMatchObject({ mtu: 1290, maxPayload: 1290 - overhead, lost: 0, blackHole: false });
    });

    test("a closed port behind a router ends the search at once, with exit code 4", async (t) => {
      const { from } = await acrossRouter(t, 1280);
      const { code, stderr } = await mtu(t, from, [destination(address(1), "9"), "--timeout", "10m"]).ended;
      expect({ code, stderr }).toEqual({
        code: 4,
        stderr: `datagram mtu: nobody is listening on ${destination(address(1), "9")} (port unreachable, from ${address(1)})\n`,
      });
    });
  });
}

test.skipIf(skipped !== undefined)("a path narrower than the base is measured too, over IPv4", async (t) => {
  const { from, router, to } = await acrossRouter(t, 1280);
  router.run(`ip link set dg1a mtu 600; ${filterIcmp("output")}`);
  to.run("ip link set dg1b mtu 600");
  const { result } = await search(t, from, to, "10.77.1.2");
  expect(result).toMatchObject({ mtu: 600, maxPayload: 572, blackHole: true });
});

/** Runs `datagram mtu` on one host towards a peer on another, which echoes, or answers with a text. */
async function search(
  test: TestContext,
  from: Host,
  to: Host,
  address: string,
  ...text: string[]
): Promise<{ result: PathMtuResult; lines: string[]; stderr: string }> {
  const answerer = `${home}build/test/netns/fixtures/answerer.js`;
  const command = [...to.within, process.execPath, answerer, address, ...text];
  const peer = new Program(test, command, withDriver("native"));
  const { code, lines, stderr } = await mtu(test, from, [destination(address, await peer.line()), "--json"])
    .ended;
  if (code !== 0) throw new Error(stderr);
  return { result: JSON.parse(lines.join("\n")) as PathMtuResult, lines: stderr.split("\n"), stderr };
}

/** Starts `datagram mtu` on a host. */
function mtu(test: TestContext, at: Host, args: readonly string[]): Program {
  const command = [...at.within, process.execPath, `${home}dist/cli/main.js`, "mtu", ...args];
  return new Program(test, command, withDriver("native"));
}

function destination(address: string, port: string): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
