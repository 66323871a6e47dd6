import { createSocket } from "node:dgram";
import { once } from "node:events";

import { type TestContext, describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import {
  type Listener,
  datagram,
  everyTestRequired,
  listen,
  python,
  pythonPeer,
  pythonSend,
  run,
} from "./program.js";

/** What `listen` prints for a datagram: time, source, size, payload. */
const shape = /^\d\d:\d\d:\d\d\.\d{3} (127\.0\.0\.1:\d+) (.*? bytes?) (.*)$/;

describe("the address", () => {
  test("a port without an address listens on the loopback interface, and the first line says so", async (t) => {
    const listener = await listen(t);
    expect(listener.address).toBe(`127.0.0.1:${listener.port}`);
    expect(await listener.line("stderr")).toContain(`0.0.0.0:${listener.port} listens on every interface`);
  });

  test("listen uses every interface only if asked", async (t) => {
    const listener = await listen(t, [], "0.0.0.0:0");
    expect(listener.address).toBe(`0.0.0.0:${listener.port}`);
    const { stderr } = await listener.stop();
    expect(stderr).not.toContain("every interface");
  });

  test("the address can be a name, or IPv6 in brackets", async (t) => {
    expect((await listen(t, [], "localhost:0")).address).toMatch(/^127\.0\.0\.1:/);
    expect((await listen(t, [], "[::1]:0")).address).toMatch(/^\[::1\]:/);
  });

  test("a taken port is an error in one line", async (t) => {
    const { port } = await listen(t);
    const { code, stdout, stderr } = await run(t, ["listen", String(port)]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^datagram listen: bind 127\.0\.0\.1:\d+: another socket has this address: .*SO_REUSEPORT.* \(EADDRINUSE\)\n$/,
    );
  });
});

describe("the output", () => {
  test("each datagram has a line with time, source, size and payload, from any number of peers", async (t) => {
    const listener = await listen(t, ["--count", "3"]);
    await pythonSend(t, listener.port, ["one"]);
    await pythonSend(t, listener.port, ["héllo", ""]);
    const { code, stdout } = await listener.ended;
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => shape.exec(line)!);
    expect(code).toBe(0);
    expect(lines.map(([, , size, payload]) => [size, payload])).toEqual([
      ["3 bytes", '"one"'],
      ["6 bytes", '"héllo"'],
      ["0 bytes", '""'],
    ]);
    expect(new Set(lines.map(([, source]) => source)).size).toBe(2);
  });

  test("a line end at the end of a payload is outside the quotes", async (t) => {
    const payloads = ["unix\n", "dos\r\n", "\n", "x\\n", "two\nlines", "two\n\n", "old\r"];
    expect(await printed(t, [], payloads)).toEqual([
      '"unix"\\n',
      '"dos"\\r\\n',
      '""\\n',
      '"x\\n"',
      Buffer.from("two\nlines").toString("hex"),
      Buffer.from("two\n\n").toString("hex"),
      Buffer.from("old\r").toString("hex"),
    ]);
  });

  test("--hex shows every payload as hex", async (t) => {
    expect(await printed(t, ["--hex"], ["hi", ""])).toEqual(["6869", '""']);
  });

  test("--json prints one object per line, with text or hex", async (t) => {
    const listener = await listen(t, ["--json", "--count", "2"], "0", { env: { DATAGRAM_DRIVER: "dgram" } });
    const before = Date.now();
    await pythonSend(t, listener.port, ['say "hi"\n', Buffer.from([0xff, 0])]);
    const { stdout } = await listener.ended;
    const [first, second, ...rest] = objects(stdout);
    expect(rest).toEqual([]);
    expect(first).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/) as string,
      source: { host: "127.0.0.1", port: expect.any(Number) as number },
      size: 9,
      truncated: false,
      text: 'say "hi"\n',
    });
    expect(second).toMatchObject({ size: 2, hex: "ff00" });
    expect(Math.abs(Date.parse(first!.time as string) - before)).toBeLessThan(60_000);
  });

  test("--json with --hex prints no text", async (t) => {
    const listener = await listen(t, ["--json", "--hex", "--count", "1"]);
    await pythonSend(t, listener.port, ["hi"]);
    const [only] = objects((await listener.ended).stdout);
    expect(only).toMatchObject({ hex: "6869" });
    expect(only).not.toHaveProperty("text");
  });

  test("--recvfrom shows which payloads were cut", async (t) => {
    const lines = await printed(t, ["--recvfrom", "4"], ["0123456789", "four"], (match) =>
      match.slice(2).join(" "),
    );
    expect(lines).toEqual(['cut to 4 of 10 bytes "0123"', '4 bytes "four"']);
  });

  test("--recvfrom with --json has the size as sent, and the summary counts that size", async (t) => {
    const listener = await listen(t, ["--recvfrom", "4", "--json", "--count", "1"]);
    await pythonSend(t, listener.port, ["0123456789"]);
    const { stdout, stderr } = await listener.ended;
    expect(objects(stdout)).toMatchObject([{ size: 10, truncated: true, text: "0123" }]);
    expect(stderr).toContain("cut by --recvfrom: 1\n");
  });
});

describe("hostile payloads", () => {
  const hostile: Record<string, string | Buffer> = {
    "a clear-screen sequence": "\u001b[2J\u001b[1;1H",
    "a title sequence": "\u001b]0;owned\u0007",
    "an 8-bit CSI": "\u009b31m",
    "a backspace": "safe\b\b\b\bevil",
    "a carriage return": "safe\revil",
    "a delete": "x\u007f",
    "a NUL": "x\0y",
    "a bidi override": "\u202etxt.exe",
    "a bidi isolate": "\u2066x\u2069",
    "a zero-width joiner": "a\u200db",
    "a soft hyphen": "a\u00adb",
    "an invisible filler": "a\u3164b",
    "a line separator": "a\u2028b",
    "a byte order mark": "\ufeffx",
    "a tag character": "a\u{e0041}",
    "a private use character": "\ue0a0",
    "invalid UTF-8": Buffer.from([0xc0, 0xaf]),
    "a surrogate": Buffer.from([0xed, 0xa0, 0x80]),
    "a cut character": Buffer.from([0xe2, 0x82]),
  };
  const payloads = Object.values(hostile).map((payload) => Buffer.from(payload as string));

  test("all hostile payloads are shown as hex", async (t) => {
    expect(await printed(t, [], payloads)).toEqual(payloads.map((payload) => payload.toString("hex")));
  });

  test("--json sends no hostile payload to the terminal either, and loses no byte of it", async (t) => {
    const listener = await listen(t, ["--json", "--count", String(payloads.length)]);
    await pythonSend(t, listener.port, payloads);
    const { stdout } = await listener.ended;
    expect(stdout).toMatch(/^[\x20-\x7e\n]*$/);
    const back = objects(stdout).map(({ text, hex }) =>
      text === undefined ? Buffer.from(hex as string, "hex") : Buffer.from(text as string),
    );
    expect(back).toEqual(payloads);
  });
});

describe("the end", () => {
  test.for(["SIGINT", "SIGTERM"] as const)(
    "%s ends listen with a summary and exit code 0",
    async (signal, t) => {
      const listener = await listen(t);
      await pythonSend(t, listener.port, ["12345"]);
      await pythonSend(t, listener.port, ["123", "1"]);
      for (let left = 3; left > 0; left--) await listener.line();
      const ending = await listener.stop(signal);
      expect(ending).toMatchObject({ code: 0, signal: null });
      expect(ending.stderr).toContain("\n3 datagrams, 9 bytes from 2 peers\n");
      expect(ending.stderr).toMatch(/dropped by the kernel: (0|unknown, .*)\n/);
      expect(ending.stderr).toContain("dropped by this process: 0\n");
      expect(ending.stderr).toContain("unread at the end: 0\n");
    },
  );

  test("--count ends listen after that many datagrams", async (t) => {
    const listener = await listen(t, ["--count", "2"]);
    await pythonSend(t, listener.port, ["1", "2", "3", "4"]);
    const { code, stdout, stderr } = await listener.ended;
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(3);
    expect(stderr).toContain("2 datagrams, 2 bytes from 1 peer\n");
  });

  test("--timeout without a datagram is exit code 3", async (t) => {
    const { code, stdout, stderr } = await run(t, ["listen", "0", "--timeout", "50ms"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/datagram listen: no datagram came in 50 ms\n$/);
  });

  test("--timeout with fewer datagrams than --count is exit code 3", async (t) => {
    const listener = await listen(t, ["--timeout", "2s", "--count", "3"]);
    sendNow(t, listener.port, ["1", "2"]);
    const { code, stderr } = await listener.ended;
    expect(code).toBe(3);
    expect(stderr).toMatch(/datagram listen: 2 of 3 datagrams came, and no more in 2 s\n$/);
  });

  test("--timeout after datagrams is exit code 0", async (t) => {
    const listener = await listen(t, ["--timeout", "2s"]);
    sendNow(t, listener.port, ["1"]);
    expect(await listener.ended).toMatchObject({ code: 0 });
  });

  test("listen ends without a message if the reader of its output goes away", async (t) => {
    const listener = await listen(t);
    await pythonSend(t, listener.port, ["first"]);
    await listener.line();
    listener.child.stdout!.destroy();
    await once(listener.child.stdout!, "close");
    await pythonSend(t, listener.port, ["second"]);
    const { code, stderr } = await listener.ended;
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/EPIPE|Error|datagrams/);
  });

  test("every line is whole and counted in a flood with a slow reader", async (t) => {
    const listener = await listen(t);
    listener.child.stdout!.pause();
    const flood = ["send", listener.address, "x".repeat(100), "--repeat", "20000"];
    expect(await run(t, flood)).toMatchObject({ code: 0 });
    listener.child.stdout!.resume();
    await listener.line();
    const { code, stdout, stderr } = await listener.stop();
    const lines = stdout.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines.filter((line) => shape.exec(line)?.[3] !== `"${"x".repeat(100)}"`)).toEqual([]);
    expect(stderr).toContain(`\n${lines.length} datagrams, ${lines.length * 100} bytes from 1 peer\n`);
  });
});

describe("answers", () => {
  const ask = (port: number, request: string): string => `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.sendto(${request}, ("127.0.0.1", ${port}))
say(s.recv(65535)[:100])`;

  test.for([
    ["--reply", "ack: {}", "b'ack: ping'"],
    ["--reply", "{}{}", "b'pingping'"],
    ["--reply", "no", "b'no'"],
    ["--reply", "", "b''"],
    ["--echo", undefined, "b'ping'"],
  ] as const)("the peer gets its answer with %s %s", async ([option, value, answer], t) => {
    const { port } = await listen(t, value === undefined ? [option] : [option, value]);
    expect(await python(t, ask(port, 'b"ping"')).line()).toBe(answer);
  });

  test("an answer has the bytes of the request unchanged", async (t) => {
    const { port } = await listen(t, ["--echo"]);
    expect(await python(t, ask(port, 'b"\\x00\\xff\\x1b"')).line()).toBe("b'\\x00\\xff\\x1b'");
  });

  test("an answer has the part of the request that --recvfrom kept", async (t) => {
    const { port } = await listen(t, ["--reply", "<{}>", "--recvfrom", "2"]);
    expect(await python(t, ask(port, 'b"ping"')).line()).toBe("b'<pi>'");
  });

  test("answers that cannot be sent are reported and counted, and the others are sent", async (t) => {
    const listener = await listen(t, ["--reply", "ack: {}"]);
    const script = `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
for request in (b"x" * 65507, b"y" * 65507, b"ping"): s.sendto(request, ("127.0.0.1", ${listener.port}))
say(s.recv(65535))`;
    expect(await python(t, script).line()).toBe("b'ack: ping'");
    const { stderr } = await listener.stop();
    expect(
      stderr.match(/warning: an answer was not sent: .*65512 bytes is over the limit of 65507/g),
    ).toHaveLength(1);
    expect(stderr).toContain("answered: 1\n");
    expect(stderr).toContain("answers not sent: 2, EMSGSIZE\n");
  });

  test("no answer goes to our own address or to port 0", async (t) => {
    const listener = await listen(t, ["--echo"]);
    // A raw socket forges the source port; the kernel fills in 127.0.0.1.
    const forge = `
import struct
try: raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
except PermissionError: sys.exit(77)
for source in (${listener.port}, 0):
    raw.sendto(struct.pack("!HHHH", source, ${listener.port}, 8 + 4, 0) + b"loop", ("127.0.0.1", 0))`;
    const { code } = await python(t, forge).ended;
    if (code === 77 && !everyTestRequired) t.skip("forging a source needs CAP_NET_RAW");
    expect(code).toBe(0);
    for (let left = 2; left > 0; left--) expect(await listener.line()).toContain('"loop"');
    const { stderr } = await listener.stop();
    expect(stderr).toContain("\n2 datagrams, 8 bytes from 2 peers\n");
    expect(stderr).toContain("not answered: 2, from our own address or from port 0\n");
  });

  test("each of many peers gets its own answer", async (t) => {
    const { port } = await listen(t, ["--reply", "to {}"]);
    const script = `
peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
for n, peer in enumerate(peers): peer.settimeout(20); peer.sendto(b"%d" % n, ("127.0.0.1", ${port}))
say(all(peer.recv(99) == b"to %d" % n for n, peer in enumerate(peers)))`;
    expect(await python(t, script).line()).toBe("True");
  });
});

overDrivers((driver) => {
  const env = { DATAGRAM_DRIVER: driver };
  const native = driver === "native";

  test("--json has the metadata of each datagram, if the driver can tell", async (t) => {
    const listener = await listen(t, ["--json", "--count", "1"], "0", { env });
    const before = Date.now();
    await pythonSend(t, listener.port, ["x"]);
    const [{ time: _time, ...rest } = {}] = objects((await listener.ended).stdout);
    const source = { host: "127.0.0.1", port: expect.any(Number) as number };
    const always = { source, size: 1, truncated: false, text: "x" };
    const destination = { host: "127.0.0.1", port: listener.port };
    const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z$/) as string;
    const known = { destination, interface: "lo", ttl: 64, tos: 0, timestamp, lostBefore: 0 };
    expect(rest).toEqual(native ? { ...always, ...known } : always);
    const arrived = Date.parse((rest.timestamp as string | undefined) ?? new Date().toISOString());
    expect(Math.abs(arrived - before)).toBeLessThan(60_000);
  });

  test("drops of a full receive buffer are reported while listen runs, and the counts include each drop", async (t) => {
    const listener = await listen(t, ["--buffer", "8k", "--json"], "0", { env });
    await overflow(t, listener, 500);
    if (!native) {
      await listener.line();
      const { stderr } = await listener.stop();
      expect(stderr).toContain(
        "  dropped by the kernel: unknown, node:dgram does not report what the kernel dropped",
      );
      expect(stderr).not.toContain('"dropped"');
      return;
    }
    const [first] = objects(await lineWith(listener, '"event"'));
    expect(first).toMatchObject({ event: "dropped", cause: "receiveBuffer" });
    await pythonSend(t, listener.port, ["behind the gap"]);
    await lineWith(listener, "behind the gap", "stdout");
    const { stdout, stderr } = await listener.stop();
    const lost = objects(
      stderr
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .join("\n"),
    );
    const sum = total(lost, "datagrams");
    const received = objects(stdout);
    expect(received.length + sum).toBe(501);
    expect(total(received, "lostBefore")).toBe(sum);
    expect(stderr).toContain(`\n  dropped by the kernel: ${sum} at least\n`);
  });

  test("in a flood without a reader, losses are reported in one line per second", async (t) => {
    const listener = await listen(t, [], "0", { env });
    listener.child.stdout!.pause();
    const flood = datagram(t, ["send", listener.address, "x".repeat(1000), "--repeat", "1000000000"]);
    const told = native
      ? /^lost (\d+) datagrams at least: the receive buffer was full$/
      : /^lost (\d+) datagrams: the queue of this process was full$/;
    const lines = [await lineWith(listener, "lost "), await lineWith(listener, "lost ")];
    await flood.stop();
    listener.child.stdout!.resume();
    const { stderr } = await listener.stop();
    for (const line of lines) expect(line).toMatch(told);
    const counts = stderr.split("\n").flatMap((line) => told.exec(line)?.slice(1).map(Number) ?? []);
    const [, total] = (native ? /by the kernel: (\d+)/ : /by this process: (\d+)/).exec(stderr)!;
    expect(counts.reduce((all, each) => all + each, 0)).toBe(Number(total));
  });

  test("an ICMP error about an answer is reported while listen runs, and counted", async (t) => {
    const listener = await listen(t, ["--reply", "ack"], "0", { env });
    const port = await askAndGo(t, listener);
    const unreachable = `nobody is listening on 127.0.0.1:${port} (port unreachable, from 127.0.0.1)`;
    if (native) expect(await lineWith(listener, "nobody")).toBe(`${unreachable}: an answer did not arrive`);
    else await listener.line();
    const { stderr } = await listener.stop();
    expect(stderr).toContain("\n  answered: 1\n");
    const count = native
      ? "1 at least, ECONNREFUSED\n"
      : "unknown, node:dgram reports ICMP errors to connected sockets only";
    expect(stderr).toContain(`\n  answers that came back unreachable: ${count}`);
  });

  test("with --json an ICMP error about an answer is an object, if the driver can tell", async (t) => {
    const listener = await listen(t, ["--echo", "--json"], "0", { env });
    const port = await askAndGo(t, listener);
    await listener.line();
    if (native) {
      expect(objects(await lineWith(listener, '"event"'))).toEqual([
        {
          time: expect.stringMatching(/Z$/) as string,
          event: "unreachable",
          reports: 1,
          destination: { host: "127.0.0.1", port },
          code: "ECONNREFUSED",
          kind: "port unreachable",
          from: "127.0.0.1",
        },
      ]);
    }
    expect((await listener.stop()).stderr.includes('"unreachable"')).toBe(native);
  });

  test("an answer leaves from the address that was asked, if the driver can choose it", async (t) => {
    const { port } = await listen(t, ["--reply", "from here"], "0.0.0.0:0", { env });
    // The kernel would answer from 127.0.0.1. A connected peer does not receive that.
    const { code, stdout } = await run(t, ["request", `127.0.0.2:${port}`, "x", "--timeout", "1s"]);
    expect({ code, stdout }).toEqual(native ? { code: 0, stdout: "from here\n" } : { code: 3, stdout: "" });
  });

  test("a receive buffer that is smaller than requested is reported, and how to get more", async (t) => {
    const listener = await listen(t, ["--buffer", "1000m"], "0", { env });
    const { stderr } = await listener.stop();
    expect(stderr).toMatch(
      /\n {2}the receive buffer has \d+ of 1048576000 bytes asked for: sudo sysctl -w net\.core\.rmem_max=1048576000\n/,
    );
  });
});

test("a receive buffer as large as requested is not mentioned", async (t) => {
  const { stderr } = await (await listen(t, ["--buffer", "64K"])).stop();
  expect(stderr).not.toContain("the receive buffer has");
});

test("--guide shows commands that need no installation and work", async (t) => {
  const listener = await listen(t, ["--guide", "--reply", "ack: {}", "--count", "1"]);
  await listener.line("stderr");
  await listener.line("stderr");
  const shown = await listener.line("stderr");
  expect(shown).toBe(`  npm exec --no -- datagram send ${listener.address} hello`);
  const command = /-- datagram (.*)/.exec(shown)![1]!.split(" ");
  expect(await run(t, command)).toMatchObject({ code: 0 });
  const { code, stdout, stderr } = await listener.ended;
  expect(code).toBe(0);
  expect(stdout).toContain('"hello"');
  expect(stderr).toContain(`  npm exec --no -- datagram request ${listener.address} ping\n`);
  expect(stderr).not.toContain("npx");
});

test("the line of Python that --guide shows works", async (t) => {
  const listener = await listen(t, ["--guide", "--count", "1"]);
  let line = "";
  while (!line.includes("python3")) line = await listener.line("stderr");
  const [, script] = /python3 -c '(.*)'$/.exec(line)!;
  expect(await python(t, script!).ended).toMatchObject({ code: 0, stderr: "" });
  expect((await listener.ended).stdout).toContain('"hello"');
});

test("datagrams of a Python peer and of the command arrive in one listener", async (t) => {
  const listener = await listen(t, ["--count", "2"]);
  await pythonPeer(t, `s.sendto(b"from Python", ("127.0.0.1", ${listener.port}))`);
  expect(await listener.line()).toContain('"from Python"');
  await datagram(t, ["send", listener.address, "from TypeScript"]).ended;
  expect(await listener.line()).toContain('"from TypeScript"');
});

/** Sends payloads from this process, without the time that a program takes to start. */
function sendNow(test: TestContext, port: number, payloads: readonly string[]): void {
  const s = createSocket("udp4");
  test.onTestFinished(() => void s.close());
  for (const payload of payloads) s.send(payload, port, "127.0.0.1");
}

/** Stops the listener, and sends it more than its receive buffer has room for. */
async function overflow(test: TestContext, listener: Listener, datagrams: number): Promise<void> {
  listener.child.kill("SIGSTOP");
  await pythonSend(
    test,
    listener.port,
    Array.from({ length: datagrams }, () => "x".repeat(100)),
  );
  listener.child.kill("SIGCONT");
}

/** Asks the listener for an answer and closes before it arrives. Returns the port. */
async function askAndGo(test: TestContext, listener: Listener): Promise<number> {
  listener.child.kill("SIGSTOP");
  const peer = await pythonPeer(test, `s.sendto(b"x", ("127.0.0.1", ${listener.port}))`);
  expect(await peer.ended).toMatchObject({ code: 0 });
  listener.child.kill("SIGCONT");
  return peer.port;
}

/** The next line that contains `part`. */
async function lineWith(
  listener: Listener,
  part: string,
  stream: "stdout" | "stderr" = "stderr",
): Promise<string> {
  for (;;) {
    const line = await listener.line(stream);
    if (line.includes(part)) return line;
  }
}

/** What a listener with these options prints for each payload: the payload as text, or what `part` takes of the line. */
async function printed(
  test: TestContext,
  args: readonly string[],
  payloads: readonly (string | Buffer)[],
  part: (match: RegExpExecArray) => string = (match) => match[3]!,
): Promise<string[]> {
  const listener = await listen(test, ["--count", String(payloads.length), ...args]);
  await pythonSend(test, listener.port, payloads);
  const { stdout } = await listener.ended;
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => part(shape.exec(line)!));
}

function objects(stdout: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function total(all: readonly Record<string, unknown>[], name: string): number {
  return all.reduce((sum, each) => sum + (each[name] as number), 0);
}
