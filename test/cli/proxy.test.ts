import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type TestContext, describe, expect, test } from "vitest";

import { unusedPort } from "../ports.js";
import { lineWith } from "./listening.js";
import { commandsInOneProcess } from "./one-process.js";
import {
  Program,
  bin,
  datagram,
  deadAddress,
  onTerminal,
  python,
  pythonPeer,
  pythonReceiver,
  pythonSend,
} from "./program.js";

const run = commandsInOneProcess();

/** What the test reads of an object of `--json`. */
interface Totals {
  readonly up: {
    readonly lost: number;
    readonly received: { readonly datagrams: number };
    readonly delivered: { readonly datagrams: number };
  };
}

/** Answers every sender, until nothing has arrived for a while. */
const answering = `
while True:
    data, source = s.recvfrom(65535)
    s.sendto(b"%d:" % source[1] + data, source)`;

/** Sends one question from each of several sockets, all at once, and prints each answer. */
const asking = `
sockets = [socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
for index, s in enumerate(sockets):
    s.settimeout(20)
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.send(b"from %d" % index)
for s in sockets: say(s.recv(65535).decode())`;

/** Sends one question, and prints two answers. */
const askingTwice = `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"x")
for _ in range(2): say(s.recv(65535).decode())`;

/** Sends through a relay until a datagram arrives at 127.0.0.2. The first datagram ends the peer at the old address. */
const askingUntil = `
at = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at.bind(("127.0.0.2", int(sys.argv[3])))
at.settimeout(0.1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
    try:
        at.recvfrom(64)
        say("moved")
        break
    except TimeoutError: pass
time.sleep(20)`;

interface Running {
  readonly program: Program;
  readonly port: number;
}

/** Starts `datagram proxy` on a free port, and returns it after it has printed its address and its faults. */
async function relay(
  t: TestContext,
  target: string,
  args: readonly string[] = [],
  at = "0",
): Promise<Running> {
  const program = datagram(t, ["proxy", at, target, ...args]);
  const [, port, to] = /^listening on .*:(\d+) for (.*)$/.exec(await program.line("stderr")) ?? [];
  expect(to).toBe(target);
  expect(await program.line("stderr")).toMatch(/^ {2}up: {3}/);
  expect(await program.line("stderr")).toMatch(/^ {2}down: /);
  expect(await program.line("stderr")).toMatch(/^ {2}seed \d+$/);
  return { program, port: Number(port) };
}

test.for(["127.0.0.1", "::1"])("over %s, each of several clients gets its own answers", async (host, t) => {
  const peer = await pythonPeer(t, answering, host);
  const { program, port } = await relay(t, peer.address, [], host === "::1" ? "[::1]:0" : "0");
  const { stdout, stderr } = await python(t, asking, [host, port]).ended;
  expect(stderr).toBe("");
  const answers = stdout.trim().split("\n");
  expect(answers.map((answer) => answer.replace(/^\d+:/, ""))).toEqual(
    [0, 1, 2, 3, 4].map((index) => `from ${index}`),
  );
  expect(new Set(answers.map((answer) => answer.split(":")[0])).size).toBe(5);
  const ending = await program.stop();
  expect(ending).toMatchObject({ code: 0, signal: null, stdout: "" });
  expect(ending.stderr).toContain("\n5 clients\n  up:   5 in, 5 out\n  down: 5 in, 5 out\n");
});

test("Ctrl-C ends the proxy with a summary of what it did", async (t) => {
  const peer = await pythonReceiver(t, 1);
  const faults = ["--up-loss", "50%", "--down-loss", "100%", "--seed", "1"];
  const { program, port } = await relay(t, peer.address, [...faults, "--json"]);
  await pythonSend(
    t,
    port,
    Array.from({ length: 100 }, (_, index) => `${index}`),
  );
  // An object comes each second in which a count has changed.
  for (let read = 0; read < 100;) {
    const { up } = JSON.parse(await program.line()) as Totals;
    read = up.lost + up.delivered.datagrams === 100 ? up.received.datagrams : 0;
  }
  const { code, stdout, stderr } = await program.stop("SIGINT");
  expect(code).toBe(0);
  const objects = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { time: string; up: Record<string, number> });
  const { time, up } = objects.at(-1)!;
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect(up).toMatchObject({ received: { datagrams: 100 } });
  expect(up.lost).toBeGreaterThan(20);
  expect(up.lost).toBeLessThan(80);
  expect(stderr).toContain("  up:   50% lost\n  down: 100% lost\n  seed 1\n");
  expect(stderr).toContain(`\n1 client\n  up:   100 in, ${100 - up.lost!} out, ${up.lost} lost`);
});

test("options of one direction override those of both, and those override the profile", async () => {
  const args = ["--profile", "iot-lossy", "--delay", "5ms", "--down-delay", "7ms", "--up-rate", "1mbit"];
  const { stderr } = await run(["proxy", "0", "127.0.0.1:9", ...args, "--loss", "0", "--duration", "1ms"]);
  expect(stderr).toMatch(
    /\n {2}up: {3}5 ms late, up to 30 ms of jitter, 1 Mbit\/s, packets up to 1280 bytes\n {2}down: 7 ms late, up to 30 ms of jitter, 100 kbit\/s, packets up to 1280 bytes\n/,
  );
});

test("every fault has an option", async () => {
  const args =
    "--loss 10% --loss-burst 3 --delay 50ms --jitter 20ms --duplicate 1% --reorder 2% --reorder-delay 5ms " +
    "--corrupt 3% --rate 1mbit --queue 64k --mtu 1280 --seed 7 --clients 10 --idle 10s --duration 1ms";
  const { code, stderr } = await run(["proxy", "0", "127.0.0.1:9", ...args.split(" ")]);
  expect(code).toBe(0);
  const said =
    "10% lost in bursts, 50 ms late, up to 20 ms of jitter, 1% twice, 2% reordered, 3% corrupted, 1 Mbit/s, " +
    "packets up to 1280 bytes";
  expect(stderr).toContain(`\n  up:   ${said}\n  down: ${said}\n  seed 7\n`);
});

test("losses in bursts have two more options", async () => {
  const args = "--up-loss 10% --up-loss-burst-most 2 --down-gilbert-elliott 1%,24%,1/2 --duration 1ms";
  const { code, stderr } = await run(["proxy", "0", "127.0.0.1:9", ...args.split(" ")]);
  expect(code).toBe(0);
  expect(stderr).toContain("\n  up:   10% lost, 2 in a row at most\n  down: 2% lost in bursts\n");
});

test("rules are printed at the start, and their effect at the end", async (t) => {
  const peer = await pythonReceiver(t, 1);
  const rules = ["--rule", "drop up numbers=1-2", "--rule", 'drop text="b c"@0'];
  const program = datagram(t, ["proxy", "0", peer.address, ...rules]);
  const [, port] = /^listening on .*:(\d+) for /.exec(await program.line("stderr")) ?? [];
  for (const line of ["  up:   no impairment", "  down: no impairment", "  rule: drop up numbers=1-2"])
    expect(await program.line("stderr")).toBe(line);
  expect(await program.line("stderr")).toBe('  rule: drop text="b c"@0');
  await pythonSend(t, Number(port), ["a", "a", "b c", "d"]);
  expect(await peer.line()).toBe("64");
  const { stderr } = await program.stop();
  expect(stderr).toContain("\n  up:   4 in, 1 out, 3 dropped by rules\n");
  expect(stderr).toContain(
    '\n  rule drop up numbers=1-2: 2 up, 0 down\n  rule drop text="b c"@0: 1 up, 0 down\n',
  );
});

test("each of several targets gets a copy, and all may answer", async (t) => {
  const peers = [await pythonPeer(t, answering), await pythonPeer(t, answering)];
  const [first, second] = peers.map(({ address }) => address);
  const program = datagram(t, ["proxy", "0", first!, second!, "--answers", "all"]);
  const [, port, to] = /^listening on .*:(\d+) for (.*)$/.exec(await program.line("stderr")) ?? [];
  expect(to).toBe(`${first}, ${second}`);
  const { stdout } = await python(t, askingTwice, ["127.0.0.1", port!]).ended;
  expect(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.replace(/^\d+:/, "")),
  ).toEqual(["x", "x"]);
  const { stderr } = await program.stop();
  expect(stderr).toContain("\n  up:   1 in, 2 out, 1 copied to other targets\n  down: 2 in, 2 out\n");
});

test("a target whose name changes its address is reported, with its clients", async (t) => {
  const why = spawnSync("unshare", ["-rm", "true"], { stdio: "ignore" }).status;
  t.skip(why !== 0, "no mount namespace can be made here (unshare -rm)");
  const folder = await mkdtemp(join(tmpdir(), "datagram-hosts-"));
  t.onTestFinished(() => rm(folder, { recursive: true }));
  const hosts = join(folder, "hosts");
  await writeFile(hosts, "127.0.0.1 camera.example\n");
  const before = await pythonPeer(t, "s.recvfrom(64)");
  const inHosts = [
    "-rm",
    "sh",
    "-c",
    'mount --bind "$0" /etc/hosts && exec "$@"',
    hosts,
    process.execPath,
    bin,
  ];
  const program = new Program(t, "unshare", [...inHosts, "proxy", "0", `camera.example:${before.port}`]);
  const [, port] = /^listening on .*:(\d+) for 127\.0\.0\.1:/.exec(await program.line("stderr")) ?? [];
  for (let line = 0; line < 3; line++) await program.line("stderr");
  await writeFile(hosts, "127.0.0.2 camera.example\n");
  const asker = python(t, askingUntil, ["127.0.0.1", port!, String(before.port)]);
  expect(await asker.line()).toBe("moved");
  const said = [await program.line("stderr"), await program.line("stderr")];
  expect(said).toEqual([
    `warning: nobody is listening on 127.0.0.1:${before.port}`,
    `camera.example:${before.port} is 127.0.0.2:${before.port} now: 1 client moved so far`,
  ]);
  const { stderr } = await program.stop();
  expect(stderr).toContain(
    `\n  camera.example:${before.port} moved 1 time, the last time to 127.0.0.2:${before.port}`,
  );
});

// semantics: relay-circle-outside
test("a circle of two commands ends at the limit of clients, and is reported", async (t) => {
  const [one, other] = [unusedPort(), unusedPort()];
  const first = await relay(t, `127.0.0.1:${other}`, ["--clients", "40"], String(one));
  await relay(t, `127.0.0.1:${one}`, ["--clients", "1000"], String(other));
  await pythonSend(t, one, ["round and round"]);
  // A line of counts may come before them, every 10 s.
  const warning = (): Promise<string> => lineWith(first.program, "warning: ");
  const said = [await warning(), await warning()].join("\n");
  expect(said).toMatch(/^warning: some clients are refused: there are 40, the limit of --clients/m);
  // The warning may come before the limit is reached.
  expect(said).toMatch(
    /^warning: \d+ new clients in a row began with the same datagram.* through a loop of relays/m,
  );
});

test("a closed target port, and clients above the limit, are reported once and counted", async (t) => {
  const { program, port } = await relay(t, deadAddress(), ["--clients", "1"]);
  await pythonSend(t, port, ["1"]);
  await pythonSend(t, port, ["2"]);
  await pythonSend(t, port, ["3"]);
  const warning = (): Promise<string> => lineWith(program, "warning: ");
  expect(await warning()).toMatch(/^warning: nobody is listening on 127\.0\.0\.1:\d+$/);
  expect(await warning()).toMatch(/^warning: some clients are refused: .* limit of --clients/);
  const { code, stderr } = await program.stop();
  expect(code).toBe(0);
  expect(stderr.match(/warning/g)).toHaveLength(2);
  expect(stderr).toMatch(
    /\n1 client\n {2}up: {3}3 in, 1 out, 2 of clients that were refused, 1 or more unreachable\n/,
  );
});

test("--duration ends the proxy", async () => {
  const { code, stdout, stderr } = await run(["proxy", "0", "127.0.0.1:9", "--duration", "50ms"]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toMatch(/\n0 clients\n {2}up: {3}0 in, 0 out\n {2}down: 0 in, 0 out\n$/);
});

test("on a terminal one line shows what passed, and is erased for the summary", async (t) => {
  const program = onTerminal(t, ["proxy", "0", "127.0.0.1:9", "--duration", "2500ms"], { NO_COLOR: "1" });
  const { code, stdout } = await program.ended;
  expect(code).toBe(0);
  // The same line is not drawn twice. It is erased for the summary.
  expect(stdout.replaceAll("\u001b[K", "<erase>")).toMatch(
    /\n\r0 clients \| up 0 in, 0 out \| down 0 in, 0 out<erase>\r<erase>0 clients\r\n/,
  );
});

test("Ctrl-C on a terminal removes the line, and the ^C after it", async (t) => {
  const program = onTerminal(t, ["proxy", "0", "127.0.0.1:9"], { NO_COLOR: "1" });
  const live = "0 clients | up 0 in, 0 out | down 0 in, 0 out";
  await program.written(`${live}\u001b[K`);
  program.type("\u0003");
  const { code, stdout } = await program.ended;
  expect(code).toBe(0);
  expect(stdout).toContain(`${live}\u001b[K^C\r\u001b[K0 clients\r\n`);
});

describe("what the proxy refuses", () => {
  test("the proxy refuses itself as its target, in one line", async (t) => {
    const peer = await pythonPeer(t, "");
    await peer.ended;
    const { code, stderr } = await run(["proxy", `0.0.0.0:${peer.port}`, `127.0.0.1:${peer.port}`]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^datagram proxy: proxy 127\.0\.0\.1:\d+: the target is the proxy itself: .*\n$/);
  });

  test("the proxy refuses a taken port, in one line", async (t) => {
    const peer = await pythonPeer(t, "time.sleep(20)");
    const { code, stderr } = await run(["proxy", String(peer.port), "127.0.0.1:9"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^datagram proxy: cannot use 127\.0\.0\.1:\d+: another socket has this address[^;]*\n$/,
    );
  });
});
