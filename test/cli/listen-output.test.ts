import { readFileSync } from "node:fs";

import { type TestContext, describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { objects, shape } from "./listening.js";
import { Program, bin, datagram, file, hex, listen, onTerminal, python, pythonSend, run } from "./program.js";

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

  test("text is in quotes, with the escapes of Python for line ends, tabs, quotes and backslashes", async (t) => {
    const payloads = ["unix\n", "dos\r\n", "x\\n", "two\nlines", "a\tb", '{"a":1}', `it's "it"`];
    expect(await printed(t, [], payloads)).toEqual([
      '"unix\\n"',
      '"dos\\r\\n"',
      '"x\\\\n"',
      '"two\\nlines"',
      '"a\\tb"',
      `'{"a":1}'`,
      `"it's \\"it\\""`,
    ]);
  });

  test("UTF-8 with few control characters is text with their escapes", async (t) => {
    const payloads = ["\u001b[31mTür\u001b[0m\toffen\n", "Zähler 7\0", "\0\u0001\u0002ü"];
    expect(await printed(t, [], payloads)).toEqual([
      String.raw`"\x1b[31mTür\x1b[0m\toffen\n"`,
      String.raw`"Zähler 7\x00"`,
      String.raw`b"\x00\x01\x02\xc3\xbc"`,
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

  test("--raw writes the payloads alone", async (t) => {
    const path = file(t, "");
    const command = ["-c", '"$@" >"$0"', path, process.execPath, bin, "listen", "0", "--raw", "--count", "2"];
    const listener = new Program(t, "sh", command);
    const [, port] = /:(\d+)$/.exec(await listener.line("stderr"))!;
    await pythonSend(t, Number(port), [Buffer.from([0xff, 0, 0x0a]), "text"]);
    expect(await listener.ended).toMatchObject({ code: 0 });
    expect(readFileSync(path, "hex")).toBe(`ff000a${hex("text")}`);
  });

  test("several ports share the output, which shows the port of each datagram, and --count is for all", async (t) => {
    const listener = datagram(t, ["listen", "0", "[::1]:0", "--count", "2", "--reply", "from {}"]);
    const ports: string[] = [];
    while (ports.length < 2)
      ports.push(...(/^listening on .*:(\d+)$/.exec(await listener.line("stderr"))?.slice(1) ?? []));
    const [first, second] = [`127.0.0.1:${ports[0]}`, `[::1]:${ports[1]}`];
    expect(await run(t, ["request", second, "b"])).toMatchObject({ code: 0, stdout: '"from b"\n' });
    expect(await listener.line()).toMatch(
      new RegExp(`^\\S+ \\[::1\\]:\\d+ > \\[::1\\]:${ports[1]} 1 byte "b"$`),
    );
    expect(await run(t, ["request", first, "a"])).toMatchObject({ code: 0, stdout: '"from a"\n' });
    expect(await listener.line()).toMatch(new RegExp(`^\\S+ 127\\.0\\.0\\.1:\\d+ > ${first} 1 byte "a"$`));
    const { code, stderr } = await listener.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("\n2 datagrams, 2 bytes from 2 peers\n");
    for (const address of [first, second]) expect(stderr).toContain(`\non ${address}: 1 datagram, 1 byte\n`);
    expect(stderr.match(/ {2}answered: 1\n/g)).toHaveLength(2);
  });

  test("with --json, a datagram of several ports has the address of its port", async (t) => {
    const listener = datagram(t, ["listen", "0", "0", "--count", "1", "--json"]);
    const addresses: string[] = [];
    while (addresses.length < 2)
      addresses.push(...(/^listening on (.*)$/.exec(await listener.line("stderr"))?.slice(1) ?? []));
    const port = Number(addresses[1]!.split(":")[1]);
    await pythonSend(t, port, ["x"]);
    expect(objects((await listener.ended).stdout)).toMatchObject([
      { local: { host: "127.0.0.1", port }, text: "x" },
    ]);
  });

  test("on a terminal a long payload is cut at its width, and --full shows all of it", async (t) => {
    for (const [args, shown] of [
      [[], /1001 bytes "x{1,30}" … (9\d\d) more\r$/],
      [["--full"], /1001 bytes "x{1001}"\r$/],
      [["--hex"], /1001 bytes (?:78){1,15} … (9\d\d) more\r$/],
    ] as const) {
      const listener = onTerminal(t, ["listen", "0", "--count", "1", ...args], { TERM: "dumb" });
      const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(await listener.line())!;
      await listener.line();
      await pythonSend(t, Number(port), ["x".repeat(1001)]);
      const line = await listener.line();
      if (args[0] !== "--full") expect(line.length).toBeLessThanOrEqual(80);
      expect(line).toMatch(shown);
    }
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
    "an escape after a carriage return": "safe\r\u001bevil",
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

  test("all hostile payloads are shown as Python's strings or bytes, which have every byte", async (t) => {
    const shown = await printed(t, [], payloads);
    expect(shown.join("\n")).toMatch(/^[\x20-\x7e\n]*$/);
    const evaluate = `import ast
for line in sys.stdin:
    value = ast.literal_eval(line.strip())
    say((value.encode() if isinstance(value, str) else value).hex())`;
    const evaluated = await python(t, evaluate, [], { input: shown.join("\n") }).ended;
    expect(evaluated.stdout).toBe(payloads.map((payload) => `${payload.toString("hex")}\n`).join(""));
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
});

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
