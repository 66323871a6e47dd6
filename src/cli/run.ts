/** `datagram run`: runs a program in which `datagram/dgram` replaces `node:dgram`. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { constants as system } from "node:os";
import { isatty } from "node:tty";

import { type Command, Option } from "commander";

import { driverVariable } from "../kernel/choice.js";
import { runtime } from "../kernel/runtime.js";
import { PassThroughCommand } from "./exec-command.js";
import { Failure } from "./exit.js";
import { asSystemFailure } from "./system-errors.js";

/** The exit codes of shells for a program that cannot be started, and the first one for a program that a signal ended. */
const shellCodes = { notExecutable: 126, notFound: 127, signal: 128 } as const;

/** The names of programs that Node runs. */
const scriptName = /\.[cm]?[jt]s$/;

/** The signals that are passed on to the program. */
const forwarded = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** The signals that a terminal sends for Ctrl-C and Ctrl-\, to each process of its foreground group. */
const ofKeys: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT"]);

const help = `
The program uses the sockets of this package in place of node:dgram, without a
change: CommonJS and ESM, its packages and its worker threads. So do the
programs of Node that it starts, because NODE_OPTIONS loads datagram/register in
each of them. A command that is not a program of Node runs as it is.

All that follows the first word is the program's. A word that ends in .js, .mjs,
.cjs, .ts, .mts or .cts is run by Node.

The program has the standard streams and the terminal of this command. SIGINT,
SIGQUIT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are passed on to it.

Exit codes:
  n      the exit code of the program is n
  128+n  a signal with the number n ended the program
  126    the program cannot be executed
  127    there is no such program

Examples:
  datagram run app.js
  datagram run --json app.js 2> counts.json
  datagram run --report node --enable-source-maps app.js --port 5683
  datagram run --driver dgram -- npm start`;

interface RunOptions {
  readonly report?: boolean;
  readonly json?: boolean;
  readonly driver?: string;
}

/** Adds `datagram run`. */
export function addRun(program: Command): void {
  const command = new PassThroughCommand("run").copyInheritedSettings(program);
  program.addCommand(command);
  command
    .summary("run a program of node:dgram over this package")
    .description("Runs a program with node:dgram replaced by this package, without a change of the program.")
    .usage("[options] [--] <command> [args...]")
    .argument("<command...>", "the program and its arguments")
    .option("--report", "write the counts of the datagrams to standard error when the program ends")
    .option("--json", "write these counts as one JSON object instead")
    .addOption(
      new Option("--driver <name>", "use this driver, or fail if it is unavailable").choices([
        "native",
        "dgram",
      ]),
    )
    .addHelpText("after", help)
    .action(run);
}

async function run(words: readonly [string, ...string[]], options: RunOptions): Promise<void> {
  const [file, args] = toExecute(words);
  let child: ChildProcess | undefined;
  const endings = passSignals(() => child);
  try {
    // Some errors are thrown, and others are events.
    child = spawn(file, args, { stdio: "inherit", env: environment(options) });
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    process.exitCode = signal === null ? (code ?? 1) : shellCodes.signal + system.signals[signal];
  } catch (error) {
    throw notStarted(file, error);
  } finally {
    endings();
  }
}

/** The file to execute and its arguments. @throws `Failure` if there is no such script. */
function toExecute([name, ...args]: readonly [string, ...string[]]): [file: string, args: string[]] {
  if (!scriptName.test(name)) return [name, args];
  try {
    accessSync(name, constants.R_OK);
  } catch (error) {
    throw notStarted(`./${name}`, error, name);
  }
  return [runtime.name === "Node.js" ? process.execPath : "node", [name, ...args]];
}

/** The environment of the program. Its `NODE_OPTIONS` are for all programs of Node that it starts, too. */
function environment({ report, json, driver }: RunOptions): NodeJS.ProcessEnv {
  const env = { ...process.env };
  // The URL has no space and no quote, which would need quotes. Earlier options run first: no module may copy node:dgram before.
  const load = `--import=${import.meta.resolve("datagram/register")}`;
  const given = env.NODE_OPTIONS ?? "";
  if (!given.split(" ").includes(load)) env.NODE_OPTIONS = `${load} ${given}`.trimEnd();
  if (json === true) env.DATAGRAM_REPORT = "json";
  else if (report === true) env.DATAGRAM_REPORT = "1";
  if (driver !== undefined) env[driverVariable] = driver;
  return env;
}

/** Passes signals on to the program. @returns a function that ends it. */
function passSignals(child: () => ChildProcess | undefined): () => void {
  const pass = (signal: NodeJS.Signals): void => {
    // The program has this signal of a key already. A second one often means "stop at once".
    if (ofKeys.has(signal) && isForeground()) return;
    child()?.kill(signal);
  };
  for (const signal of forwarded) process.on(signal, pass);
  return () => {
    for (const signal of forwarded) process.off(signal, pass);
  };
}

/** Whether this process and the program are in the foreground of a terminal. */
function isForeground(): boolean {
  try {
    // proc_pid_stat(5): after the name in brackets come the state, the parent, the group, the session, the terminal and the
    // terminal's foreground group.
    const fields = readFileSync("/proc/self/stat", "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[2] === fields[5];
  } catch {
    // Only Linux has this file.
    return isatty(0);
  }
}

/** The error of a program that could not be started. */
function notStarted(file: string, error: unknown, name = file): unknown {
  const what = `run ${JSON.stringify(name)}`;
  const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
  if (isMissing && !file.includes("/"))
    return new Failure(shellCodes.notFound, `cannot ${what}: there is no such program in PATH`);
  if (isMissing && existsSync(file))
    return new Failure(
      shellCodes.notFound,
      `cannot ${what}: there is no such program as its first line names`,
    );
  const failure = asSystemFailure(error, what);
  if (!(failure instanceof Failure)) return failure;
  return new Failure(isMissing ? shellCodes.notFound : shellCodes.notExecutable, failure.message);
}
