/**
 * Compiles the projects of tsconfig.json, which is `tsc -b`. TypeScript 7 is a native program, and takes a fifth of the CPU time of
 * version 6 (docs/decisions/0046-native-compiler.md). TypeScript 6 compiles if version 7 has no program for this machine: the files
 * are the same. typedoc uses version 6, since version 7 has no API for it.
 *
 *   node scripts/compile.mjs <options of tsc -b>
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
/** The package of this machine, which npm installs with the package `typescript-7`. */
const own = join(modules, "@typescript", `typescript-${process.platform}-${process.arch}`, "lib");
const native = join(own, process.platform === "win32" ? "tsc.exe" : "tsc");
const command = existsSync(native) ? [native] : [process.execPath, join(modules, "typescript", "bin", "tsc")];

const [file, ...before] = command;
const { status, error } = spawnSync(file, [...before, "-b", ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
if (error) throw error;
// `null` if a signal ended the compiler.
process.exitCode = status ?? 1;
