/** The programs that run peers: their paths and versions, or why one is missing here. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = join(root, "bench", "peers");
/** A package of its own, so that nothing else depends on Bun. */
const bunHome = join(sources, "bun");
const built = join(root, "build", "bench", "peers");

export const programNames = [
  "native",
  "dgram",
  "datagram/dgram",
  "node:dgram",
  "bun",
  "c",
  "python",
] as const;
export type ProgramName = (typeof programNames)[number];

export interface Program {
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** The version that the program prints. */
  readonly version: string;
}

/** A program, or the reason why it is missing. */
export type Found = Program | { readonly missing: string };

/** Looks for the programs, compiles the one in C, and installs Bun if that was not done yet. */
export function findPrograms(
  wanted: ReadonlySet<ProgramName>,
  progress: (text: string) => void,
): Map<ProgramName, Found> {
  const programs = new Map<ProgramName, Found>();
  for (const name of programNames) {
    if (!wanted.has(name)) continue;
    progress(`looking for ${name}`);
    try {
      const command = commands[name]();
      const driver = drivers[name];
      const env = driver === undefined ? process.env : { ...process.env, DATAGRAM_DRIVER: driver };
      programs.set(name, { command, env, version: ask(command, env) });
    } catch (error) {
      programs.set(name, { missing: (error as Error).message });
    }
  }
  return programs;
}

/** The drivers of the contenders that are this package. */
const drivers: Readonly<Partial<Record<ProgramName, string>>> = {
  native: "native",
  dgram: "dgram",
  "datagram/dgram": "native",
};
const ours = (): string[] => [process.execPath, join(built, "datagram.js")];
const commands: Readonly<Record<ProgramName, () => readonly string[]>> = {
  native: ours,
  dgram: ours,
  "datagram/dgram": () => [
    process.execPath,
    "--import",
    import.meta.resolve("datagram/register"),
    join(built, "node-dgram.js"),
  ],
  "node:dgram": () => [process.execPath, join(built, "node-dgram.js")],
  bun: () => [findBun(), join(built, "bun.js")],
  c: () => [compile("peer")],
  python: () => ["python3", join(sources, "peer.py")],
};

/** The version that a peer prints. The answer shows that the peer runs here. */
function ask([file = "", ...rest]: readonly string[], env: NodeJS.ProcessEnv): string {
  const { error, status, stdout, stderr } = spawnSync(file, [...rest, "about"], {
    env,
    encoding: "utf8",
    timeout: 20_000,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(lastLine(stderr) || `${file} ended with ${status ?? "a signal"}`);
  return (JSON.parse(stdout) as { version: string }).version;
}

/** Compiles `bench/peers/<name>.c`, if that was not done yet. Returns the path of the program. @throws `Error` */
export function compile(name: string): string {
  const source = join(sources, `${name}.c`);
  const program = join(built, name);
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  const compilers = process.env.CC ? [process.env.CC] : ["cc", "gcc", "clang"];
  const compiler = compilers.find((name) => spawnSync(name, ["--version"]).status === 0);
  if (!compiler) throw new Error(`no C compiler (looked for ${compilers.join(", ")})`);
  mkdirSync(dirname(program), { recursive: true });
  const { status, stderr } = spawnSync(compiler, ["-O2", "-std=gnu11", "-o", program, source], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${compiler} failed: ${lastLine(stderr)}`);
  return program;
}

/** Bun of `bench/peers/bun/package.json`, installed at its first use: the build for this processor. */
function findBun(): string {
  for (const [name, omitted] of [
    ["bun-linux-x64", ["--omit=dev"]],
    ["bun-linux-x64-baseline", []],
  ] as const) {
    const file = join(bunHome, "node_modules", "@oven", name, "bin", "bun");
    if (!existsSync(file)) install(omitted);
    if (spawnSync(file, ["--version"]).status === 0) return file;
  }
  throw new Error("neither build of Bun runs on this processor");
}

function install(omitted: readonly string[]): void {
  const args = ["ci", ...omitted, "--no-audit", "--no-fund", "--fetch-retries=1"];
  const { error, status, stderr } = spawnSync("npm", args, {
    cwd: bunHome,
    encoding: "utf8",
    timeout: 180_000,
  });
  if (error) throw new Error(`npm ci: ${error.message}`);
  if (status !== 0) throw new Error(`npm ci in bench/peers/bun failed: ${firstError(stderr)}`);
}

/** The message of npm, without the lines about its log. */
function firstError(text: string): string {
  return (
    text
      .split("\n")
      .find((line) => line.startsWith("npm error"))
      ?.slice("npm error ".length) ?? lastLine(text)
  );
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
