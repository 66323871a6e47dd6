/** The programs of docs/pitfalls.md equal those in examples/, and print the shown output. */

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { Program, home, needNamespaces, prepared, whySkipped, withDriver } from "../process/programs.js";

const document = readFileSync(`${home}docs/pitfalls.md`, "utf8");
/** Runs a program in a network of its own, with the MTU of Ethernet on its loopback. */
const onEthernet = ["unshare", "-rn", ...prepared("ip link set lo mtu 1500 up")];

const programs = [
  ...document.matchAll(/\[`examples\/(\S+)\.ts`\].*?```ts\n(.*?)```.*?```text\n(.*?)```/gs),
].map(([, name = "", code, output = ""]) => ({ name, code, output }));

test("each pitfall that one host can show has a program", () => {
  expect(programs.map(({ name }) => name)).toEqual(["nobody-listening", "lost-here", "cut", "too-big"]);
});

describe.skipIf(whySkipped("native") !== undefined)("over native", () => {
  for (const { name, code, output } of programs) {
    test(`${name} equals the program in the page, and prints the shown output`, async (t) => {
      needNamespaces(t);
      expect(readFileSync(`${home}examples/${name}.ts`, "utf8")).toBe(code);
      const command = [...onEthernet, process.execPath, `${home}build/examples/${name}.js`];
      const { lines, ...ending } = await new Program(t, command, withDriver("native")).ended;
      expect(ending).toEqual({ code: 0, signal: null, stderr: "" });
      expect(withoutBufferSize(lines.join("\n"))).toBe(withoutBufferSize(output.trimEnd()));
    });
  }
});

/** The text without the number of datagrams that a receive buffer has room for: it depends on the kernel. */
function withoutBufferSize(text: string): string {
  return text.replace(/(dropped:|got|behind) \d+/g, "$1 N");
}
