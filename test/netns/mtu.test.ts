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

/** Has a host neither send nor take, as `hook` says, what ICMP tells of packets that are too big. */
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
    test("a plain cable carries what its MTU says, and no probe is lost", async (t) => {
      const [from, to] = await twoHosts(t);
      const { result } = await search(t, from, to, address(0));
      expect(result).toMatchObject({ mtu: 1500, maxPayload: 1500 - overhead, overhead });
      expect(result).toMatchObject({ lost: 0, blackHole: false, ignored: 0 });
    });

    test("a router that tells of its narrow link is believed, and no probe is waited for", async (t) => {
      const { from, to } = await acrossRouter(t, 1280);
      const { result, lines } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, lost: 0, blackHole: false });
      const told = lines.filter((line) => line.includes(`${router} says that the MTU is 1280`));
      expect(told).toHaveLength(1);
    });

    test("a router that tells what the kernel knew already is believed as well", async (t) => {
      const { from, to } = await acrossRouter(t, 1280);
      await search(t, from, to, address(1));
      const { result } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, lost: 0, blackHole: false });
    });

    test("what the kernel knows of the path is tried early, and one byte more, where nobody tells", async (t) => {
      const { from, router: filtering, to } = await acrossRouter(t, 1280);
      await search(t, from, to, address(1));
      filtering.run(filterIcmp("output"));
      const { result, lines } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1280, maxPayload: 1280 - overhead, blackHole: false });
      const sizes = new Set(lines.flatMap((line) => /^ *(\d+) bytes/.exec(line)?.[1] ?? []));
      expect([...sizes]).toEqual([1200, most, 1500 - overhead, 1280 - overhead, 1281 - overhead].map(String));
    });

    test("where ICMP is filtered, the size is found to the byte, and called a black hole", async (t) => {
      const { from, router: filtering, to } = await acrossRouter(t, 1391);
      filtering.run(filterIcmp("output"));
      const { result, stderr } = await search(t, from, to, address(1));
      expect(result).toMatchObject({ mtu: 1391, maxPayload: 1391 - overhead, blackHole: true });
      expect(result.lost).toBeGreaterThanOrEqual(3);
      expect(stderr).toContain("warning: a black hole");
    });

    test("a peer that answers with a short text will do, over a black hole too", async (t) => {
      const { from, to } = await acrossRouter(t, 1420);
      from.run(filterIcmp("input"));
      const { result } = await search(t, from, to, address(1), "ok");
      expect(result).toMatchObject({ mtu: 1420, maxPayload: 1420 - overhead, blackHole: true });
    });

    test("a narrow first link is told by this host itself", async (t) => {
      const [from, to] = await twoHosts(t);
      from.run("ip link set dg0a mtu 1290");
      const { result } = await search(t, from, to, address(0));
      expect(result).toMatchObject({ mtu: 1290, maxPayload: 1290 - overhead, lost: 0, blackHole: false });
    });

    test("where nobody listens behind a router, that ends it at once, with exit code 4", async (t) => {
      const { from } = await acrossRouter(t, 1280);
      const { code, stderr } = await mtu(t, from, [destination(address(1), "9"), "--timeout", "10m"]).ended;
      expect({ code, stderr }).toEqual({
        code: 4,
        stderr: `datagram mtu: nobody is listening on ${destination(address(1), "9")} (port unreachable, from ${address(1)})\n`,
      });
    });
  });
}

test.skipIf(skipped !== undefined)("a path narrower than the base is found too, over IPv4", async (t) => {
  const { from, router, to } = await acrossRouter(t, 1280);
  router.run(`ip link set dg1a mtu 600; ${filterIcmp("output")}`);
  to.run("ip link set dg1b mtu 600");
  const { result } = await search(t, from, to, "10.77.1.2");
  expect(result).toMatchObject({ mtu: 600, maxPayload: 572, blackHole: true });
});

/** Runs `datagram mtu` at one host towards a peer at another, which echoes, or answers with a text. */
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

/** Starts `datagram mtu` at a host. */
function mtu(test: TestContext, at: Host, args: readonly string[]): Program {
  const command = [...at.within, process.execPath, `${home}dist/cli/main.js`, "mtu", ...args];
  return new Program(test, command, withDriver("native"));
}

function destination(address: string, port: string): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
