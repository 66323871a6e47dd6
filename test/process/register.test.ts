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
const programs = {
  "app.cjs": `const dgram = require("dgram");${body}`,
  "app.mjs": `import dgram, { createSocket } from "node:dgram";
if (createSocket !== dgram.createSocket) throw new Error("the named export is another function");${body}`,
};
const register = `${home}dist/register/index.js`;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "datagram-register-"));
  for (const [name, text] of Object.entries(programs)) await writeFile(join(folder, name), text);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

overDrivers((driver) => {
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
