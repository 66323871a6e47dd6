/** Every command of `datagram` over the fallback driver, under Bun and Deno. */

import { type TestContext, describe, expect, test } from "vitest";

import { Program, bin } from "../cli/program.js";
import { type Runtime, runtimes } from "./runtimes.js";

const env = { DATAGRAM_DRIVER: undefined };

describe.each(runtimes)("$name", (runtime) => {
  const datagram = (context: TestContext, ...args: string[]): Program => start(context, runtime, args);

  test("doctor names the runtime and why it falls back, and its datagrams arrive", async (context) => {
    const { code, stdout } = await datagram(context, "doctor", "--json").ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      runtime: { name: runtime.name, version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string },
      driver: { name: "dgram", why: expect.stringContaining(`: ${runtime.name} `) as string },
    });
  });

  test("listen and proxy say that they fall back, and request goes through both", async (context) => {
    const listener = datagram(context, "listen", "127.0.0.1:0", "--reply", "ack: {}");
    const relay = datagram(context, "proxy", "127.0.0.1:0", await addressOf(listener));
    const { code, stdout } = await datagram(context, "request", await addressOf(relay), "ping").ended;
    expect(code).toBe(0);
    expect(stdout).toContain("ack: ping");
    for (const program of [listener, relay]) await lineOf(program, /^ {2}sockets use node:dgram: ./);
  });

  test("send sends, and listen prints and ends", async (context) => {
    const listener = datagram(context, "listen", "127.0.0.1:0", "--count", "1");
    const sender = datagram(context, "send", await addressOf(listener), "hello");
    expect((await sender.ended).code).toBe(0);
    const { code, stdout } = await listener.ended;
    expect(code).toBe(0);
    expect(stdout).toContain("hello");
  });

  test("mtu says that the driver cannot measure a path", async (context) => {
    const { code, stderr } = await datagram(context, "mtu", "127.0.0.1:9").ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/node:dgram has no path MTU discovery.* on Node\.js \(ENOTSUP\)/);
  });
});

const deno = runtimes.find(({ name }) => name === "Deno");

test.runIf(deno)("without permissions, an error names the flag of Deno", async (context) => {
  const limited = (...flags: string[]): Runtime => ({
    name: "Deno",
    command: [deno!.command[0], "run", "--no-prompt", ...flags],
  });
  const send = ["send", "127.0.0.1:9", "hello"];
  const bare = await start(context, limited(), send).ended;
  expect(bare).toMatchObject({ code: 1, stderr: expect.stringContaining("--allow-env") as string });
  const offline = await start(context, limited("--allow-env"), send).ended;
  expect(offline).toMatchObject({ code: 1, stderr: expect.stringContaining("--allow-net") as string });
});

function start(context: TestContext, { command }: Runtime, args: readonly string[]): Program {
  const [file, ...before] = command;
  return new Program(context, file, [...before, bin, ...args], { env });
}

/** The address in the ready line of a program. */
async function addressOf(program: Program): Promise<string> {
  const [, address = ""] = await lineOf(program, /^listening on (\S+)/);
  return address;
}

/** The next line of standard error that matches. */
async function lineOf(program: Program, pattern: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const found = pattern.exec(await program.line("stderr"));
    if (found) return found;
  }
}
