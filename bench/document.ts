/**
 * Writes the tables into docs/performance.md, between two markers. The text around them stays. What `--only` chooses has markers
 * of its own, so that it never replaces the tables of all workloads.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "./programs.js";

const document = join(root, "docs", "performance.md");

/** The tables of one run in the document, and what is around them. */
export interface Block {
  readonly before: string;
  readonly after: string;
}

/**
 * Looks for the place of the tables. It is known before anything is measured.
 *
 * @param only as in the option; `undefined` for all workloads.
 * @throws `Error` if the document has no such place.
 */
export function findBlock(only: string | undefined): Block {
  const name = only === undefined ? "bench" : `bench ${only}`;
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const text = readFileSync(document, "utf8");
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${start} before an ${end}`);
  return { before: text.slice(0, from + start.length), after: text.slice(to) };
}

export function writeBlock({ before, after }: Block, tables: string): void {
  writeFileSync(document, `${before}\n\n${tables}\n\n${after}`);
}
