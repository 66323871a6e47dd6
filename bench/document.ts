/** Writes the tables into docs/performance.md, between the markers. The text around them stays. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "./programs.js";

const document = join(root, "docs", "performance.md");
const [start, end] = ["<!-- bench:start -->", "<!-- bench:end -->"] as const;

export function writeDocument(tables: string): void {
  const text = readFileSync(document, "utf8");
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${start} before an ${end}`);
  writeFileSync(document, `${text.slice(0, from)}${start}\n\n${tables}\n\n${text.slice(to)}`);
}
