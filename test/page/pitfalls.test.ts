/** The programs of docs/pitfalls.md are those of examples/, and print what stands below them. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { Program, home, needNamespaces, prepared, whySkipped, withDriver } from "../process/programs.js";

const document = readFileSync(`${home}docs/pitfalls.md`, "utf8");
/** A program of its own network, whose loopback carries as much as Ethernet. */
const onEthernet = ["unshare", "-rn", ...prepared("ip link set lo mtu 1500 up")];

const programs = [
  ...document.matchAll(/\[`examples\/(\S+)\.ts`\].*?```ts\n(.*?)```.*?```text\n(.*?)```/gs),
].map(([, name = "", code, output = ""]) => ({ name, code, output }));

test("there is a program for each pitfall that shows on one host", () => {
  expect(programs.map(({ name }) => name)).toEqual(["nobody-listening", "lost-here", "cut", "too-big"]);
});

describe.skipIf(whySkipped("native") !== undefined)("over native", () => {
  for (const { name, code, output } of programs) {
    test(`${name} is the program that is shown, and prints what is shown`, async (t) => {
      needNamespaces(t);
      expect(readFileSync(`${home}examples/${name}.ts`, "utf8")).toBe(code);
      const command = [...onEthernet, process.execPath, `${home}build/examples/${name}.js`];
      const { lines, ...ending } = await new Program(t, command, withDriver("native")).ended;
      expect(ending).toEqual({ code: 0, signal: null, stderr: "" });
      expect(withoutBufferSize(lines.join("\n"))).toBe(withoutBufferSize(output.trimEnd()));
    });
  }
});

/** How many datagrams a receive buffer holds depends on the kernel. */
function withoutBufferSize(text: string): string {
  return text.replace(/(dropped:|got|behind) \d+/g, "$1 N");
}
