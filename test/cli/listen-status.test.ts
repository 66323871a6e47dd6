import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { objects, shape } from "./listening.js";
import { type Program, file, listen, pythonSend } from "./program.js";
import { onScreen, screen } from "./terminal.js";

const quiet = { TERM: "dumb" };
const erase = "\r\u001b[K";
const interrupt = "\u0003";

describe("the status line", () => {
  test("datagrams scroll above it, and Ctrl-C and the summary leave no trace of it", async (t) => {
    const listener = onScreen(t, ["listen", "0"]);
    const port = await portOf(listener);
    await listener.written("no datagrams yet");
    await pythonSend(t, port, ["one", "two"]);
    await listener.written("2 datagrams");
    await pythonSend(t, port, ["\u001b[2J\u001b[1;1H\r\n", "四"]);
    await listener.written("4 datagrams");
    listener.type(interrupt);
    const { code, stdout } = await listener.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/\d+\/s, [\d.]+ k?bit\/s \| 1 peer \| 0 lost \| 2 datagrams/);
    expect(stdout).toMatch(/\| 2 peers \| 0 lost \| 4 datagrams/);
    const [first, second, ...lines] = screen(stdout);
    expect([first, second]).toEqual([`listening on 127.0.0.1:${port}`, expect.stringContaining("0.0.0.0")]);
    expect(lines.slice(0, 4).map((line) => shape.exec(line)?.[3])).toEqual([
      '"one"',
      '"two"',
      '"\\x1b[2J\\x1b[1;1H\\r\\n"',
      '"四"',
    ]);
    expect(lines[4]).toBe("4 datagrams, 21 bytes from 2 peers");
    expect(lines.slice(4, -1).join("\n")).not.toMatch(/\^C|\/s|\|/);
  });

  test("it is not drawn for each datagram", async (t) => {
    const listener = onScreen(t, ["listen", "0", "--count", "400"]);
    const port = await portOf(listener);
    await pythonSend(
      t,
      port,
      Array.from({ length: 400 }, (_, index) => `number ${index}`),
    );
    const { code, stdout } = await listener.ended;
    expect(code).toBe(0);
    expect(screen(stdout).filter((line) => shape.test(line)).length).toBe(400);
    expect(stdout.split("\u001b[K").length).toBeLessThan(200);
  });

  test("it is drawn again for another width, and cut at it", async (t) => {
    const listener = onScreen(t, ["listen", "0"]);
    const port = await portOf(listener);
    await pythonSend(t, port, ["one"]);
    await listener.written("1 datagram\u001b[K");
    listener.type("columns=20");
    // The line of more than 40 columns has three rows now.
    await listener.written("\r\u001b[2A\u001b[J\r");
    listener.type("columns=80");
    listener.type(interrupt);
    const { code, stdout } = await listener.ended;
    expect(code).toBe(0);
    const [, narrow = ""] = /\u001b\[J\r([^\u001b]*)/.exec(stdout) ?? [];
    expect(narrow).toMatch(/^\d+\/s \| 1 peer \| /);
    expect(narrow.length).toBeLessThanOrEqual(17);
  });

  test("an error erases it, and NO_COLOR takes the colours alone", async (t) => {
    const listener = onScreen(t, ["listen", "0", "--timeout", "400ms"], { env: { NO_COLOR: "1" } });
    const { code, stdout } = await listener.ended;
    expect(code).toBe(3);
    expect(stdout).toContain(`no datagrams yet\u001b[K${erase}0 datagrams`);
    expect(screen(stdout).slice(-2)).toEqual(["datagram listen: no datagram came in 400 ms", ""]);
    expect(stdout).not.toMatch(/\u001b\[\d*m/);
  });

  test.for([["--json"], ["--raw"], ["--hex"]])(
    "with %s and standard output in a file, the file has the data alone",
    async ([option = ""], t) => {
      const path = file(t, "");
      const args = ["listen", "0", "--echo", "--count", "2", option];
      const listener = onScreen(t, args, { redirect: `> '${path}'` });
      const port = await portOf(listener);
      await pythonSend(t, port, ["one"]);
      await listener.written("1 datagram\u001b[K");
      await pythonSend(t, port, ["two"]);
      const { code, stdout } = await listener.ended;
      expect(code).toBe(0);
      expect(screen(stdout)).toContain("2 datagrams, 6 bytes from 2 peers");
      const content = readFileSync(path, "utf8");
      if (option === "--raw") expect(content).toBe("onetwo");
      else if (option === "--json")
        expect(objects(content)).toMatchObject([{ text: "one" }, { text: "two" }]);
      else
        expect(content.split("\n").map((line) => shape.exec(line)?.[3])).toEqual([
          "6f6e65",
          "74776f",
          undefined,
        ]);
    },
  );

  test("there is none if standard error is a file, or if the terminal is dumb", async (t) => {
    const path = file(t, "");
    const settings = [{ redirect: `2> '${path}'` }, { env: quiet }];
    for (const setting of settings) {
      const listener = onScreen(t, ["listen", "0", "--timeout", "400ms"], setting);
      const { code, stdout } = await listener.ended;
      expect(code).toBe(3);
      expect(stdout + readFileSync(path, "utf8")).toContain("no datagram came in 400 ms");
      expect(stdout + readFileSync(path, "utf8")).not.toMatch(/\u001b|no datagrams yet/);
    }
  });
});

describe("--summary", () => {
  test("the summary ends with a table of the peers, the most bytes first", async (t) => {
    const listener = await listen(t, ["--summary", "--count", "4", "--json"]);
    await pythonSend(t, listener.port, ["one"]);
    await pythonSend(t, listener.port, ["three", "four", "x".repeat(1000)]);
    const { code, stdout, stderr } = await listener.ended;
    expect(code).toBe(0);
    const ports = objects(stdout).map(({ source }) => (source as { port: number }).port);
    const rows = stderr
      .trimEnd()
      .split("\n")
      .slice(-3)
      .map((line) => line.split(/ {2,}/));
    const time = expect.stringMatching(/^\d\d:\d\d:\d\d$/) as string;
    expect(rows).toEqual([
      ["peer", "datagrams", "bytes", "sizes", "first", "last"],
      [`127.0.0.1:${ports[1]}`, "3", "1009", "4-1000", time, time],
      [`127.0.0.1:${ports[0]}`, "1", "3", "3", time, time],
    ]);
  });

  test("on a narrow terminal the table is cut", async (t) => {
    const listener = onScreen(t, ["listen", "0", "--summary"]);
    const port = await portOf(listener);
    listener.type("columns=40");
    await pythonSend(t, port, ["one"]);
    await listener.written("| 0 lost\u001b[K");
    listener.type(interrupt);
    const { stdout } = await listener.ended;
    const [header, row] = screen(stdout).slice(-3);
    expect(header).toMatch(/^peer +datagrams {2}bytes {2}/);
    expect(row).toMatch(/^127\.0\.0\.1:\d+ +1 +3 /);
    expect(row?.length).toBe(39);
  });
});

/** Reads the first two lines of a listener on this machine. */
async function portOf(listener: Program): Promise<number> {
  const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(await listener.line()) ?? [];
  await listener.line();
  return Number(port);
}
