#!/bin/sh
# Common belief: a compiler that npm carries as WebAssembly finds its own module on Node.js, and its promise tells if it does not.
# What happens: @pybricks/mpy-cross-v6, the compiler of MicroPython, was made with an Emscripten that loads the module with
# fetch() wherever there is one. Node.js has fetch() since version 18, and it takes no path: ERR_INVALID_URL. The promise of
# compile() never settles, and an unhandled rejection ends the program, after all the source of the loader on standard error.
# With the module in a data: URL as its last argument, it compiles, and the file begins with "M" and 6, the version of the
# bytecode (docs.micropython.org, reference/mpyfiles).
# Seen with @pybricks/mpy-cross-v6 2.0.0 (build/mpy-cross-v6.js, instantiateAsync), Node.js 20.20.2. Needs npm and Node.js 18 or later.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @pybricks/mpy-cross-v6@2.0.0
cat >compile.mjs <<'END'
import { readFileSync } from "node:fs";
import { compile } from "@pybricks/mpy-cross-v6";

const wasm = "node_modules/@pybricks/mpy-cross-v6/build/mpy-cross-v6.wasm";
const url = `data:application/wasm;base64,${readFileSync(wasm, "base64")}`;
const settled = (how) => console.log(`the promise ${how}`);
const compiling = compile("a.py", "print(1)\n", undefined, process.argv[2] === "url" ? url : undefined);
const { status, mpy } = await compiling.catch((error) => (settled("rejects"), Promise.reject(error)));
settled("is fulfilled");
console.log(`exit code ${status}, ${mpy.length} bytes of bytecode, version ${mpy[1]}, first character ${String.fromCharCode(mpy[0])}`);
END
code=0
node compile.mjs >by-default 2>errors || code=$?
reason=$(grep -o 'ERR_INVALID_URL' errors | head -n 1)
printf 'by default: exit code %s, %s, lines on standard output: %s\n' "$code" "$reason" "$(wc -l <by-default)"
[ "$code" -ne 0 ] && [ "$reason" = ERR_INVALID_URL ] && [ ! -s by-default ]
printf 'with a data: URL: '
node compile.mjs url | tee with-url | paste -sd ' '
grep -q '^exit code 0, .* version 6, first character M$' with-url
