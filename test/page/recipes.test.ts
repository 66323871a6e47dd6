/** The files and programs that docs/recipes shows are those of examples/, and do what the page says. */

import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { home, needNamespaces } from "../process/programs.js";

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

function run(command: string, ...args: string[]): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8" });
  return { stdout, stderr, status };
}
