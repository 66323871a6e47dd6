/** `node --import datagram/register`: a program for node:dgram runs over this package without a change. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { Program, home, overDrivers, withDriver } from "./programs.js";

const body = `
const server = dgram.createSocket("udp4", (data, from) => server.send(["ack: ", data], from.port, from.address));
server.bind(0, "127.0.0.1", () => {
  const client = dgram.createSocket("udp4", (data) => {
    console.log(data.toString(), "bindSync" in server);
    client.close();
    server.close();
  });
  client.send("hello", server.address().port, "127.0.0.1");
});
`;
const throwing = `import dgram from "node:dgram";
const lines = [];
process.on("uncaughtException", ({ message }) => lines.push("uncaught " + message));
const server = dgram.createSocket("udp4", (data) => {
  lines.push("message " + data);
  if (data.toString() === "2") setImmediate(() => server.close());
  throw new Error("listener " + data);
});
server.on("close", () => console.log(lines.join("\\n")));
server.bind(0, "127.0.0.1", () => {
  const client = dgram.createSocket("udp4");
  const { port } = server.address();
  client.send("1", port, "127.0.0.1", () => {
    throw new Error("callback 1");
  });
  client.send("2", port, "127.0.0.1", () => {
    lines.push("sent");
    client.close();
  });
});
`;
const refused = `import dgram from "node:dgram";
const gone = dgram.createSocket("udp4").bind(0, "127.0.0.1", () => {
  const { port } = gone.address();
  gone.close(() => {
    const client = dgram.createSocket("udp4");
    let left = 3;
    client.on("error", () => (--left > 0 ? client.send("x") : client.close()));
    client.connect(port, "127.0.0.1", () => client.send("x"));
  });
  console.log(port);
});
`;
const passing = `import { fork } from "node:child_process";
import dgram from "node:dgram";
import { fileURLToPath } from "node:url";
if (process.send) process.on("message", (text) => {
  console.log(text);
  setImmediate(() => process.disconnect());
});
else {
  const child = fork(fileURLToPath(import.meta.url));
  const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1", () => {
    try {
      child.send("with a socket", socket);
    } catch (error) {
      console.log(error.name, error.code, error.message);
    }
    socket.close();
    child.send("without");
  });
}
`;
const waiting = `import dgram from "node:dgram";
const close = () => server.close(() => console.log("own"));
if (process.argv[2] === "own") process.once("SIGTERM", close);
if (process.argv[2] === "first") process.prependOnceListener("SIGTERM", close);
// As the package signal-exit does.
if (process.argv[2] === "alone")
  process.on("SIGTERM", function end() {
    if (process.listeners("SIGTERM").length > 1 || process.listenerCount("SIGTERM") > 1) return;
    process.off("SIGTERM", end);
    console.log("cleaned");
    process.kill(process.pid, "SIGTERM");
  });
const server = dgram.createSocket("udp4").bind(0, "127.0.0.1", () => console.log("ready"));
`;
const programs = {
  "app.cjs": `const dgram = require("dgram");${body}`,
  "app.mjs": `import dgram, { createSocket } from "node:dgram";
if (createSocket !== dgram.createSocket) throw new Error("the named export is another function");${body}`,
};
const register = `${home}dist/register/index.js`;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "datagram-register-"));
  await writeFile(join(folder, "throwing.mjs"), throwing);
  await writeFile(join(folder, "refused.mjs"), refused);
  await writeFile(join(folder, "waiting.mjs"), waiting);
  await writeFile(join(folder, "passing.mjs"), passing);
  for (const [name, text] of Object.entries(programs)) await writeFile(join(folder, name), text);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

overDrivers((driver) => {
  test("the report names the destination where nobody listens", async (context) => {
    const command = [process.execPath, "--import", register, join(folder, "refused.mjs")];
    const env = { ...withDriver(driver), DATAGRAM_REPORT: "1" };
    const { code, lines, stderr } = await new Program(context, command, env).ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`, 3 nobody listening at 127\\.0\\.0\\.1:${lines[0]}(,|\n)`));
    expect(stderr).not.toContain("ICMP");
  });

  test("the report as JSON has the counts of the ledger, and the destination where nobody listens", async (context) => {
    const command = [process.execPath, "--import", register, join(folder, "refused.mjs")];
    const env = { ...withDriver(driver), DATAGRAM_REPORT: "json" };
    const { lines, stderr } = await new Program(context, command, env).ended;
    expect(JSON.parse(stderr)).toMatchObject({
      unreachable: { ECONNREFUSED: 3 },
      nobodyListening: [{ destination: `127.0.0.1:${lines[0]}`, count: 3 }],
    });
  });

  test("a socket is not passed to another process: the error says so, and the channel stays usable", async (context) => {
    const command = [process.execPath, "--import", register, join(folder, "passing.mjs")];
    const { code, lines, stderr } = await new Program(context, command, withDriver(driver)).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(lines).toEqual([
      expect.stringMatching(
        /^TypeError ERR_INVALID_HANDLE_TYPE This handle type cannot be sent: .*bind\(\{ fd \}\)/,
      ),
      "without",
    ]);
  });

  test("the report is written if a signal ends the program, and after the program's own listener", async (context) => {
    const env = { ...withDriver(driver), DATAGRAM_REPORT: "1" };
    const ends = async (signal: NodeJS.Signals, ...args: string[]): Promise<unknown> => {
      const command = [process.execPath, "--import", register, join(folder, "waiting.mjs"), ...args];
      const program = new Program(context, command, env);
      expect(await program.line()).toBe("ready");
      program.kill(signal);
      return program.ended;
    };
    const report = "datagram: 0 sent, 0 received\n";
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      expect(await ends(signal)).toEqual({ code: null, signal, lines: ["ready"], stderr: report });
    for (const order of ["own", "first"])
      expect(await ends("SIGTERM", order)).toEqual({
        code: 0,
        signal: null,
        lines: ["ready", "own"],
        stderr: report,
      });
    expect(await ends("SIGTERM", "alone")).toEqual({
      code: null,
      signal: "SIGTERM",
      lines: ["ready", "cleaned"],
      stderr: report,
    });
  });

  test("a process that opens no socket writes no report", async (context) => {
    const command = [process.execPath, "--import", register, "-e", "console.log(1)"];
    const env = { ...withDriver(driver), DATAGRAM_REPORT: "1" };
    expect(await new Program(context, command, env).ended).toMatchObject({
      code: 0,
      lines: ["1"],
      stderr: "",
    });
  });

  test("after a listener or a callback that throws, the next message and callback come", async (context) => {
    for (const options of [[], ["--import", register]]) {
      const command = [process.execPath, ...options, join(folder, "throwing.mjs")];
      const { code, lines, stderr } = await new Program(context, command, withDriver(driver)).ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      // The order of callbacks and messages is the system's.
      expect(lines.sort()).toEqual([
        "message 1",
        "message 2",
        "sent",
        "uncaught callback 1",
        "uncaught listener 1",
        "uncaught listener 2",
      ]);
    }
  });

  for (const name of Object.keys(programs)) {
    test(`${name} runs over the package, and the report has its datagrams`, async (context) => {
      const command = [process.execPath, "--import", register, join(folder, name)];
      const env = { ...withDriver(driver), DATAGRAM_REPORT: "1" };
      const { code, lines, stderr } = await new Program(context, command, env).ended;
      expect({ code, lines, stderr }).toEqual({
        code: 0,
        lines: ["ack: hello true"],
        stderr: "datagram: 2 sent, 2 received\n",
      });
    });
  }
});
