import { tmpdir } from "node:os";

import { describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { datagram, file, hex, onTerminal, pythonPeer, pythonReceiver, run } from "./program.js";

const runHere = commandsInOneProcess();

describe("destinations", () => {
  test("send works with one destination, and the summary says so", async (t) => {
    const peer = await pythonReceiver(t, 1);
    expect(await run(t, ["send", peer.address, "hello"])).toEqual({
      code: 0,
      signal: null,
      stdout: "",
      stderr: "sent 1 datagram, 5 bytes to 1 destination\n",
    });
    expect(await peer.line()).toBe(hex("hello"));
  });

  test("send works with many destinations, of both families and by name", async (t) => {
    const peers = await Promise.all([
      pythonReceiver(t, 1),
      pythonReceiver(t, 1, "::1"),
      pythonReceiver(t, 1),
    ]);
    const addresses = [peers[0].address, peers[1].address, `localhost:${peers[2].port}`];
    const { code, stderr } = await runHere(["send", ...addresses, "to all"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 3 datagrams, 18 bytes to 3 destinations\n" });
    expect(await Promise.all(peers.map((peer) => peer.line()))).toEqual(peers.map(() => hex("to all")));
  });

  test("a broadcast address needs --broadcast", async (t) => {
    const { code, stderr } = await runHere(["send", "127.255.255.255:9", "x"]);
    const refusal =
      "datagram send: 127.255.255.255:9 is a broadcast address: give --broadcast to send there\n";
    expect({ code, stderr }).toEqual({ code: 1, stderr: refusal });

    const peer = await pythonReceiver(t, 1, "127.255.255.255");
    expect(await runHere(["send", peer.address, "x", "--broadcast"])).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe(hex("x"));
  });

  test("a name that does not resolve is an error in one line that names it", async () => {
    const { code, stderr } = await runHere(["send", "no-such-host.invalid:9", "x"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^datagram send: [^\n]*no-such-host\.invalid[^\n]*\n$/);
  });
});

describe("data", () => {
  const bytes = Buffer.from([0, 0xff, 0x1b, 0x0d, 0x0a]);

  test.for<[string, readonly string[], string | Buffer, string]>([
    ["from the argument", ["héllo"], "", hex("héllo")],
    ["that is empty", [""], "", "empty"],
    ["that looks like a destination", ["127.0.0.1:9000"], "", hex("127.0.0.1:9000")],
    ["that begins with a dash, after --", ["--", "-x"], "", hex("-x")],
    ["in hex digits", ["--hex", "00fF"], "", "00ff"],
    ["in hex digits with spaces", ["--hex", " 00 ff\n10 "], "", "00ff10"],
    ["from standard input, without an argument", [], bytes, hex(bytes)],
    ["from standard input, by -", ["-"], bytes, hex(bytes)],
    ["from standard input, by --file -", ["--file", "-"], bytes, hex(bytes)],
    ["from standard input, in hex digits", ["-", "--hex"], "00 ff\n", "00ff"],
    ["of --empty", ["--empty"], "", "empty"],
    ["of --size", ["--size", "13"], "", hex("0123456789012")],
  ])("data %s arrives unchanged", async ([, args, input, expected], t) => {
    const peer = await pythonReceiver(t, 1);
    expect(await runHere(["send", peer.address, ...args], input)).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe(expected);
  });

  test("data from a file arrives unchanged", async (t) => {
    const peer = await pythonReceiver(t, 1);
    const path = file(t, bytes);
    expect(await runHere(["send", peer.address, "--file", path])).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe(hex(bytes));
  });

  test.for([
    ["/no/such/file", "there is no such file"],
    [tmpdir(), "it is a folder"],
  ] as const)("a file that cannot be read is an error in one line: %s", async ([path, why]) => {
    const { code, stderr } = await runHere(["send", "127.0.0.1:9", "--file", path]);
    expect(code).toBe(1);
    expect(stderr).toBe(`datagram send: cannot read "${path}": ${why}\n`);
  });

  test("if the data is missing on a terminal, the command asks for it", async (t) => {
    const terminal = onTerminal(t, ["send", "127.0.0.1:9"], { NO_COLOR: "1" });
    const { code, stdout } = await terminal.ended;
    expect(code).toBe(2);
    expect(stdout).toMatch(/^datagram send: no data: it is the last argument, or - /);
  });
});

describe("sizes", () => {
  const warning = /^warning: 1401 bytes are over 1400: .*MTU.*fragments/m;

  test("above 1400 bytes a warning is printed once, with the reason", async (t) => {
    const peer = await pythonReceiver(t, 3);
    const { code, stderr } = await runHere(["send", peer.address, "x".repeat(1401), "--repeat", "3"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(warning);
    expect(stderr.match(/warning/g)).toHaveLength(1);
    expect(await peer.line()).toHaveLength(2802);
  });

  test("at 1400 bytes there is no warning", async (t) => {
    const { stderr } = await runHere(["send", (await pythonReceiver(t, 1)).address, "x".repeat(1400)]);
    expect(stderr).not.toContain("warning");
  });

  test.for([
    ["127.0.0.1", 65_507, "IPv4"],
    ["::1", 65_527, "IPv6"],
  ] as const)("to %s, %i bytes are sent and one more is refused", async ([host, most, family], t) => {
    const peer = await pythonReceiver(t, 1, host);
    const { code, stderr } = await runHere(["send", peer.address, "x".repeat(most + 1)]);
    const refusal = `datagram send: a message of ${most + 1} bytes is over the limit of ${most} of a datagram over ${family}: --message sends longer ones\n`;
    expect({ code, stderr }).toEqual({ code: 1, stderr: refusal });

    expect(await runHere(["send", peer.address, "-"], "x".repeat(most))).toMatchObject({ code: 0 });
    // Python cuts at 65,535 bytes, which is more than both limits.
    expect(await peer.line()).toHaveLength(2 * most);
  });

  test("a file that is too long is refused with its size", async (t) => {
    const photo = file(t, "x".repeat(200_000));
    const { code, stderr } = await runHere(["send", "127.0.0.1:9", "--file", photo]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        "datagram send: a message of 200000 bytes is over the limit of 65507 of a datagram over IPv4: --message sends longer ones\n",
    });
  });

  test("a file without an end is not read to its end", async () => {
    const { code, stderr } = await runHere(["send", "127.0.0.1:9", "--file", "/dev/zero"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^datagram send: a message of at least \d+ bytes is over the limit of 65507[^\n]*\n$/,
    );
  });
});

describe("--repeat and --every", () => {
  test("--repeat sends that often", async (t) => {
    const peer = await pythonReceiver(t, 100);
    const { code, stderr } = await runHere(["send", peer.address, "again", "--repeat", "100"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 100 datagrams, 500 bytes to 1 destination\n" });
    expect((await peer.ended).stdout).toBe(`${peer.port}\n${`${hex("again")}\n`.repeat(100)}`);
  });

  test("--every waits between two datagrams", async (t) => {
    const peer = await pythonReceiver(t, 3);
    const start = performance.now();
    const { code, stderr } = await runHere(["send", peer.address, "x", "--repeat", "3", "--every", "300ms"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 3 datagrams, 3 bytes to 1 destination\n" });
    expect(performance.now() - start).toBeGreaterThanOrEqual(600);
    expect(await peer.ended).toMatchObject({ code: 0 });
  });

  test("--every alone sends until Ctrl-C, which is exit code 0", async (t) => {
    const peer = await pythonPeer(t, "for _ in range(3): say(s.recv(99))\ntime.sleep(20)");
    const sender = datagram(t, ["send", peer.address, "tick", "--every", "10ms"]);
    for (let left = 3; left > 0; left--) expect(await peer.line()).toBe("b'tick'");
    const { code, stderr } = await sender.stop();
    expect(code).toBe(0);
    expect(stderr).toMatch(/^sent \d+ datagrams, \d+ bytes to 1 destination\n$/);
  });

  test.for([["--every", "1m"], []])("Ctrl-C before the end of --repeat is an error %s", async (pace, t) => {
    const peer = await pythonPeer(t, "say(s.recv(99))\ntime.sleep(20)");
    const sender = datagram(t, ["send", peer.address, "x", "--repeat", "1000000000", ...pace]);
    expect(await peer.line()).toBe("b'x'");
    const { code, stderr } = await sender.stop();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sent \d+ datagrams?, .*\ndatagram send: interrupted before all was sent\n$/);
  });
});
