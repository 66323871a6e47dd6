import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

const home = new URL("../../", import.meta.url);

/** The tests that the tables name in their last column, by file. */
const references = read("docs/semantics.md")
  .split("\n")
  .filter((line) => /^\| (?!case )/.test(line))
  .flatMap((row) => (row.replace(/ \|$/, "").split(" | ").pop() ?? "").split("<br>"))
  .map((reference) => /^`([\w/-]+)`: (.+)$/.exec(reference)?.slice(1) ?? [reference, ""])
  .map(([file = "", name = ""]) => ({ file, name: name.replaceAll("\\", "") }));

test("every row of docs/semantics.md names a test that is there", () => {
  expect(references.length).toBeGreaterThan(100);
  for (const { file, name } of references) {
    const titles = titlesOf(`test/${file.includes("/") ? file : `contract/${file}`}.test.ts`);
    expect(
      titles.some((title) => title.test(name)),
      `${file}: ${name}`,
    ).toBe(true);
  }
});

/** Patterns for the names of the tests in a file; what a template or a table of cases fills in may be anything. */
function titlesOf(path: string): RegExp[] {
  const literals = read(path).matchAll(
    /(?:\b(?:test|contract)\(|\)\()\s*(?:"((?:[^"\\\n]|\\.)+)"|`([^`]+)`)/g,
  );
  return Array.from(literals, ([, plain, template]) => {
    const title = plain ?? template ?? "";
    const parts = title.replaceAll("\\", "").split(/\$\{[^}]*\}|%s/);
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+")}$`);
  });
}

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(path, home)), "utf8");
}
