/**
 * Builds the native addon for this machine into prebuilds/<platform>-<arch>/, by one call of the C++ compiler.
 *
 *   node scripts/build-addon.mjs             fails when it cannot be built
 *   node scripts/build-addon.mjs --optional  says in one line why it was not built, and goes on
 *   node scripts/build-addon.mjs --faults    also builds build/faults/datagram.node, with planned errors for tests
 *   node scripts/build-addon.mjs --sanitize  with AddressSanitizer, for `npm run test:asan`
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: wanted } = parseArgs({
  options: {
    optional: { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
    sanitize: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const target = `${process.platform}-${process.arch}`;
const shipped = join(root, "prebuilds", target, "datagram.node");
const withFaults = join(root, "build", "faults", "datagram.node");

const started = performance.now();
const failure = await build();
if (!failure) {
  console.log(
    `datagram: built the native addon for ${target} in ${Math.round(performance.now() - started)} ms`,
  );
} else {
  console.log(`datagram: no native addon, sockets use node:dgram: ${failure}`);
  if (!wanted.optional) process.exitCode = 1;
}

/** Builds the addon. Returns the reason if that fails. */
async function build() {
  if (process.platform !== "linux") return `it is for Linux, and this is ${process.platform}`;
  const headers = findHeaders();
  if (!headers)
    return "Node's headers (node_api.h, uv.h) were not found: set npm_config_nodedir to their prefix";
  const compilers = process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
  const compiler = compilers.find((name) => spawnSync(name, ["--version"]).status === 0);
  if (!compiler) return `there is no C++ compiler (looked for ${compilers.join(", ")})`;
  const outputs = [compile(compiler, headers, shipped, [])];
  if (wanted.faults) outputs.push(compile(compiler, headers, withFaults, ["-DDATAGRAM_FAULTS"]));
  const failures = await Promise.all(outputs);
  return failures.find((failure) => failure !== undefined);
}

/** Compiles all sources into `output`. Returns the reason if that fails. */
async function compile(compiler, headers, output, defines) {
  const sources = readdirSync(join(root, "native")).filter((name) => name.endsWith(".cc"));
  const checked = wanted.sanitize
    ? [
        "-O1",
        "-g",
        "-fsanitize=address,undefined",
        // UndefinedBehaviorSanitizer's own library would write to standard error; AddressSanitizer logs the trap.
        "-fsanitize-undefined-trap-on-error",
        "-fno-omit-frame-pointer",
        // A worker that ends unloads the addon, and its leaks would have no function names.
        "-Wl,-z,nodelete",
      ]
    : ["-O2", "-D_FORTIFY_SOURCE=2", "-static-libstdc++", "-static-libgcc", "-s"];
  mkdirSync(dirname(output), { recursive: true });
  const unfinished = `${output}.${process.pid}`;
  const child = spawn(
    compiler,
    [
      ...[
        "-std=c++17",
        "-fPIC",
        "-shared",
        "-fvisibility=hidden",
        "-fno-exceptions",
        "-fno-rtti",
        "-Wall",
        "-Wextra",
      ],
      ...["-DNAPI_VERSION=8", `-I${headers}`, ...defines, ...checked],
      ...sources.map((name) => join(root, "native", name)),
      ...["-o", unfinished],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const [status] = await once(child, "close");
  if (status === 0) {
    // Renamed, so that a process which has the old one open keeps it.
    renameSync(unfinished, output);
    return undefined;
  }
  rmSync(unfinished, { force: true });
  const [line = "no message"] = stderr.split("\n").filter((text) => text.includes("error"));
  return `${compiler} failed: ${line}`;
}

/** The folder that has the headers of this Node: beside its binary, where npm is told, or where node-gyp keeps them. */
function findHeaders() {
  const prefixes = [
    process.env.npm_config_nodedir,
    dirname(dirname(process.execPath)),
    join(homedir(), ".cache", "node-gyp", process.versions.node),
    "/usr",
    "/usr/local",
  ];
  return prefixes
    .filter((prefix) => prefix !== undefined && prefix !== "")
    .map((prefix) => join(prefix, "include", "node"))
    .find((folder) => existsSync(join(folder, "node_api.h")) && existsSync(join(folder, "uv.h")));
}
