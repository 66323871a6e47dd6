/**
 * npm run compat: runs real packages that were written for node:dgram over this package. See --help.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs, promisify } from "node:util";

import { packages } from "./compat/packages.mjs";

const help = `Usage: npm run compat -- [options]

Installs packages of npm with exact versions in a temporary folder, without their install scripts. Each has an exchange of
datagrams, which runs over node:dgram on loopback, over this package on loopback, and on two hosts of a simulated network: without
loss, and three times with 20% loss and one seed, in virtual time. On Linux as root, loopback is a network namespace of its own.

Exit code 1: something differs from node:dgram on loopback, or without loss in the simulated network, or two runs with one seed differ.

  --only <names>   these packages, separated by commas
  --json           the results as JSON
  --write          writes the table of docs/dgram.md
  --list           lists the packages
  --folder <path>  installs there, and uses what is installed there (default: a folder in ${tmpdir()})
  --help           shows this text
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    json: { type: "boolean" },
    write: { type: "boolean" },
    list: { type: "boolean" },
    folder: { type: "string" },
    help: { type: "boolean" },
  },
});

async function main() {
  if (options.help) return void process.stdout.write(help);
  const chosen = choose();
  if (options.list)
    return void process.stdout.write(
      chosen.map(({ name, version, what }) => `${name}@${version}  ${what}\n`).join(""),
    );
  const folder = await install(chosen);
  const results = [];
  for (const each of chosen) {
    const result = await compare(each, folder);
    results.push(result);
    process.stderr.write(
      `${results.length}/${chosen.length} ${each.name}@${each.version}: ${result.problem ?? result.simulated}\n`,
    );
  }
  process.stdout.write(options.json ? `${JSON.stringify(results, undefined, 2)}\n` : table(results));
  if (options.write) writeTable(results);
  const wrong = results.filter(({ problem }) => problem !== undefined);
  for (const { name, problem } of wrong) process.stderr.write(`${name}: ${problem}\n`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

function choose() {
  if (options.only === undefined) return packages;
  if (options.write) throw new Error("--write needs all packages: leave out --only");
  return options.only.split(",").map((name) => {
    const found = packages.find((each) => each.name === name);
    if (!found) throw new Error(`no package ${name} here: npm run compat -- --list`);
    return found;
  });
}

/** Installs the chosen packages, unless an earlier run has installed the same. Returns the folder. */
async function install(chosen) {
  const dependencies = Object.fromEntries(
    chosen.flatMap(({ name, version, also = {} }) => [[name, version], ...Object.entries(also)]),
  );
  const text = JSON.stringify({ private: true, dependencies }, undefined, 2);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const folder = options.folder ?? join(tmpdir(), `datagram-compat-${hash}`);
  const done = join(folder, "node_modules/.package-lock.json");
  const manifest = join(folder, "package.json");
  if (existsSync(done) && readFileSync(manifest, "utf8") === text) return folder;
  process.stderr.write(`installing ${Object.keys(dependencies).length} packages in ${folder}\n`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(manifest, text);
  await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });
  return folder;
}

async function compare({ name, version, what }, folder) {
  const node = await exchange(name, "loopback", folder);
  const ours = await exchange(name, "loopback", folder, [
    "--import",
    pathToFileURL(join(root, "dist/register/index.js")).href,
  ]);
  const { clean, lossy = [], end } = await exchange(name, "simulated", folder);
  const [first] = lossy;
  const result = { name, version, what, simulated: first ? summary(first) : end, node, ours, clean, lossy };
  const differs = [
    node.end !== "ended" && `node:dgram: ${node.end}`,
    !same(node, ours) && `on loopback: ${difference(node, ours)}`,
    !clean && `simulated: ${end}`,
    clean && !same(node, clean) && `simulated without loss: ${difference(node, clean)}`,
    lossy.some(({ trace }) => trace !== first.trace) && "runs with one seed differ",
  ].find((each) => each);
  return { ...result, problem: differs || undefined };
}

function same(one, other) {
  return JSON.stringify([one.lines, one.end]) === JSON.stringify([other.lines, other.end]);
}

function difference(one, other) {
  if (one.end !== other.end) return other.end;
  const at = one.lines.findIndex((line, index) => line !== other.lines[index]);
  return `line ${at + 1} is ${JSON.stringify(other.lines[at])} in place of ${JSON.stringify(one.lines[at])}`;
}

/** What happened at 20% loss, in a few words. */
function summary({ lines, end, ended, packets, lost }) {
  const counts = `${lost} of ${packets} packets lost`;
  if (end === "ended") {
    const said = lines.findLast((line) => line.includes(" of ")) ?? "it worked";
    return `${said}, in ${(ended / 1000).toFixed(1)} s; ${counts}`;
  }
  return `${end}; ${counts}`;
}

async function exchange(name, world, folder, imports = []) {
  const script = fileURLToPath(new URL("compat/exchange.mjs", import.meta.url));
  const command = [process.execPath, "--no-deprecation", ...imports, script, name, world, folder];
  const [file, ...rest] =
    world === "loopback" && isRoot ? ["unshare", "--net", "sh", "-c", namespace, "sh", ...command] : command;
  try {
    const { stdout } = await run(file, rest, { cwd: root, timeout: 120_000 });
    return JSON.parse(stdout.trim().split("\n").at(-1));
  } catch (error) {
    return {
      lines: [],
      end: `the process failed: ${String(error.stderr ?? error)
        .trim()
        .split("\n")
        .at(-1)}`,
    };
  }
}

const isRoot = process.platform === "linux" && process.getuid() === 0;

/** A machine with one network card, which multicast needs. */
const namespace = `
  ip link set lo up
  ip link add eth0 type veth peer name far
  ip link set far up
  ip link set eth0 up
  ip addr add 10.0.0.1/24 dev eth0
  ip route add default dev eth0
  exec "$@"`;

function rows(results) {
  return results.map(({ name, version, what, node, ours, lossy, simulated, problem }) => [
    `${name} ${version}`,
    what,
    same(node, ours) ? "the same" : "**differs**",
    problem?.startsWith("simulated") ? `**${problem}**` : simulated,
    lossy.length === 3 && lossy.every(({ trace }) => trace === lossy[0].trace) ? "yes" : "**no**",
  ]);
}

const head = [
  "package",
  "exchange",
  "loopback, against `node:dgram`",
  "simulated, 20% loss",
  "one seed, three runs: equal",
];

/** The rows in columns. */
function table(results) {
  const all = [head, ...rows(results)].map((row) => row.map((cell) => cell.replaceAll("**", "")));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function writeTable(results) {
  const file = join(root, "docs/dgram.md");
  const text = readFileSync(file, "utf8");
  const lines = [head, head.map(() => "---"), ...rows(results)].map((row) => `| ${row.join(" | ")} |`);
  const made = text.replace(
    /(<!-- npm run compat: begin -->).*(<!-- npm run compat: end -->)/s,
    (_all, begin, end) => `${begin}\n\n${lines.join("\n")}\n\n${end}`,
  );
  if (made === text && !text.includes(lines[2])) throw new Error("docs/dgram.md has no place for the table");
  writeFileSync(file, made);
}

await main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
});
