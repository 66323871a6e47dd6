/** The program of docs/dgram.md equals the one in examples/, and prints the shown output. */

import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { Program, cleanEnding, home } from "../process/programs.js";

const document = readFileSync(`${home}docs/dgram.md`, "utf8");

test("the program for a simulated network prints the shown output", async (context) => {
  const shown = /\[`(examples\/\S+)\.ts`\]\(\S+\):\n\n```ts\n(.*?)```.*?```text\n(.*?)```/s.exec(document);
  const [, name = "", code, output = ""] = shown ?? [];
  expect(readFileSync(`${home}${name}.ts`, "utf8")).toBe(code);
  const { lines, ...ending } = await new Program(context, [process.execPath, `${home}build/${name}.js`])
    .ended;
  expect(ending).toEqual(cleanEnding);
  expect(lines.join("\n")).toBe(output.trimEnd());
});
