/**
 * Joins the compiled modules of the package, build/src, to a few files in dist: one for each entry of the package, and chunks
 * that the entries share. A program that imports the package reads four files instead of about 100, in less time and memory.
 * The types in dist are those that the compiler wrote, a file for each module.
 *
 * Files that are not changed are not written, so that programs that run from dist at the same time are not disturbed.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const compiled = join(root, "build/src");
const dist = join(root, "dist");
const { dependencies, peerDependencies, exports, bin } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
);

/** The entries by their paths in dist, without the extension. */
const entries = [...Object.values(exports).map((each) => each.default), ...Object.values(bin)]
  .filter((path) => path !== undefined)
  .map((path) => /^\.\/dist\/(.+)\.js$/.exec(path)[1])
  // The thread of `datagram watch --demo`.
  .concat("watch/demo/worker");

const bundle = await rolldown({
  input: Object.fromEntries(entries.map((entry) => [entry, join(compiled, `${entry}.js`)])),
  platform: "node",
  // Where a module begins there is a comment with its path: bench/profile.ts reads them.
  experimental: { attachDebugInfo: "simple" },
  external: [/^node:/, ...Object.keys(dependencies), ...Object.keys(peerDependencies)],
  onLog: (level, { message }) => {
    throw new Error(`${level}: ${message}`);
  },
});
const { output } = await bundle.generate({
  chunkFileNames: "chunks/[name].js",
  keepNames: true,
  codeSplitting: {
    // Each subcommand of the command is a chunk, which is read if it runs. Without these groups there would be a chunk for each
    // set of subcommands that share a module.
    groups: [
      { name: "core", test: /\/build\/src\/core\//, priority: 2 },
      { name: "kernel", test: /\/build\/src\/(kernel\/|index\.js)/, priority: 1 },
      // A group takes with it what its modules import. Without this one, programs with messages would read the commands too.
      { name: "message", test: /\/build\/src\/(message|wire)\//, priority: 1 },
      { name: "cli", test: /\/build\/src\/cli\//, minShareCount: 3 },
    ],
  },
  // The types have the documentation. V8 keeps the text of a module in memory.
  comments: { legal: false, annotation: false, jsdoc: false },
});
await bundle.close();

const files = new Map(output.map(({ fileName, code }) => [fileName, inAscii(code)]));
for (const [name, code] of files) {
  const path = join(dist, name);
  if (existsSync(path) && readFileSync(path, "utf8") === code) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, code, { mode: name === "cli/main.js" ? 0o755 : 0o644 });
  renameSync(`${path}.new`, path);
}
// What an earlier build wrote. scripts/build-page.mjs writes the live page.
for (const name of readdirSync(dist, { recursive: true }))
  if (name.endsWith(".js") && !files.has(name) && !name.startsWith(join("watch", "web", "")))
    rmSync(join(dist, name));

/**
 * Escapes the characters that are not ASCII, which are all in texts. V8 keeps a module with one character beyond Latin-1 as
 * two bytes for each character.
 */
function inAscii(code) {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
