import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { commandsInOneProcess } from "./one-process.js";
import { Program, bin, deadAddress, file, listen, onTerminal, pythonPeer, run } from "./program.js";

const runHere = commandsInOneProcess();

/** The peer in Python, as the page shows it: an answer to each request. */
const acknowledge = `
while True:
    request, source = s.recvfrom(65535)
    s.sendto(b"ack: " + request, source)`;

describe("one answer", () => {
  test("the answer goes to standard output alone, and the time to standard error", async (t) => {
    const { address } = await pythonPeer(t, acknowledge);
    const { code, stdout, stderr } = await run(t, ["request", address, "ping"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '"ack: ping"\n' });
    expect(stderr).toMatch(new RegExp(`^9 bytes from ${address} in \\d+\\.\\d\\d ms\n$`));
  });

  test("datagram listen can answer", async (t) => {
    const { address } = await listen(t, ["--reply", "ack: {}"], "[::1]:0");
    expect(await runHere(["request", address, "ping"])).toMatchObject({ code: 0, stdout: '"ack: ping"\n' });
  });

  test("the request can come from standard input", async (t) => {
    const { address } = await listen(t, ["--echo"]);
    for (const args of [[], ["-"]]) {
      const { code, stdout } = await runHere(["request", address, ...args], "typed\n");
      expect({ code, stdout }).toEqual({ code: 0, stdout: '"typed\\n"\n' });
    }
  });

  test("--hex is for the request and for the answer", async (t) => {
    const { address } = await listen(t, ["--echo"]);
    const { stdout } = await runHere(["request", address, "--hex", "00 41"]);
    expect(stdout).toBe("0041\n");
  });

  test("--json prints one object", async (t) => {
    const { address, port } = await listen(t, ["--echo"]);
    const { code, stdout } = await runHere(["request", address, "ping", "--json"]);
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(2);
    expect(JSON.parse(stdout)).toEqual({
      source: { host: "127.0.0.1", port },
      roundTripMs: expect.any(Number) as number,
      size: 4,
      text: "ping",
    });
  });

  test("an empty answer is a pair of quotes", async (t) => {
    const { address } = await listen(t, ["--reply", ""]);
    const { code, stdout, stderr } = await runHere(["request", address, "ping"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '""\n' });
    expect(stderr).toContain("0 bytes from");
  });

  test.for([
    ["\u001b[2J", '"\\x1b[2J"'],
    ["ab\u202ecd", '"ab\\u202ecd"'],
    ["a\u202eb", 'b"a\\xe2\\x80\\xaeb"'],
    ["two\nlines", '"two\\nlines"'],
    ["\u0007", 'b"\\x07"'],
  ] as const)("a hostile answer is printed with escapes: %j", async ([text, shown], t) => {
    const { address } = await listen(t, ["--echo"]);
    const plain = await runHere(["request", address, "-"], text);
    expect(plain).toMatchObject({ code: 0, stdout: `${shown}\n` });
    const { stdout } = await runHere(["request", address, "-", "--json"], text);
    expect(JSON.parse(stdout)).toMatchObject({ text });
  });

  test("--raw writes the bytes of the answer alone, also if the request is in hex digits", async (t) => {
    const { address } = await listen(t, ["--echo"]);
    const path = file(t, "");
    const asked = ["-c", '"$@" >"$0"', path, process.execPath, bin, "request", address, "--hex", "ff00d80a"];
    expect(await new Program(t, "sh", [...asked, "--raw"]).ended).toMatchObject({ code: 0 });
    expect(readFileSync(path, "hex")).toBe("ff00d80a");
  });

  test("only an answer from the address that was asked counts", async (t) => {
    const stranger = `
request, source = s.recvfrom(99)
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.sendto(b"forged", source)
s.sendto(b"true", source)`;
    const { address } = await pythonPeer(t, stranger);
    expect(await runHere(["request", address, "ping"])).toMatchObject({ code: 0, stdout: '"true"\n' });
  });

  test("a large answer arrives whole", async (t) => {
    const { address } = await listen(t, ["--echo"]);
    const input = "x".repeat(65_507);
    expect(await runHere(["request", address, "-"], input)).toMatchObject({
      code: 0,
      stdout: `"${input}"\n`,
    });
  });
});

describe("no answer", () => {
  test("a silent peer is exit code 3", async (t) => {
    const { address } = await pythonPeer(t, "s.recvfrom(99); s.recvfrom(99)");
    const { code, stdout, stderr } = await runHere(["request", address, "ping", "--timeout", "50ms"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toBe(
      `datagram request: no answer from ${address} in 50 ms (1 try): lost, or nobody there answers, or it came from another address, which --all shows\n`,
    );
  });

  test("the default timeout is 2 s", async (t) => {
    const { address } = await pythonPeer(t, "s.recvfrom(99); s.recvfrom(99)");
    const start = performance.now();
    const { code, stderr } = await runHere(["request", address, "ping"]);
    expect(code).toBe(3);
    expect(stderr).toContain("in 2 s (1 try)");
    expect(performance.now() - start).toBeGreaterThanOrEqual(2000);
  });

  test("--retries sends the request again that often, and no more", async (t) => {
    const body = `
for _ in range(3): say(s.recvfrom(99)[0])
s.settimeout(0.5)
try: say(s.recvfrom(99))
except TimeoutError: say("no more")`;
    const peer = await pythonPeer(t, body);
    const { code, stderr } = await runHere([
      "request",
      peer.address,
      "x",
      "--timeout",
      "60ms",
      "--retries",
      "2",
    ]);
    expect(code).toBe(3);
    expect(stderr).toContain("in 180 ms (3 tries)");
    expect((await peer.ended).stdout).toBe(`${peer.port}\n${"b'x'\n".repeat(3)}no more\n`);
  });
});

overDrivers((driver) => {
  const env = { DATAGRAM_DRIVER: driver };

  describe("to a closed port", () => {
    test.for(["127.0.0.1", "::1"])(
      "an ICMP error of %s ends the request at once with exit code 4",
      async (host, t) => {
        const address = deadAddress(host);
        const said = driver === "native" ? ` (port unreachable, from ${host})` : "";
        expect(await run(t, ["request", address, "x", "--timeout", "10m"], { env })).toEqual({
          code: 4,
          signal: null,
          stdout: "",
          stderr: `datagram request: nobody is listening on ${address}${said}\n`,
        });
      },
    );

    test("a request with --all gets the ICMP error too, if the driver can tell", async (t) => {
      const address = deadAddress();
      const [timeout, exit, text] =
        driver === "native"
          ? ["10m", 4, `nobody is listening on ${address} (port unreachable, from 127.0.0.1)\n`]
          : ["50ms", 3, `no answer from ${address} in 50 ms`];
      const { code, stderr } = await run(t, ["request", address, "x", "--all", "--timeout", timeout], {
        env,
      });
      expect(code).toBe(exit);
      expect(stderr).toContain(`datagram request: ${text}`);
    });
  });
});

test("--retries gets an answer if the first datagram was lost", async (t) => {
  const { address } = await pythonPeer(
    t,
    `
s.recvfrom(99)
request, source = s.recvfrom(99)
s.sendto(b"at last", source)
s.recvfrom(99)`,
  );
  const { code, stdout, stderr } = await runHere([
    "request",
    address,
    "x",
    "--retries",
    "5",
    "--timeout",
    "500ms",
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '"at last"\n' });
  expect(stderr).toMatch(/ms after try [2-6]\n$/);
});

describe("--all", () => {
  test("--all collects every answer until the timeout", async (t) => {
    const three = `
request, source = s.recvfrom(99)
for n in range(3):
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    other.sendto(b"%d" % n, source)
s.recvfrom(99)`;
    const { address } = await pythonPeer(t, three);
    const { code, stdout, stderr } = await runHere(["request", address, "x", "--all", "--timeout", "2s"]);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    const found = lines.map((line) => /^(127\.0\.0\.1:\d+) \d+\.\d\d ms 1 byte "(\d)"$/.exec(line)!);
    expect(found.map(([, , text]) => text).sort()).toEqual(["0", "1", "2"]);
    expect(new Set(found.map(([, source]) => source)).size).toBe(3);
    expect(stderr).toBe("3 answers in 2 s\n");
  });

  test("--all without any answer is exit code 3", async (t) => {
    const { address } = await pythonPeer(t, "s.recvfrom(99); s.recvfrom(99)");
    const { code, stdout } = await runHere(["request", address, "x", "--all", "--timeout", "50ms"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
  });
});

describe("broadcast", () => {
  const responder = (reuse: string): string => `
s.close()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.255.255.255", ${reuse}))
say(s.getsockname()[1])
request, source = s.recvfrom(99)
s.sendto(b"here", source)
s.recvfrom(99)`;

  test("a broadcast request finds each peer that answers", async (t) => {
    const first = await pythonPeer(t, responder("0"));
    const port = await first.line();
    const second = await pythonPeer(t, responder(port));
    expect(await second.line()).toBe(port);
    const discover = [
      "request",
      `127.255.255.255:${port}`,
      "who?",
      "--broadcast",
      "--all",
      "--timeout",
      "2s",
      "--json",
    ];
    const { code, stdout } = await runHere(discover);
    expect(code).toBe(0);
    const answers = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    const answer = { source: { host: "127.0.0.1", port: Number(port) }, text: "here" };
    expect(answers).toMatchObject([answer, answer]);
  });

  test("without --all, the first answer from any peer ends the request", async (t) => {
    const peer = await pythonPeer(t, responder("0"));
    const port = await peer.line();
    const { code, stdout } = await runHere(["request", `127.255.255.255:${port}`, "who?", "--broadcast"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '"here"\n' });
  });

  test("broadcast needs its option", async () => {
    const { code, stderr } = await runHere(["request", "127.255.255.255:9", "x"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^datagram request: 127\.255\.255\.255:9 is a broadcast address: give --broadcast/,
    );
  });
});

test("a request that is too long is refused, and one that may be cut into fragments gets a warning", async (t) => {
  const { address } = await listen(t, ["--reply", "ok"]);
  const refused = await runHere(["request", address, "-"], "x".repeat(65_508));
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/over the limit of 65507/);
  const warned = await runHere(["request", address, "x".repeat(2000)]);
  expect(warned).toMatchObject({ code: 0, stdout: '"ok"\n' });
  expect(warned.stderr).toMatch(/^warning: 2000 bytes are over 1400/);
});

test("if the data is missing on a terminal, the command asks for it", async (t) => {
  const terminal = onTerminal(t, ["request", "127.0.0.1:9"], { NO_COLOR: "1" });
  const { code, stdout } = await terminal.ended;
  expect(code).toBe(2);
  expect(stdout).toMatch(/^datagram request: no data: /);
});

test("--raw refuses to write to a terminal", async (t) => {
  const { code, stdout } = await onTerminal(t, ["request", "127.0.0.1:9", "x", "--raw"], { NO_COLOR: "1" })
    .ended;
  expect(code).toBe(2);
  expect(stdout).toMatch(/^datagram request: --raw writes bytes that a terminal could execute: /);
});
