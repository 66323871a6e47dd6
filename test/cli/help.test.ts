/** What the commands print about themselves, and in which colours. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { commands, listen, onTerminal, pythonSend, run } from "./program.js";

const escape = "\u001b";

const runHere = commandsInOneProcess();

describe("help", () => {
  test("the help of the command lists commands, examples, exit codes and the environment", async (t) => {
    const { code, stdout, stderr } = await run(t, ["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const part of commands) expect(stdout).toMatch(new RegExp(`^ {2}${part} `, "m"));
    for (const exit of ["0  done", "1  error", "2  usage", "3  no answer in time", "4  refused"])
      expect(stdout).toContain(exit);
    for (const part of ["Examples:", "DATAGRAM_DRIVER=native|dgram", "NO_COLOR"])
      expect(stdout).toContain(part);
  });

  test.for(commands)("the help of %s has examples, with --help and with help", async (name) => {
    const asked = await runHere([name, "--help"]);
    expect(asked).toMatchObject({ code: 0, stderr: "" });
    expect(asked.stdout).toMatch(new RegExp(`^Examples:\n {2}datagram ${name}`, "m"));
    expect((await runHere(["help", name])).stdout).toBe(asked.stdout);
  });

  test.for(commands)("the help of %s fits 80 columns", async (name) => {
    const { stdout } = await runHere([name, "--help"]);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  test("--version prints the version of package.json", async (t) => {
    const manifest = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    ) as object;
    const { code, stdout } = await run(t, ["--version"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${(manifest as { version: string }).version}\n` });
  });
});

describe("colours", () => {
  test("output on a terminal has colours", async (t) => {
    const { code, stdout } = await onTerminal(t, ["doctor"]).ended;
    expect(code).toBe(0);
    expect(stdout).toContain(`${escape}[1mdriver${escape}[22m`);
  });

  test.for([{ NO_COLOR: "1" }, { TERM: "dumb" }])("output with %j has no colours", async (env, t) => {
    const { code, stdout } = await onTerminal(t, ["doctor"], env).ended;
    expect(code).toBe(0);
    expect(stdout).toContain("driver");
    expect(stdout).not.toContain(escape);
  });

  test("a listener on a terminal colours its own text, never the payload", async (t) => {
    const listener = onTerminal(t, ["listen", "0", "--count", "1"]);
    const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(await listener.line())!;
    await pythonSend(t, Number(port), [`${escape}[31mred`]);
    const { code, stdout } = await listener.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('"\\x1b[31mred"');
    expect(stdout).not.toContain(`${escape}[31mred`);
    expect(stdout).toContain(`${escape}[2m`);
  });

  test("output to a pipe has no colours", async (t) => {
    const listener = await listen(t, ["--count", "1"]);
    await pythonSend(t, listener.port, ["x"]);
    const { stdout, stderr } = await listener.ended;
    expect(stdout + stderr).not.toContain(escape);
  });
});
