/** The files of the live page. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { expect, test } from "vitest";

import { home } from "../../process/programs.js";

const folder = join(home, "dist/watch/web");
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));

test("the page has at most 60 KB after gzip", () => {
  const sizes = files.map((path) => gzipSync(readFileSync(path)).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(total).toBeGreaterThan(20_000);
  expect(total).toBeLessThanOrEqual(60_000);
});

test("the page has the licenses of what is built into it, and no source maps", () => {
  const licenses = readFileSync(join(folder, "licenses.txt"), "utf8");
  expect(licenses).toMatch(/^preact \d[^]*Jason Miller[^]*^uplot \d[^]*Leon Sorokin/m);
  expect(files.filter((path) => path.endsWith(".map"))).toEqual([]);
});

test("the page has no script or style in its markup, as its Content-Security-Policy asks", () => {
  const markup = readFileSync(join(folder, "index.html"), "utf8");
  expect([...markup.matchAll(/<script[^>]*>([^<]*)/g)].map(([, code]) => code)).toEqual([""]);
  expect(markup).not.toMatch(/<style|style=|\son\w+=|https?:/);
});
