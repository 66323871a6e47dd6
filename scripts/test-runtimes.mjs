/**
 * Runs the programs of the page and the commands over the fallback driver under Bun and Deno, and compiles a program against
 * the package's types with TypeScript from 5.0 on. On Linux for x64, with the network: npm installs the pinned versions below
 * in a temporary folder.
 *
 *   npm run test:runtimes                       exits with 0 or 1
 *   npm run test:runtimes -- <options of vitest>
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const runtimes = [
  { name: "Bun", package: "@oven/bun-linux-x64", version: "1.4.5", command: ["bin/bun"] },
  {
    name: "Deno",
    package: "@deno/linux-x64-glibc",
    version: "2.9.6",
    command: ["deno", "run", "--allow-all"],
  },
];
/** Each TypeScript with a `@types/node` that it reads: the newest one needs TypeScript 5.6. */
const compilers = [
  { typescript: "5.0.4", types: "20.19.0" },
  { typescript: "5.6.3", types: "26.6.6" },
  { typescript: "7.0.2", types: "26.6.6" },
];

const folder = mkdtempSync(join(tmpdir(), "datagram-runtimes-"));
try {
  process.exitCode = main();
} finally {
  rmSync(folder, { recursive: true });
}

/** @returns the exit code. */
function main() {
  const wanted = runtimes.map((each) => `${each.package}@${each.version}`);
  for (const { typescript, types } of compilers) {
    wanted.push(
      `typescript-${typescript}@npm:typescript@${typescript}`,
      `types-${types}@npm:@types/node@${types}`,
    );
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }');
  const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
  if (run("npm", [...install, ...new Set(wanted)], folder) !== 0) return 1;
  const found = runtimes.map(({ name, package: from, command: [file, ...args] }) => ({
    name,
    command: [join(folder, "node_modules", from, file), ...args],
  }));
  const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--project=runtimes"];
  return run(process.execPath, [...vitest, ...process.argv.slice(2)], root, {
    DATAGRAM_RUNTIMES: JSON.stringify(found),
    DATAGRAM_COMPILERS: JSON.stringify({ folder, compilers }),
  });
}

function run(command, args, cwd, env = {}) {
  return spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  }).status;
}
