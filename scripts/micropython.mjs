/**
 * Compiles micropython/datagram.py to bytecode, which a board imports with less memory than the source.
 *
 *   npm run micropython                        writes micropython/datagram.mpy
 *   node scripts/micropython.mjs other.mpy     writes another file
 *
 * The bytecode is of version 6 (MicroPython 1.19 and later): https://docs.micropython.org/en/latest/reference/mpyfiles.html
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { compile } from "@pybricks/mpy-cross-v6";

const source = readFileSync(new URL("../micropython/datagram.py", import.meta.url), "utf8");
const target = process.argv[2] ?? fileURLToPath(new URL("../micropython/datagram.mpy", import.meta.url));
// The compiler loads its module with `fetch`, which takes no path on Node.
const compiler = createRequire(import.meta.url).resolve("@pybricks/mpy-cross-v6/build/mpy-cross-v6.wasm");
const url = `data:application/wasm;base64,${readFileSync(compiler, "base64")}`;

const { status, mpy, err } = await compile("datagram.py", source, undefined, url);
if (status !== 0 || mpy === undefined) {
  process.stderr.write(`${err.join("\n")}\n`);
  process.exitCode = 1;
} else {
  writeFileSync(target, mpy);
}
