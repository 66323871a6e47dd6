/** `datagram run`: a program of node:dgram runs over this package, as if the program had been started itself. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { bin, datagram, onTerminal, run, stayOpen } from "./program.js";

/** For commands that start no program: a program would have the outputs of this process. */
const runHere = commandsInOneProcess();

/** Sends a datagram to itself. Prints it, whether `node:dgram` is replaced, and the arguments. */
const body = `
const s = dgram.createSocket("udp4", (data) => {
  console.log(data.toString(), "bindSync" in s && !("_handle" in s), JSON.stringify(process.argv.slice(2)));
  s.close();
});
s.bind(0, "127.0.0.1", () => s.send("hello", s.address().port));
`;
const cjs = `const dgram = require("node:dgram");${body}`;
const files = {
  "app.cjs": cjs,
  "app.mjs": `import dgram from "dgram";${body}`,
  "app.js": cjs,
  tool: `#!/usr/bin/env node\n${cjs}`,
  "parent.cjs": `require("node:child_process").spawn(process.execPath, [require.resolve("./app.cjs")], { stdio: "inherit" });`,
  "no-program": "#!/no/such/program\n",
  "not-executable": "echo\n",
  // The first signal is counted. The program ends when the test writes a line.
  "signals.cjs": `
let count = 0;
for (const name of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
  process.on(name, () => { count++; console.log("got", name); });
process.stdin.on("data", () => process.exit(count));
console.log("ready");
`,
};
let folder: string;

beforeAll(() => {
  folder = join(mkdtempSync(join(tmpdir(), "datagram-run-")), `a "folder" of 100%`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const name of ["tool", "no-program"]) chmodSync(join(folder, name), 0o755);
});

afterAll(() => rmSync(join(folder, ".."), { recursive: true }));

const replaced = (...args: string[]): object => ({
  code: 0,
  stdout: `hello true ${JSON.stringify(args)}\n`,
  stderr: "",
});

describe("the program uses this package", () => {
  test.for(["app.cjs", "app.mjs", "app.js"])("%s, run by its name or with node", async (name, t) => {
    const path = join(folder, name);
    expect(await run(t, ["run", path, "--version", "-x", "--", "y"])).toMatchObject(
      replaced("--version", "-x", "--", "y"),
    );
    expect(await run(t, ["run", "--", "node", path, "--exec", "z"])).toMatchObject(replaced("--exec", "z"));
  });

  test("a file that begins with #!, and a program that another program starts", async (t) => {
    expect(await run(t, ["run", join(folder, "tool"), "--help"])).toMatchObject(replaced("--help"));
    expect(await run(t, ["run", join(folder, "parent.cjs")])).toMatchObject(replaced());
    expect(await run(t, ["run", "sh", "-c", `exec node "$0" a`, join(folder, "app.cjs")])).toMatchObject(
      replaced("a"),
    );
  });

  test("the NODE_OPTIONS of the environment stay, and run in run changes nothing", async (t) => {
    const env = { NODE_OPTIONS: "--title=mine" };
    const print = ["-p", "process.title + ' ' + process.env.NODE_OPTIONS"];
    const once = await run(t, ["run", "node", ...print], { env });
    expect(once.stdout).toMatch(/^mine --import=file:\/\/\S+\/dist\/register\/index\.js --title=mine\n$/);
    expect(await run(t, ["run", "node", bin, "run", "node", ...print], { env })).toEqual(once);
  });

  test("--report and --json print the counts, and --driver chooses the driver", async (t) => {
    const path = join(folder, "app.cjs");
    for (const driver of ["dgram", "native"]) {
      const { code, stderr } = await run(t, ["run", "--report", "--driver", driver, path]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "datagram: 1 sent, 1 received\n" });
    }
    const { stderr } = await run(t, ["run", "--json", path]);
    expect(JSON.parse(stderr)).toMatchObject({
      sent: { datagrams: 1 },
      received: { datagrams: 1 },
      sendErrors: {},
      nobodyListening: [],
    });
    const print = ["node", "-p", "process.env.DATAGRAM_DRIVER"];
    expect((await run(t, ["run", "--driver=dgram", ...print])).stdout).toBe("dgram\n");
  });
});

describe("the end of the program", () => {
  test("its exit code is the exit code of the command", async (t) => {
    expect(await run(t, ["run", "node", "-e", "process.exit(7)"])).toMatchObject({ code: 7, stderr: "" });
  });

  test.for([
    ["SIGTERM", 143],
    ["SIGKILL", 137],
  ] as const)("after %s the exit code is %i", async ([signal, code], t) => {
    const ending = await run(t, ["run", "node", "-e", `process.kill(process.pid, "${signal}")`]);
    expect(ending).toMatchObject({ code, signal: null, stderr: "" });
  });

  test.for<[string, number, string]>([
    ["no-such-program", 127, "there is no such program in PATH"],
    ["./no-such-file", 127, "there is no such file"],
    ["no-such-file.mjs", 127, "there is no such file"],
    ["<folder>/no-program", 127, "there is no such program as its first line names"],
    ["<folder>/not-executable", 126, "permission denied"],
    ["/", 126, "permission denied"],
    ["<folder>/app.cjs/tool", 126, "a part of the path is not a folder"],
  ])("%s ends with %i and one line", async ([given, code, why]) => {
    const name = given.replace("<folder>", folder);
    expect(await runHere(["run", name, "x"])).toMatchObject({
      code,
      stdout: "",
      stderr: `datagram run: cannot run ${JSON.stringify(name)}: ${why}\n`,
    });
  });
});

describe("streams and signals", () => {
  test("the program reads the standard input of the command", async (t) => {
    const { code, stdout } = await run(t, ["run", "cat"], { input: "one\ntwo\n" });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "one\ntwo\n" });
  });

  test("each signal reaches the program once", async (t) => {
    const program = datagram(t, ["run", join(folder, "signals.cjs")], { input: stayOpen });
    expect(await program.line()).toBe("ready");
    const names = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
    for (const name of names) {
      program.child.kill(name);
      expect(await program.line()).toBe(`got ${name}`);
    }
    program.type("\n");
    expect(await program.ended).toMatchObject({ code: names.length, stderr: "" });
  });

  test("Ctrl-C on a terminal reaches the program once", async (t) => {
    const program = onTerminal(t, ["run", join(folder, "signals.cjs")]);
    await program.written("ready");
    program.type("\u0003");
    await program.written("got SIGINT");
    program.type("\n");
    expect(await program.ended).toMatchObject({ code: 1 });
  });
});
