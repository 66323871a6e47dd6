/** `request`, `collect` and `serve` with the programs of the page as their peers. */

import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { unusedPort } from "../ports.js";
import { home } from "../process/programs.js";
import { eachSide, host, plain, startServer, typescriptSides } from "./matrix.js";

const clean = { code: 0, signal: null, stderr: "" };

test("the programs of docs/messages.md equal those of examples/requests", () => {
  const page = readFileSync(`${home}docs/messages.md`, "utf8");
  for (const name of ["ask", "find", "answer"]) {
    const code = readFileSync(`${home}examples/requests/${name}.ts`, "utf8");
    expect(page).toContain(`(../examples/requests/${name}.ts)`);
    expect(page).toContain(`\`\`\`ts\n${code}\`\`\``);
  }
});

for (const asker of typescriptSides) {
  // semantics: request
  eachSide(`request() of ${asker.name} gets the answer of ping-pong`, async (server, test) => {
    if (asker.skipped !== undefined) test.skip(asker.skipped);
    const { port } = await startServer(server, test, "ping-pong");
    const ending = await asker.start(test, "requests/ask", host, port).ended;
    expect(ending).toEqual({ ...clean, lines: ["reply: pong"] });
  });

  // semantics: collect
  eachSide(`collect() of ${asker.name} finds the ack receiver`, async (server, test) => {
    if (asker.skipped !== undefined) test.skip(asker.skipped);
    const { server: device, port } = await startServer(server, test, "ack-receiver");
    const ending = await asker.start(test, "requests/find", host, port).ended;
    expect(ending).toEqual({ ...clean, lines: [`${host}:${port} says ack: who?`] });
    expect(plain(await device.line())).toMatch(/^got who\? from 127\.0\.0\.1:\d+$/);
  });

  // semantics: serve
  eachSide(`serve() of ${asker.name} answers the page's request`, async (client, test) => {
    if (asker.skipped !== undefined) test.skip(asker.skipped);
    const { port } = await startServer(asker, test, "requests/answer");
    const { lines, ...ending } = await client.start(test, "request", host, port).ended;
    expect(lines.map(plain)).toEqual(["reply: ack: ping"]);
    expect(ending).toEqual(clean);
  });
}

// semantics: request-unreachable
eachSide("request() says at once that nobody is listening", async (asker, test) => {
  if (!asker.name.includes("native")) test.skip("this needs the native driver");
  const port = unusedPort();
  const { lines, ...ending } = await asker.start(test, "requests/ask", host, port).ended;
  expect(ending).toEqual(clean);
  expect(lines).toEqual([
    `request ${host}:${port}: nobody is listening there (port unreachable, from ${host}) (ECONNREFUSED)`,
  ]);
});
