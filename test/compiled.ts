/**
 * Lets tests import the compiled modules of build/src in place of the sources. Node.js loads them itself: vitest would transform each
 * source for every project, and make each use of an imported name a call of a getter, which takes a third of the CPU time of a
 * simulation (docs/decisions/0047-cpu-time-of-tests.md).
 */

import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = `${root}src/`;
/** The code of the live page, which is bundled and has no compiled modules: vitest transforms it. */
const bundled = `${sources}watch/web/`;
/** What vitest leaves to Node.js. */
export const compiledModules = /\/build\/src\//;

/** The compiled module of a source, which is named by its path in `src` without the extension. */
export function compiled(name: string): string {
  return `${root}build/src/${name}.js`;
}

/** A change of one of these concerns every test: vitest does not see which modules of build/src a test imports. */
export const everySource = `${sources}**`;

/** A plugin of Vite: a relative import of a source is one of its compiled module. */
export const importCompiled = {
  name: "import-compiled",
  enforce: "pre" as const,
  /** @throws in watch mode, which would run the modules that were compiled when it began. */
  configureVitest({ vitest }: { readonly vitest: { readonly config: { readonly watch: boolean } } }): void {
    if (!vitest.config.watch) return;
    throw new Error(
      "the watch mode of vitest does not compile the sources again. In its place: " +
        "node --watch-path=src --watch-path=test node_modules/vitest/vitest.mjs run <file>",
    );
  },
  resolveId(id: string, importer?: string): { id: string; external: true } | undefined {
    if (!id.startsWith(".") || importer === undefined) return undefined;
    const path = resolve(dirname(importer), id);
    if (!path.startsWith(sources) || path.startsWith(bundled) || !path.endsWith(".js")) return undefined;
    return { id: compiled(path.slice(sources.length, -".js".length)), external: true };
  },
};

/**
 * Compiles the sources that have changed, and deletes the modules of those that are gone, so that no test runs with older ones.
 * vitest reads its configuration once for each project; only the first time compiles.
 *
 * @throws if a source has an error, which the compiler has printed.
 */
export function compileSources(): void {
  const done = "DATAGRAM_COMPILED";
  if (process.env[done] === root) return;
  const { status } = spawnSync(process.execPath, [`${root}scripts/compile.mjs`, "src"], { stdio: "inherit" });
  if (status !== 0) throw new Error("the sources do not compile");
  process.env[done] = root;
}
