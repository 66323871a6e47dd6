/** `request`, `collect` and `serve` with the programs of the page as their peers. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { unusedPort } from "../ports.js";
import { home } from "../process/programs.js";
import { host, plain, python, startServer, typescriptSides } from "./matrix.js";

const [native] = typescriptSides;
const clean = { code: 0, signal: null, stderr: "" };

test("the programs of docs/messages.md equal those of examples/requests", () => {
  const page = readFileSync(`${home}docs/messages.md`, "utf8");
  for (const name of ["ask", "find", "answer"]) {
    const code = readFileSync(`${home}examples/requests/${name}.ts`, "utf8");
    expect(page).toContain(`(../examples/requests/${name}.ts)`);
    expect(page).toContain(`\`\`\`ts\n${code}\`\`\``);
  }
});

for (const side of typescriptSides) {
  describe.skipIf(side.skipped !== undefined)(side.name, () => {
    // semantics: request
    test("request() gets the answer of Python's ping-pong", async (t) => {
      const { port } = await startServer(python, t, "ping-pong");
      const ending = await side.start(t, "requests/ask", host, port).ended;
      expect(ending).toEqual({ ...clean, lines: ["reply: pong"] });
    });

    // semantics: collect
    test("collect() finds Python's ack receiver", async (t) => {
      const { server, port } = await startServer(python, t, "ack-receiver");
      const ending = await side.start(t, "requests/find", host, port).ended;
      expect(ending).toEqual({ ...clean, lines: [`${host}:${port} says ack: who?`] });
      expect(plain(await server.line())).toMatch(/^got who\? from 127\.0\.0\.1:\d+$/);
    });

    // semantics: serve
    test("serve() answers Python's request", async (t) => {
      const { port } = await startServer(side, t, "requests/answer");
      const { lines, ...ending } = await python.start(t, "request", host, port).ended;
      expect(lines.map(plain)).toEqual(["reply: ack: ping"]);
      expect(ending).toEqual(clean);
    });
  });
}

// semantics: request-unreachable
test.skipIf(native.skipped !== undefined)("request() says at once that nobody is listening", async (t) => {
  const port = unusedPort();
  const { lines, ...ending } = await native.start(t, "requests/ask", host, port).ended;
  expect(ending).toEqual(clean);
  expect(lines).toEqual([
    `request ${host}:${port}: nobody is listening there (port unreachable, from ${host}) (ECONNREFUSED)`,
  ]);
});
