/**
 * Compiles the projects of tsconfig.json, which is `tsc -b`. TypeScript 7 is a native program, and takes a fifth of the CPU time of
 * version 6 (docs/decisions/0046-native-compiler.md). TypeScript 6 compiles if version 7 has no program for this machine: the files
 * are the same. typedoc uses version 6, since version 7 has no API for it.
 *
 * `tsc -b` leaves the files that it made of a source which is gone, and a module or a test that imports one would still work. So
 * they are deleted here.
 *
 *   node scripts/compile.mjs [project…]
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
/** The package of this machine, which npm installs with the package `typescript-7`. */
const own = join(modules, "@typescript", `typescript-${process.platform}-${process.arch}`, "lib");
const native = join(own, process.platform === "win32" ? "tsc.exe" : "tsc");
const command = existsSync(native) ? [native] : [process.execPath, join(modules, "typescript", "bin", "tsc")];

const projects = process.argv.slice(2);
/** The files that the compiler makes, by project: the folder of the sources, that of the files, and how their names end. */
const made = {
  src: [
    ["src", "build/src", /\.js$/],
    ["src", "dist", /\.d\.ts$/],
  ],
  "src/watch/web": [["src/watch/web", "build/watch-web", /\.d\.ts$/]],
  examples: [["examples", "build/examples", /\.(js|js\.map|d\.ts)$/]],
  bench: [["bench", "build/bench", /\.(js|js\.map|d\.ts)$/]],
  // With the files of the project `test/watch/browser`.
  test: [["test", "build/test", /\.(js|js\.map|d\.ts)$/]],
};

const [file, ...before] = command;
const { status, error } = spawnSync(file, [...before, "-b", ...projects], { cwd: root, stdio: "inherit" });
if (error) throw error;
// `null` if a signal ended the compiler.
process.exitCode = status ?? 1;
// Only after a success has the compiler noted that the sources are gone: it compiles them if they come back.
if (status === 0) {
  const compiled = projects.length > 0 ? projects : Object.keys(made);
  for (const each of compiled.flatMap((project) => made[project] ?? [])) removeStale(...each);
}

function removeStale(sources, folder, ending) {
  const from = join(root, sources);
  const to = join(root, folder);
  if (!existsSync(to)) return;
  const present = new Set(readdirSync(from, { recursive: true }));
  for (const name of readdirSync(to, { recursive: true })) {
    const source = name.replace(ending, "");
    if (source === name || present.has(`${source}.ts`) || present.has(`${source}.tsx`)) continue;
    rmSync(join(to, name), { force: true });
  }
}
