/** The programs of docs/simulation.md equal those in examples/, and print the shown output. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { type LinkSettings, Network, profiles, scenarios } from "../../src/sim/index.js";
import { Program, cleanEnding, home } from "../process/programs.js";

const document = readFileSync(`${home}docs/simulation.md`, "utf8");

const programs = [
  ...document.matchAll(/\[`examples\/(\S+)\.ts`\]\(\S+\):\n\n```ts\n(.*?)```\n(?:\n```text\n(.*?)```)?/gs),
].map(([, name = "", code, output]) => ({ name, code, output }));

test("all steps and experiments are present", () => {
  expect(programs.map(({ name, output }) => `${name}${output === undefined ? "" : " prints"}`)).toEqual([
    "simulated-network prints",
    "simulation/program",
    "simulation/1-real prints",
    "simulation/2-simulated prints",
    "simulation/3-lossy prints",
    "simulation/4-naive-retry prints",
    "simulation/retry",
    "simulation/5-retry prints",
    "simulation/retry.test",
    "fragments-lost prints",
    "nat-forgets prints",
    "replay-recording prints",
  ]);
});

describe.concurrent("each program", () => {
  test.for(programs)(
    "$name equals the program in the page, and prints the shown output",
    async (program, t) => {
      const { name, code, output } = program;
      t.expect(readFileSync(`${home}examples/${name}.ts`, "utf8")).toBe(code);
      if (output === undefined) return;
      const { lines, ...ending } = await new Program(t, [
        process.execPath,
        `${home}build/examples/${name}.js`,
      ]).ended;
      t.expect(ending).toEqual(cleanEnding);
      t.expect(lines.join("\n")).toBe(output.trimEnd());
    },
  );
});

test("each fragment experiment is inside its interval", () => {
  const rows =
    programs
      .find(({ name }) => name === "fragments-lost")
      ?.output?.split("\n")
      .slice(2, -1) ?? [];
  expect(rows).toHaveLength(13);
  expect(rows.filter((row) => row.includes("outside"))).toEqual([]);
});

test("every profile and every scenario has a row in the tables", () => {
  for (const name of [...Object.keys(profiles), ...Object.keys(scenarios)]) {
    expect(document).toMatch(new RegExp(`^\\| .*\`${name}\``, "m"));
  }
});

test("every setting of a link has a row", () => {
  const network = new Network();
  const settings = { nonsense: 1 } as LinkSettings;
  let refusal = "";
  try {
    network.link(network.router("one"), network.router("other"), settings);
  } catch (error) {
    refusal = (error as Error).message;
  }
  const fields = /one of (.*), not/.exec(refusal)?.[1]?.split(", ") ?? [];
  expect(fields).toContain("lossRatio");
  for (const field of fields) expect(document).toMatch(new RegExp(`^\\| \`${field}\` `, "m"));
});
