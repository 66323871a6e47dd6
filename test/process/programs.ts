/** Runs programs as child processes, for facts that only a process can show. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";

import { type TestContext, afterAll, describe } from "vitest";

/** The repository, with a slash at its end. */
export const home: string = fileURLToPath(new URL("../..", import.meta.url));

/** How a program ended, and its output. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: string[];
  readonly stderr: string;
}

/** The end of a program without an error. */
export const cleanEnding = { code: 0, signal: null, stderr: "" } as const;

/** The test after which a program is ended, or another owner with a list of things to end. */
export type Lifetime = Pick<TestContext, "onTestFinished">;

/** The tests of the file or of the `describe` that calls this. What they share is ended after the last one. */
export function sharedLifetime(): Lifetime {
  const endings: (() => unknown)[] = [];
  // The last hook that a suite declares runs first, so the hooks of the tests still find the programs running. The endings run
  // in reverse too, as those of a test do.
  afterAll(async () => {
    for (const end of endings.reverse()) await end();
  });
  return { onTestFinished: (ending) => void endings.push(ending as () => unknown) };
}

/** A running program. It is killed when its test ends. */
export class Program {
  /** Settles after the program has ended and all its output was read. */
  readonly ended: Promise<Ending>;
  /** Sends it a signal. */
  readonly kill: (signal: NodeJS.Signals) => void;
  /** The program's standard input, if it was left open. */
  readonly #input: Writable | null;
  readonly #command: string;
  readonly #printed: string[] = [];
  readonly #news = new EventEmitter();
  #read = 0;
  #ending: Ending | undefined;
  #failure: Error | undefined;

  /** @param input whether the program can read lines from `write`, or has no input. */
  constructor(
    test: Lifetime,
    command: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
    input: "pipe" | "ignore" = "ignore",
  ) {
    this.#command = command.join(" ");
    const [file = "", ...args] = command;
    const child: ChildProcess = spawn(file, args, { env, stdio: [input, "pipe", "pipe"] });
    this.#input = child.stdin;
    // If a program ends without reading its input, the code that waits for its lines reports that.
    this.#input?.on("error", () => undefined);
    this.kill = (signal) => void child.kill(signal);
    test.onTestFinished(async () => {
      child.kill("SIGKILL");
      await this.ended.catch(() => undefined);
    });
    let stderr = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    createInterface({ input: child.stdout! }).on("line", (line) => {
      this.#printed.push(line);
      this.#news.emit("news");
    });
    this.ended = once(child, "close").then(([code, signal]) => {
      this.#ending = {
        code: code as number | null,
        signal: signal as NodeJS.Signals | null,
        lines: this.#printed,
        stderr,
      };
      this.#news.emit("news");
      return this.#ending;
    });
    // For example, the command does not exist.
    this.ended.catch((error: unknown) => {
      this.#failure = error as Error;
      this.#news.emit("news");
    });
  }

  /** Writes a line to the program's standard input. */
  write(line: string): void {
    this.#input!.write(`${line}\n`);
  }

  /** Ends the program's standard input. */
  endInput(): void {
    this.#input!.end();
  }

  /** The next line that the program prints. @throws if it ends without one. */
  async line(): Promise<string> {
    while (this.#read === this.#printed.length) {
      this.assertRunning("without another line");
      await once(this.#news, "news");
    }
    return this.#printed[this.#read++]!;
  }

  /** @throws if the program has ended. The error has its output. */
  assertRunning(what: string): void {
    if (this.#failure) throw this.#failure;
    if (!this.#ending) return;
    const { code, signal, stderr } = this.#ending;
    throw new Error(`${this.#command}\nended (${signal ?? String(code)}) ${what}\n${stderr}`);
  }
}

/** Starts a fixture over a driver, or without `DATAGRAM_DRIVER`. */
export function start(
  test: Lifetime,
  driver: string | undefined,
  fixture: string,
  args: readonly string[] = [],
  how: { node?: readonly string[]; within?: readonly string[]; input?: "pipe" | "ignore" } = {},
): Program {
  const { node = [], within = [], input } = how;
  const path = `${home}build/test/process/fixtures/${fixture}.js`;
  return new Program(test, [...within, process.execPath, ...node, path, ...args], withDriver(driver), input);
}

/** The start of a command that runs a preparation in a shell, and then becomes the command. */
export function prepared(preparation: string): readonly string[] {
  return ["sh", "-c", `${preparation} && exec "$@"`, "sh"];
}

/** The start of a command that runs in a network whose one neighbour, 10.77.0.2, never answers. */
export const inEmptyNetwork: readonly string[] = [
  "unshare",
  "-rn",
  ...prepared(
    [
      "ip link set lo up",
      "ip link add v0 type veth peer name v1",
      "ip addr add 10.77.0.1/24 dev v0",
      "ip link set v0 up",
      "ip link set v1 up",
    ].join(" && "),
  ),
];

/** The start of a command that runs in a network of its own, with loopback only, where hosts send every ICMP error. */
export const inOpenNetwork: readonly string[] = [
  "unshare",
  "-rn",
  ...prepared(
    [
      "ip link set lo up",
      "cd /proc/sys/net",
      "echo 0 > ipv4/icmp_ratelimit",
      "echo 0 > ipv6/icmp/ratelimit",
      // Older kernels have these settings only for the whole machine.
      "for each in ipv4/icmp_msgs_per_sec ipv4/icmp_msgs_burst; do [ ! -e $each ] || echo 1000000 > $each; done",
      "cd /",
    ].join(" && "),
  ),
];

/** Skips a test on older kernels, which limit ICMP errors for the whole machine. If every test is required, it fails instead. */
export function needStorms(test: TestContext): void {
  needNamespaces(test);
  const [command, ...args] = [...inOpenNetwork, "test", "-e", "/proc/sys/net/ipv4/icmp_msgs_per_sec"];
  if (!requireAll && spawnSync(command, args, { stdio: "ignore" }).status !== 0) {
    test.skip("skipped: this kernel limits ICMP errors for the whole machine");
  }
}

/** Skips a test if no network can be made, unless every test is required. */
export function needNamespaces(test: TestContext): void {
  const [command, ...args] = [...inEmptyNetwork, "true"];
  if (!requireAll && spawnSync(command, args, { stdio: "ignore" }).status !== 0) {
    test.skip("skipped: no network namespace can be made here (unshare -rn, ip)");
  }
}

/** The environment with `DATAGRAM_DRIVER` set to `driver`, or not set. */
export function withDriver(driver: string | undefined): NodeJS.ProcessEnv {
  const { DATAGRAM_DRIVER: _outer, ...rest } = process.env;
  return driver === undefined ? rest : { ...rest, DATAGRAM_DRIVER: driver };
}

export type DriverName = "native" | "dgram";

/** The path of the addon for this platform in a package. */
export const addonPath = `prebuilds/${process.platform}-${process.arch}/datagram.node`;

/** Whether this clone has the addon. */
export const addonBuilt: boolean = existsSync(home + addonPath);

/** Whether a test that cannot run here must fail rather than be skipped. */
export const requireAll: boolean = process.env.DATAGRAM_REQUIRE_ALL === "1";

/** Why the tests over a driver are skipped. Never a reason if every test is required. */
export function whySkipped(driver: DriverName): string | undefined {
  if (driver === "dgram" || requireAll || addonBuilt) return undefined;
  return "skipped: the addon is not there, npm run build:addon makes it";
}

/** Declares the same tests for each driver. */
export function overDrivers(declare: (driver: DriverName) => void): void {
  for (const driver of ["native", "dgram"] as const) {
    const why = whySkipped(driver);
    describe.skipIf(why !== undefined)(`over ${driver}${why === undefined ? "" : ` (${why})`}`, () =>
      declare(driver),
    );
  }
}
