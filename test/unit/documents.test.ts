/** The documents have no dead links, and the README stays short. */

import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Folders whose documents are not checked: generated, or installed. */
const skipped = new Set(["node_modules", "dist", "build", "prebuilds", ".git", "api"]);

const documents = (function find(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : find(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
})(root);

test("every link of a document leads to a file, and to a heading in it", () => {
  expect(documents.length).toBeGreaterThan(20);
  const dead = documents.flatMap((path) =>
    linksOf(path)
      .filter((link) => isDead(path, link))
      .map((link) => `${relative(root, path)}: ${link}`),
  );
  expect(dead).toEqual([]);
});

test("docs/README.md lists every document of docs, and docs/recipes/README.md every recipe", () => {
  for (const folder of ["docs", "docs/recipes"]) {
    const targets = linksOf(join(root, folder, "README.md")).map((link) => link.replace(/#.*/, ""));
    const pages = readdirSync(join(root, folder)).filter(
      (name) => name.endsWith(".md") && name !== "README.md",
    );
    expect(pages.filter((page) => !targets.includes(page))).toEqual([]);
  }
});

test("the README fits two screens", () => {
  expect(readFileSync(join(root, "README.md"), "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(100);
});

/** The targets of the links of a document that lead to files. */
function linksOf(path: string): string[] {
  return [...prose(path).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^(https?|mailto):/.test(target));
}

/** The text of a document without its programs and outputs. */
function prose(path: string): string {
  return readFileSync(path, "utf8").replace(/^```.*?^```$/gms, "");
}

function isDead(from: string, link: string): boolean {
  const [file = "", heading] = link.split("#");
  const path = file === "" ? from : join(dirname(from), file);
  if (relative(root, path).startsWith("docs/api")) return false;
  if (!existsSync(path)) return true;
  if (heading === undefined || statSync(path).isDirectory() || !path.endsWith(".md")) return false;
  return !headingsOf(path).has(heading);
}

/** The headings of a document as GitHub names them in links. */
function headingsOf(path: string): Set<string> {
  const names = [...prose(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  return new Set(names);
}
