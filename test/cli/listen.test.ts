import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";

import { type TestContext, describe, expect, test } from "vitest";

import { shape } from "./listening.js";
import { commandsInOneProcess } from "./one-process.js";
import { datagram, listen, python, pythonPeer, pythonSend } from "./program.js";

const run = commandsInOneProcess();

describe("the address", () => {
  test("a port without an address listens on the loopback interface, and the first line says so", async (t) => {
    const listener = await listen(t);
    expect(listener.address).toBe(`127.0.0.1:${listener.port}`);
    expect(await listener.line("stderr")).toContain(`with 0.0.0.0:${listener.port} others can too`);
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
    const { code, stdout, stderr } = await run(["listen", String(port)]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^datagram listen: cannot use 127\.0\.0\.1:\d+: another socket has this address, perhaps of another program: ss -ulpn sport = :\d+ shows it on Linux\n$/,
    );
    expect(stderr).toContain(`sport = :${port} shows`);
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

  test("--timeout without a datagram is exit code 3", async () => {
    const { code, stdout, stderr } = await run(["listen", "0", "--timeout", "50ms"]);
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
    expect(await run(flood)).toMatchObject({ code: 0 });
    listener.child.stdout!.resume();
    await listener.line();
    const { code, stdout, stderr } = await listener.stop();
    const lines = stdout.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines.filter((line) => shape.exec(line)?.[3] !== `"${"x".repeat(100)}"`)).toEqual([]);
    expect(stderr).toContain(`\n${lines.length} datagrams, ${lines.length * 100} bytes from 1 peer\n`);
  });
});

test("--guide shows commands that need no installation and work", async (t) => {
  const listener = await listen(t, ["--guide", "--reply", "ack: {}", "--count", "1"]);
  await listener.line("stderr");
  await listener.line("stderr");
  const shown = await listener.line("stderr");
  expect(shown).toBe(`  npm exec --no -- datagram send ${listener.address} hello`);
  const command = /-- datagram (.*)/.exec(shown)![1]!.split(" ");
  expect(await run(command)).toMatchObject({ code: 0 });
  const { code, stdout, stderr } = await listener.ended;
  expect(code).toBe(0);
  expect(stdout).toContain('"hello"');
  expect(stderr).toContain(`  npm exec --no -- datagram request ${listener.address} ping\n`);
  expect(stderr).not.toContain("npx");
});

test("npm start listens on port 9000, or on the next free port and says so, or on the port that it is given", async (t) => {
  const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    scripts: Record<string, string>;
  };
  const [program, main, ...args] = scripts.start!.split(" ");
  expect([program, main]).toEqual(["node", "dist/cli/main.js"]);
  const lineOf = async (...more: string[]): Promise<string> => {
    const started = datagram(t, [...args, ...more]);
    return `${await started.line("stderr")}; ${await started.line("stderr")}`;
  };
  await lineOf();
  expect(await lineOf()).toMatch(/^port 9000 is taken: this is port (\d+); listening on 127\.0\.0\.1:\1$/);
  expect(await lineOf("127.0.0.1:0")).toMatch(/^listening on 127\.0\.0\.1:\d+; /);
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
  await run(["send", listener.address, "from TypeScript"]);
  expect(await listener.line()).toContain('"from TypeScript"');
});

/** Sends payloads from this process, without the time that a program takes to start. */
function sendNow(test: TestContext, port: number, payloads: readonly string[]): void {
  const s = createSocket("udp4");
  test.onTestFinished(() => void s.close());
  for (const payload of payloads) s.send(payload, port, "127.0.0.1");
}
