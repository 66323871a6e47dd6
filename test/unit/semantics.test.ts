import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("every row of docs/semantics.md has a test, and every test of the contract has a row", async () => {
  const document = await readFile(join(root, "docs/semantics.md"), "utf8");
  expect(document.match(/^\| (?!case )/gm)?.length).toBeGreaterThan(100);
  expect(semantics(root, "--check")).toEqual({ output: "", status: 0 });
});

const head = "| case | what happens | held by |\n|---|---|---|\n";
const bindTwice = "| `bind` twice | `EINVAL` |";
const upToDate = `${head}${bindTwice} \`bind-twice\`: [bind](../test/contract/bind.test.ts) |\n`;
const held = '// semantics: bind-twice\ncontract("bind twice is EINVAL", async () => {});\n';

test.each([
  ["a column that is out of date", `${head}${bindTwice} \`bind-twice\` |\n`, held, "not up to date"],
  ["a row without a key", `${head}${bindTwice} bind |\n`, held, "a row without a key"],
  ["a row without a test", upToDate, "", "bind-twice: no test"],
  ["two rows with one key", `${upToDate}${bindTwice} \`bind-twice\` |\n`, held, "bind-twice: two rows"],
  ["a test with a key that is no row", upToDate, held.replace("twice", "once"), "bind-once is no row"],
  ["a contract test without a key", upToDate, `${held}contract("bind", async () => {});\n`, 'above "bind"'],
])("the check finds %s", async (_, document, tests, problem) => {
  await inPackage(document, tests, (directory) => {
    const { output, status } = semantics(directory, "--check");
    expect(output).toContain(problem);
    expect(status).toBe(1);
  });
});

test("the script writes the column, and lists the tests of a row", async () => {
  await inPackage(`${head}${bindTwice} \`bind-twice\` |\n`, held, async (directory) => {
    expect(semantics(directory)).toEqual({ output: "", status: 0 });
    expect(await readFile(join(directory, "docs/semantics.md"), "utf8")).toBe(upToDate);
    const line = "test/contract/bind.test.ts:2: bind twice is EINVAL\n";
    expect(semantics(directory, "bind-twice")).toEqual({ output: line, status: 0 });
  });
});

/** Runs the script in the directory of a package. */
function semantics(directory: string, ...args: string[]): { output: string; status: number | null } {
  const script = join(root, "scripts/semantics.mjs");
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, ...args], {
    cwd: directory,
    encoding: "utf8",
  });
  return { output: stdout + stderr, status };
}

/** Runs `use` in a new directory with the document and one test file of the contract. */
async function inPackage(
  document: string,
  tests: string,
  use: (directory: string) => void | Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "datagram-semantics-"));
  try {
    await mkdir(join(directory, "docs"));
    await mkdir(join(directory, "test/contract"), { recursive: true });
    await writeFile(join(directory, "docs/semantics.md"), document);
    await writeFile(join(directory, "test/contract/bind.test.ts"), tests);
    await use(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}
