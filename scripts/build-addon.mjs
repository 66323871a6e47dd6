/**
 * Builds the native addon into prebuilds/<platform>-<arch>/, by one call of the C++ compiler for each binary. A binary needs
 * no C++ runtime and asks only for old functions of the C library, so it runs with glibc and with musl
 * (docs/decisions/0027-one-binary-per-cpu.md).
 *
 *   node scripts/build-addon.mjs             for this machine; fails if it cannot be built
 *   node scripts/build-addon.mjs --optional  says in one line why it was not built, and exits with 0
 *   node scripts/build-addon.mjs --all       for every CPU that the package has an addon for, with Debian's cross compilers
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

/** For each CPU the name that Debian's compilers start with, the package, and flags of its own. */
const targets = {
  x64: { compiler: "x86_64-linux-gnu-g++", debian: "g++-x86-64-linux-gnu", flags: [] },
  arm64: {
    compiler: "aarch64-linux-gnu-g++",
    debian: "g++-aarch64-linux-gnu",
    flags: ["-mno-outline-atomics"],
  },
  arm: {
    compiler: "arm-linux-gnueabihf-g++",
    debian: "g++-arm-linux-gnueabihf",
    // Newer compilers have 64-bit times here, and with them other functions of the C library.
    flags: ["-march=armv7-a+fp", "-mfloat-abi=hard", "-U_TIME_BITS", "-U_FILE_OFFSET_BITS"],
  },
};

const releaseFlags = [
  ...["-O2", "-s"],
  // Checks of glibc and of the stack call functions that musl does not have.
  ...["-U_FORTIFY_SOURCE", "-fno-stack-protector"],
  // The compiler's driver names the C++ runtime, and no symbol of it is used.
  ...["-static-libgcc", "-Wl,--as-needed"],
];
const sanitizeFlags = [
  ...["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"],
  // UndefinedBehaviorSanitizer's own library would write to standard error; AddressSanitizer logs the trap.
  "-fsanitize-undefined-trap-on-error",
  // A worker that ends unloads the addon, and its leaks would have no function names.
  "-Wl,-z,nodelete",
];

const { values: wanted } = parseArgs({
  options: {
    all: { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
    optional: { type: "boolean", default: false },
    sanitize: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
/** Tests load it in place of the addon of the package. */
const withFaults = { file: join(root, "build", "faults", "datagram.node"), flags: ["-DDATAGRAM_FAULTS"] };

const started = performance.now();
const failures = (await Promise.all(wanted.all ? Object.keys(targets).map(buildFor) : [build()])).filter(
  (failure) => failure !== undefined,
);
for (const failure of failures) console.log(`datagram: ${failure}`);
if (failures.length > 0 && !wanted.optional) process.exitCode = 1;

/** Builds the addon for this machine. Returns the reason if that fails. */
async function build() {
  const target = `${process.platform}-${process.arch}`;
  const outputs = [shipped(target), ...(wanted.faults ? [withFaults] : [])];
  const reason = await buildAll(target, process.platform, ownCompilers(), [], outputs);
  return reason && `no native addon, sockets use node:dgram: ${reason}`;
}

/** Builds the addon for a CPU. Returns the reason if that fails, with the command that helps. */
async function buildFor(arch) {
  const { compiler, debian, flags } = targets[arch];
  const target = `linux-${arch}`;
  const compilers = arch === process.arch ? [compiler, ...ownCompilers()] : [compiler];
  const reason = await buildAll(target, "linux", compilers, flags, [shipped(target)]);
  return reason && `no addon for ${target}: ${reason}; on Debian, apt-get install ${debian}`;
}

function shipped(target) {
  return { file: join(root, "prebuilds", target, "datagram.node"), flags: [] };
}

function ownCompilers() {
  return process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
}

/** Builds the outputs with the first compiler that this machine has. Returns the reason if that fails. */
async function buildAll(target, platform, compilers, flags, outputs) {
  if (platform !== "linux") return `it is for Linux, and this is ${platform}`;
  const headers = findHeaders();
  if (!headers)
    return "Node's headers (node_api.h, uv.h) were not found: set npm_config_nodedir to their prefix";
  const compiler = compilers.find((name) => spawnSync(name, ["--version"]).status === 0);
  if (!compiler) return `there is no C++ compiler (looked for ${compilers.join(", ")})`;
  const reasons = await Promise.all(
    outputs.map((output) => compile(compiler, headers, output.file, [...flags, ...output.flags])),
  );
  const reason = reasons.find((each) => each !== undefined);
  if (reason === undefined) {
    const took = Math.round(performance.now() - started);
    console.log(`datagram: built the native addon for ${target} in ${took} ms`);
  }
  return reason;
}

/** Compiles all sources into `file`. Returns the reason if that fails. */
async function compile(compiler, headers, file, flags) {
  const sources = readdirSync(join(root, "native")).filter((name) => name.endsWith(".cc"));
  mkdirSync(dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  const child = spawn(
    compiler,
    [
      ...["-std=c++17", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"],
      ...["-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-DNAPI_VERSION=8", `-I${headers}`],
      ...[...flags, ...(wanted.sanitize ? sanitizeFlags : releaseFlags)],
      ...[...sources.map((name) => join(root, "native", name)), "-o", unfinished],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const [status] = await once(child, "close");
  if (status === 0) {
    // Renamed, so that a process which has the old file open keeps it.
    renameSync(unfinished, file);
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
