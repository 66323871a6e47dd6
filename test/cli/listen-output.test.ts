import { type TestContext, describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { objects, shape } from "./listening.js";
import { listen, pythonSend } from "./program.js";

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
