/** The files and programs that docs/recipes shows are those of examples/, and do what the page says. */

import { spawnSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";

import { type TestContext, describe, expect, test } from "vitest";

import { unusedPort } from "../ports.js";
import {
  Program,
  cleanEnding,
  home,
  needNamespaces,
  overDrivers,
  requireAll,
  whySkipped,
  withDriver,
} from "../process/programs.js";
import { bound, host } from "./matrix.js";

const recipes = readdirSync(`${home}docs/recipes`).filter((name) => name !== "README.md");

/** The files that a recipe shows, each below a link to it. */
function filesIn(recipe: string): { name: string; content: string }[] {
  const document = readFileSync(`${home}docs/recipes/${recipe}`, "utf8");
  return [...document.matchAll(/\[`(examples\/[^`]+)`\]\(\S+\)[^`]*:\n\n```\w+\n(.*?)```/gs)].map(
    ([, name = "", content = ""]) => ({ name, content }),
  );
}

test.each(recipes)("each file that %s shows is a file of examples", (recipe) => {
  for (const { name, content } of filesIn(recipe)) expect(readFileSync(home + name, "utf8")).toBe(content);
  expect(filesIn(recipe).length, "every recipe shows one").toBeGreaterThan(0);
});

describe("sysctls.md", () => {
  const file = `${home}examples/sysctl.d/60-datagram.conf`;
  const settings = [...readFileSync(file, "utf8").matchAll(/^(net\S+) = (\d+)$/gm)].map(
    ([line, name = "", value = ""]) => ({ line, name, value }),
  );

  test("sysctl reads every setting of the file", () => {
    const { stdout, status } = run("sysctl", `--load=${file}`, "--dry-run");
    // Settings of the machine are not there in the namespace of a test.
    const isOfMachine = (line: string): boolean => line.startsWith("net.core.");
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => !isOfMachine(line))).toEqual(
      settings.map(({ line }) => line).filter((line) => !isOfMachine(line)),
    );
    expect(status).toBe(0);
  });

  test("the settings of a namespace change in it, and those of the machine do not", (t) => {
    needNamespaces(t);
    const script = `sysctl --quiet --load=${file}; sysctl ${settings.map(({ name }) => name).join(" ")}`;
    const machine = settings.filter(({ name }) => name.startsWith("net.core."));
    const before = machine.map(({ name }) => run("sysctl", name).stdout);
    const { stdout, stderr } = run("unshare", "-rn", "sh", "-c", script);
    for (const { line, name } of settings) {
      if (name.startsWith("net.core.")) expect(stderr).toMatch(new RegExp(name));
      else expect(stdout.split("\n")).toContain(line);
    }
    expect(machine.map(({ name }) => run("sysctl", name).stdout)).toEqual(before);
  });

  test("the limits are the sizes that a socket asks for", () => {
    const { stdout } = run(process.execPath, `${home}dist/cli/main.js`, "doctor", "--json");
    const { buffers } = JSON.parse(stdout) as { buffers: { askedBytes: number }[] };
    for (const [index, name] of ["net.core.rmem_max", "net.core.wmem_max"].entries()) {
      expect(settings).toContainEqual(
        expect.objectContaining({ name, value: String(buffers[index]?.askedBytes) }),
      );
    }
  });
});

describe("from-node-dgram.md", () => {
  const page = readFileSync(`${home}docs/recipes/from-node-dgram.md`, "utf8");

  test("the programs before and after print the same lines, and answer the same datagrams", async (t) => {
    const runs = await Promise.all(
      ["before", "after"].map(async (name) => {
        const program = example(t, `migration/${name}`, ["0"]);
        const port = portIn(await program.line());
        const answers = [await ask(t, port, "one"), await ask(t, port, "two")];
        return { answers, lines: [await program.line(), await program.line()] };
      }),
    );
    const expected = {
      answers: ["ack: one", "ack: two"],
      lines: ["one from 127.0.0.1", "two from 127.0.0.1"],
    };
    expect(runs).toEqual([expected, expected]);
  });

  test("every method of a node:dgram socket has a row", () => {
    const methods = Object.keys(dgram.Socket.prototype).filter((name) => !name.startsWith("_"));
    expect(methods).toContain("addSourceSpecificMembership");
    expect(methods.filter((name) => !new RegExp(`^\\|.*\\b${name}\\b.*\\|$`, "m").test(page))).toEqual([]);
  });
});

describe("systemd.md", () => {
  test.skipIf(!requireAll && run("systemd-socket-activate", "--version").status !== 0)(
    "systemd-socket-activate starts the program with the first datagram, which is answered",
    async (t) => {
      const port = unusedPort();
      const page = readFileSync(`${home}docs/recipes/systemd.md`, "utf8");
      const [, command = ""] = /^(systemd-socket-activate .*)$/m.exec(page) ?? [];
      const words = command
        .replace("9000", String(port))
        .replace("node build", `${process.execPath} ${home}build`);
      const program = new Program(t, words.split(" "), withDriver("dgram"));
      await bound(port, program);
      expect(await ask(t, port, "hello")).toBe("hello");
      expect(await program.line()).toBe(`echo at 127.0.0.1:${port}`);
    },
  );
});

describe("docker.md", () => {
  overDrivers((driver) => {
    test("behind a relay the program sees the address of the relay, and its answers arrive", async (t) => {
      const program = example(t, "docker/whoami", [host, "0"], driver);
      const port = portIn(await program.line());
      const relayPort = unusedPort();
      const command = ["proxy", String(relayPort), `${host}:${port}`];
      const relay = new Program(
        t,
        [process.execPath, `${home}dist/cli/main.js`, ...command],
        withDriver(driver),
      );
      await bound(relayPort, relay);
      const client = await socketOf(t);
      const answer = await ask(t, relayPort, "who am I?", client);
      const line = await program.line();
      expect(answer).toBe(line.replace("from", "you are"));
      expect([port, relayPort, client.address().port]).not.toContain(portIn(line));
      program.kill("SIGTERM");
      expect(await program.ended).toMatchObject(cleanEnding);
    });
  });
});

describe("windows-macos.md", () => {
  test("the program names the features that the table says no to", async (t) => {
    const { lines, ...ending } = await example(t, "which-driver", [], "dgram").ended;
    expect(ending).toEqual(cleanEnding);
    const table = readFileSync(`${home}docs/fields.md`, "utf8").split("## The features")[1] ?? "";
    const missing = [...table.matchAll(/^\| `(\w+)` +\|[^|]*\| no +\|/gm)].map(([, name]) => name);
    expect(missing).toContain("kernelDropCount");
    expect(lines[0]).toBe("driver dgram");
    const named = lines.map((line) => /^no (\w+): \S/.exec(line)?.[1]);
    for (const name of missing) expect(named).toContain(name);
  });
});

describe("testing.md", () => {
  test.skipIf(whySkipped("native") !== undefined)("the tests for node:test pass", async (t) => {
    const file = `${home}build/examples/testing/ask.node-test.js`;
    // The runner of node:test changes its output if it is a child of another one.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { lines, code } = await new Program(
      t,
      [process.execPath, "--test", "--test-reporter=tap", file],
      env,
    ).ended;
    expect(code, lines.join("\n")).toBe(0);
    expect(lines).toContain("# pass 2");
  });
});

/** Starts an example. */
function example(t: TestContext, name: string, args: readonly string[], driver?: string): Program {
  return new Program(t, [process.execPath, `${home}build/examples/${name}.js`, ...args], withDriver(driver));
}

/** The port at the end of a line. */
const portIn = (line: string): number => Number(/(\d+)$/.exec(line)?.[1]);

async function socketOf({ onTestFinished }: TestContext): Promise<dgram.Socket> {
  const s = dgram.createSocket("udp4").bind(0, host);
  onTestFinished(() => void s.close());
  await once(s, "listening");
  return s;
}

/** Sends a datagram to a port of this host, and returns the answer. */
async function ask(t: TestContext, port: number, text: string, from?: dgram.Socket): Promise<string> {
  const s = from ?? (await socketOf(t));
  const answer = once(s, "message", { signal: t.signal }) as Promise<[Buffer]>;
  s.send(text, port, host);
  return (await answer)[0].toString();
}

function run(command: string, ...args: string[]): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8" });
  return { stdout, stderr, status };
}
