/** The interface through which the command sends, and on which it receives, on a host with two interfaces. */

import { type TestContext, expect, test } from "vitest";

import { Program, bin } from "../cli/program.js";
import { overDrivers } from "../process/programs.js";
import { commandsOn } from "./commands.js";
import { type Host, cabledHosts, join, sharedHosts } from "./network.js";

/**
 * Receives on every interface, joins the groups on both cables, and prints for each datagram: payload, interface, source, TTL
 * and TOS.
 */
const witness = `
import socket, struct, sys
def say(*words): print(*words, flush=True)
port, groups = int(sys.argv[1]), sys.argv[2:]
six = any(":" in each for each in groups)
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
if six:
    s.setsockopt(41, socket.IPV6_V6ONLY, 1)
    for option in (49, 51, 66): s.setsockopt(41, option, 1)
else:
    for option in (8, 12, 13): s.setsockopt(0, option, 1)
for name in ("dg0b", "dg1b"):
    index = socket.if_nametoindex(name)
    for each in groups:
        if six: s.setsockopt(41, 20, socket.inet_pton(socket.AF_INET6, each) + struct.pack("@i", index))
        elif each[0] == "2": s.setsockopt(0, 35, socket.inet_aton(each) + bytes(4) + struct.pack("@i", index))
s.bind(("", port))
say("ready")
while True:
    data, control, _, source = s.recvmsg(99, 999)
    known = {kind: value for _, kind, value in control}
    number = lambda kind: int.from_bytes(known[kind], "little")
    index = struct.unpack("@i", known[50][16:] if six else known[8][:4])[0]
    ttl, tos = (number(52), number(67)) if six else (number(2), number(1))
    say(data.decode(), socket.if_indextoname(index), source[0].split("%")[0], source[1], ttl, tos)
`;

/** Two hosts on two cables. The routes of the first host prefer the first cable. */
const twoCables = sharedHosts(async (life) => {
  const [at, far] = await cabledHosts(life);
  join(at, far, 1);
  at.run("ip route add default via 10.77.0.2");
  far.run("ip addr add 10.77.1.9/24 dev dg1b");
  // Each end answers ARP for all addresses of its host, and accepts packets that arrive on the other cable.
  for (const each of [at, far]) {
    each.run("for each in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $each; done");
  }
  return [at, far] as const;
});

overDrivers((driver) => {
  const native = driver === "native";

  test("over IPv4, datagrams leave through the named interface, or through each interface", async (t) => {
    const [at, far] = await twoCables(t);
    const seen = await watch(t, far, ["9420", "239.7.7.7"]);
    const send = (...args: string[]) => commandsOn(at, driver)(["send", ...args]);
    const number = interfaceNumber(at, "dg1a");
    const group = "239.7.7.7:9420";
    const [named, every, one, broadcasts, host, own] = await Promise.all([
      send(group, "named", "--interface", number, "--ttl", "9", "--source", ":5000"),
      send(group, "every", "--every-interface"),
      send("255.255.255.255:9420", "one", "--broadcast", "--interface", "10.77.1.1", "--source", ":5001"),
      send("255.255.255.255:9420", "broadcast", "--every-interface", "--ttl", "4"),
      send("10.77.0.2:9420", "host", "--interface", "dg1a", "--tos", "ef"),
      send("10.77.0.2:9420", "own", "--interface", "dg1a", "--source", "10.77.1.1:5002"),
      // The routes name dg0a.
      send(group, "routed"),
    ]);
    expect(named).toMatchObject({ code: 0, stderr: "sent 1 datagram, 5 bytes to 1 destination by dg1a\n" });
    expect(every).toMatchObject({
      code: 0,
      stderr: "sent 2 datagrams, 10 bytes to 1 destination by dg0a, dg1a\n",
    });
    expect([one.code, broadcasts.code]).toEqual([0, 0]);
    const expected = [
      /^named dg1b 10\.77\.1\.1 5000 9 0$/,
      /^every dg0b 10\.77\.0\.1 \d+ 1 0$/,
      /^every dg1b 10\.77\.1\.1 \d+ 1 0$/,
      /^one dg1b 10\.77\.1\.1 5001 64 0$/,
      /^broadcast dg0b 10\.77\.0\.1 \d+ 4 0$/,
      /^broadcast dg1b 10\.77\.1\.1 \d+ 4 0$/,
      /^routed dg0b 10\.77\.0\.1 \d+ 1 0$/,
      ...(native ? [/^host dg1b 10\.77\.1\.1 \d+ 64 184$/, /^own dg1b 10\.77\.1\.1 5002 64 0$/] : []),
    ];
    await expectLines(seen, expected);
    expect([host.code, own.code]).toEqual(native ? [0, 0] : [1, 1]);
    if (!native) expect(own.stderr).toMatch(/dg1a.*: the native driver can\n$/);
  });

  test("over IPv6, datagrams leave through the named interface, or through each interface", async (t) => {
    const [at, far] = await twoCables(t);
    const seen = await watch(t, far, ["9420", "ff05::7", "ff02::7"]);
    const send = (...args: string[]) => commandsOn(at, driver)(["send", ...args]);
    const [, every, unclear] = await Promise.all([
      send("[ff05::7]:9420", "named", "--interface", "dg1a", "--ttl", "3"),
      send("[ff02::7]:9420", "every", "--every-interface"),
      send("[ff02::7]:9420", "unclear"),
    ]);
    expect(every.stderr).toBe("sent 2 datagrams, 10 bytes to 1 destination by dg0a, dg1a\n");
    expect(unclear.stderr).toContain("names no interface, and this host has 2: give --interface");
    await expectLines(seen, [
      /^named dg1b (?:fe80|fd00:77:1)::\S* \d+ 3 0$/,
      /^every dg0b fe80::\S* \d+ 1 0$/,
      /^every dg1b fe80::\S* \d+ 1 0$/,
      /^unclear dg0b /,
    ]);
  });

  test.for([
    { group: "239.7.7.7:9420", at: "239.7.7.7", by: "dg1a", own: "10.77.1.1" },
    { group: "[ff02::7%dg1a]:9420", at: "ff02::7", by: undefined, own: "[fe80::" },
  ])(
    "listen $group receives the group on its interface, and answers from an address of the host",
    async ({ group, at, by, own }, t) => {
      const [host, far] = await twoCables(t);
      const where = by === undefined ? [] : ["--interface", by];
      const listener = command(t, driver, host, ["listen", group, ...where, "--reply", "ack {}"]);
      expect(await listener.line("stderr")).toBe(`listening on ${group}`);
      expect(await listener.line("stderr")).toBe(`  group ${at} on dg1a`);
      const to = group.replace("%dg1a", "");
      const ask = (via: string, timeout: string) =>
        commandsOn(far, driver)(["request", to, via, "--interface", via, "--timeout", timeout]);
      expect(await ask("dg0b", "300ms")).toMatchObject({ code: 3, stdout: "" });
      const answered = await ask("dg1b", "10s");
      expect(answered).toMatchObject({ code: 0, stdout: '"ack dg1b"\n' });
      expect(answered.stderr).toContain(`8 bytes from ${own}`);
      const { stdout } = await listener.stop();
      expect(stdout.match(/"dg.b"/g)).toEqual(['"dg1b"']);
    },
  );

  test("listen --from receives from one sender only, and if the driver cannot choose, also groups of other programs", async (t) => {
    const [host, far] = await twoCables(t);
    const group = "239.7.7.7:9420";
    const other = command(t, driver, host, ["listen", group, "--interface", "dg0a"]);
    expect(await other.line("stderr")).toBe(`listening on ${group}`);
    const from = ["--interface", "dg1a", "--from", "10.77.1.2"];
    const listener = command(t, driver, host, ["listen", group, ...from]);
    expect(await listener.line("stderr")).toBe(`listening on ${group}`);
    expect(await listener.line("stderr")).toBe("  group 239.7.7.7 on dg1a, from 10.77.1.2 only");
    const send = (...args: string[]) => commandsOn(far, driver)(["send", group, ...args]);
    await send("wrong", "--interface", "dg1b", "--source", "10.77.1.9");
    await send("right", "--every-interface");
    const lines = [await listener.line()];
    if (!native) lines.push(await listener.line());
    const heard = lines.map((line) => /(10\S+):\d+ .* "(.*)"$/.exec(line)!.slice(1).join(" ")).sort();
    expect(heard).toEqual(native ? ["10.77.1.2 right"] : ["10.77.0.2 right", "10.77.1.2 right"]);
  });

  test("a request through each interface collects the answers of each", async (t) => {
    const [host, far] = await twoCables(t);
    const listener = command(t, driver, host, [
      ...["listen", "9420", "--join", "239.7.7.7", "--join", "239.7.7.8", "--echo"],
      ...["--interface", "dg0a", "--interface", "dg1a"],
    ]);
    expect(await listener.line("stderr")).toBe("listening on 0.0.0.0:9420");
    expect(await listener.line("stderr")).toBe("  group 239.7.7.7 on dg0a, dg1a");
    expect(await listener.line("stderr")).toBe("  group 239.7.7.8 on dg0a, dg1a");
    for (const to of ["239.7.7.8:9420", "255.255.255.255:9420"]) {
      const ask = ["request", to, "who?", "--every-interface", "--count", "2"];
      const asked = await commandsOn(far, driver)(ask);
      expect(asked.code).toBe(0);
      const sources = asked.stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(" ")[0]);
      expect(sources.sort()).toEqual(["10.77.0.1:9420", "10.77.1.1:9420"]);
    }
  });
});

/** Waits until each pattern has matched a line, in any order. */
async function expectLines(program: Program, patterns: readonly RegExp[]): Promise<void> {
  const lines: string[] = [];
  while (lines.length < patterns.length) lines.push(await program.line());
  for (const pattern of patterns) expect(lines).toContainEqual(expect.stringMatching(pattern));
}

async function watch(test: TestContext, { within }: Host, args: readonly string[]): Promise<Program> {
  const [nsenter = "", ...rest] = within;
  const program = new Program(test, nsenter, [...rest, "python3", "-S", "-c", witness, ...args]);
  expect(await program.line()).toBe("ready");
  return program;
}

function interfaceNumber(at: Host, name: string): string {
  return at.run(`cat /sys/class/net/${name}/ifindex`).trim();
}

/** Starts the command on a host. */
function command(test: TestContext, driver: string, { within }: Host, args: readonly string[]): Program {
  const [nsenter = "", ...rest] = within;
  return new Program(test, nsenter, [...rest, process.execPath, bin, ...args], {
    env: { DATAGRAM_DRIVER: driver },
  });
}
