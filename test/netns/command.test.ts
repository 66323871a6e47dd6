/** The output of the command if a router has no route, and for answers that are longer than a packet. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type CapturedUnreachable, read } from "datagram/capture";
import { type TestContext, expect, test } from "vitest";

import { Program, bin } from "../cli/program.js";
import { overDrivers } from "../process/programs.js";
import { commandsOn } from "./commands.js";
import {
  type Host,
  acrossRouter,
  host,
  needNetworks,
  outspoken,
  routedHosts,
  sharedHosts,
  twoHosts,
} from "./network.js";

overDrivers((driver) => {
  const native = driver === "native";
  const withoutRoute = sharedHosts(async (life) => {
    const row = await routedHosts(life);
    row.router.run("ip route add unreachable 10.99.0.0/16; ip -6 route add unreachable fd00:99::/32");
    outspoken(row.router);
    return row;
  });
  const withoutAnyRoute = sharedHosts(host);
  // A driver has hosts of its own, since a host remembers the path MTU that it was told.
  const withNarrowLink = sharedHosts((life) => routedHosts(life, 1280));

  test.for([
    { to: "10.99.0.1:9", said: "host unreachable, from 10.77.0.2" },
    { to: "[fd00:99::1]:9", said: "no route to destination, from fd00:77:0::2" },
  ])(
    "an ICMP error of a router about $to ends the command with exit code 4, if the driver reports errors of routers",
    async ({ to, said }, t) => {
      const { from: at } = await withoutRoute(t);
      const run = commandsOn(at, driver);
      const refusal = `${to} cannot be reached (${said.replace(":0::", "::")})\n`;
      const asked = await run(["request", to, "x", "--timeout", "100ms", "--retries", "1"]);
      expect(asked.code).toBe(native ? 4 : 3);
      expect(asked.stderr).toContain(native ? `datagram request: ${refusal}` : `no answer from ${to}`);
      const sent = await run(["send", to, "x", "--confirm", native ? "10m" : "100ms"]);
      expect(sent.code).toBe(native ? 4 : 0);
      expect(sent.stderr).toContain(native ? `datagram send: ${refusal}` : "no refusal came in 100 ms");
    },
  );

  test.runIf(native)("a search of the path MTU ends with the ICMP error of a router", async (t) => {
    const { from: at } = await withoutRoute(t);
    const measured = await commandsOn(at, driver)(["mtu", "10.99.0.1:9", "--timeout", "100ms"]);
    expect(measured.code).toBe(4);
    expect(measured.stderr).toMatch(/^( 1200 bytes {2}lost \(\d of 3\)\n){3}datagram mtu: /);
    expect(measured.stderr).toContain("10.99.0.1:9 cannot be reached (host unreachable, from 10.77.0.2)\n");
  });

  test("a request is answered although a router had no route at first", async (t) => {
    const { from: at, router, to: far } = await acrossRouter(t);
    const listener = command(t, driver, far, ["listen", "10.77.1.2:9000", "--echo"]);
    expect(await listener.line("stderr")).toBe("listening on 10.77.1.2:9000");
    router.run("ip route add unreachable 10.77.1.2");
    const args = ["request", "10.77.1.2:9000", "x", "--timeout", "200ms", "--retries", "1000"];
    const asked = command(t, driver, at, args);
    await expect
      .poll(() => router.run("cat /proc/net/snmp"), { timeout: 60_000 })
      .toMatch(/^IcmpMsg: .*OutType3/m);
    router.run("ip route del unreachable 10.77.1.2");
    const { code, stdout } = await asked.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '"x"\n' });
  });

  test("a group without a route ends the command, and the message names the option for the interface", async (t) => {
    needNetworks(t);
    const sent = await command(t, driver, await host(t), ["send", "239.9.8.7:7100", "hi"]).ended;
    expect(sent.code).toBe(4);
    expect(sent.stderr).toBe(
      "datagram send: cannot send to 239.9.8.7:7100: no route to this group: name the interface: --interface <name>\n",
    );
  });

  test.for([
    ["send", "10.1.1.1:9", "hi"],
    ["send", "10.1.1.1:9", "hi", "--message"],
    ["request", "10.1.1.1:9", "hi"],
    ["request", "10.1.1.1:9", "hi", "--message"],
    ["ping", "10.1.1.1:9"],
    ["mtu", "10.1.1.1:9"],
  ])("without a route, datagram %s %s ends with exit code 4, and names the destination", async (args, t) => {
    // Only one of the drivers can search the path MTU.
    if (args[0] === "mtu" && !native) return t.skip();
    const { code, stderr } = await commandsOn(await withoutAnyRoute(t), driver)(args);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `datagram ${args[0]}: cannot send to 10.1.1.1:9: no route to this network\n`,
    });
  });

  test.for([
    { to: "10.77.1.2", router: "10.77.0.2", most: 1252 },
    { to: "fd00:77:1::2", router: "fd00:77::2", most: 1232 },
  ])(
    "a datagram to $to that is too big for a router is reported, if the driver reports errors of routers",
    async ({ to, router, most }, t) => {
      const { from: at, to: far } = await withNarrowLink(t);
      const where = to.includes(":") ? `[${to}]:9000` : `${to}:9000`;
      const listener = command(t, driver, far, ["listen", where, "--echo"]);
      expect(await listener.line("stderr")).toBe(`listening on ${where}`);
      const told = `warning: ${router} dropped a datagram to ${where} that is too big: the MTU there is 1280, ${most} bytes`;
      const sent = await commandsOn(at, driver)(["send", where, "x".repeat(1400), "--confirm", "300ms"]);
      expect(sent.stderr.includes(told)).toBe(native);
      expect(sent.stderr).toContain("no refusal came in 300 ms");
    },
  );

  test.runIf(native).for([
    { to: "10.77.1.2", router: "10.77.0.2", local: "127.0.0.1" },
    { to: "fd00:77:1::2", router: "fd00:77::2", local: "[::1]" },
  ])(
    "the recording of a relay to $to has the ICMP error about a datagram that is too big for a router, with the MTU",
    async ({ to, router, local }, t) => {
      const { from: at, to: far } = await acrossRouter(t, 1280);
      const where = to.includes(":") ? `[${to}]:9000` : `${to}:9000`;
      const listener = command(t, driver, far, ["listen", where, "--echo"]);
      expect(await listener.line("stderr")).toBe(`listening on ${where}`);
      const folder = mkdtempSync(join(tmpdir(), "datagram-relay-mtu-"));
      t.onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "relay.pcapng");
      const relay = command(t, driver, at, ["proxy", `${local}:9001`, where, "--record", file]);
      expect(await relay.line("stderr")).toBe(`listening on ${local}:9001 for ${where}`);
      await command(t, driver, at, ["send", `${local}:9001`, "x".repeat(1400)]).ended;
      // Its answer comes after the error of the router.
      const asked = await command(t, driver, at, ["request", `${local}:9001`, "short"]).ended;
      expect(asked.stdout).toBe('"short"\n');
      await relay.stop();
      const errors: CapturedUnreachable[] = [];
      for await (const { size } of read(file, { onUnreachable: (error) => errors.push(error) }))
        expect([1400, 5]).toContain(size);
      expect(errors.map(({ from, destination, mtu }) => [from, String(destination), mtu])).toEqual([
        [router, where, 1280],
      ]);
    },
  );

  test("answers that arrive in fragments are counted, if the driver can tell", async (t) => {
    const [at, other] = await twoHosts(t);
    const listener = command(t, driver, at, ["listen", "10.77.0.1:9000", "--echo", "--count", "2"]);
    expect(await listener.line("stderr")).toBe("listening on 10.77.0.1:9000");
    for (const bytes of [1472, 1473]) {
      const asked = commandsOn(other, driver)(["request", "10.77.0.1:9000", "x".repeat(bytes)]);
      expect((await asked).stdout).toBe(`"${"x".repeat(bytes)}"\n`);
    }
    const { stderr } = await listener.ended;
    expect(stderr).toContain("\n  answered: 2\n");
    expect(/answers in fragments: (\d+)\n/.exec(stderr)?.[1]).toBe(native ? "1" : undefined);
  });
});

/** Starts the command on a host. */
function command(test: TestContext, driver: string, { within }: Host, args: readonly string[]): Program {
  const [nsenter = "", ...rest] = within;
  const env = { DATAGRAM_DRIVER: driver };
  return new Program(test, nsenter, [...rest, process.execPath, bin, ...args], { env });
}
