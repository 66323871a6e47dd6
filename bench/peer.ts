/** Runs one peer: a process that prints lines of JSON. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { createInterface } from "node:readline";

import type { Program } from "./programs.js";

export type Settings = Readonly<Record<string, string | number>>;
/** A CPU, or both. */
export type Cpu = 0 | 1 | "0,1";
export type Line = Readonly<Record<string, number>> & { readonly ports?: readonly number[] };

/** Whether a process can be kept on one CPU. Otherwise chance decides which CPU wakes which, and changes the figures much. */
export const pins =
  availableParallelism() > 1 && spawnSync("taskset", ["-c", "1", process.execPath, "--version"]).status === 0;
const running = new Set<ChildProcess>();
const limitMs = 60_000;
/** How many characters of standard error are kept. The first ones say the most. */
const maxErrors = 2000;

export function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

export class Peer implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #title: string;
  readonly #closed: Promise<void>;
  #errors = "";
  #failure: string | undefined;

  constructor(program: Program, role: string, settings: Settings, cpu: Cpu, maxMs = limitMs) {
    const pairs = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
    const pinned = pins ? ["taskset", "-c", String(cpu)] : [];
    const [file = "", ...rest] = [...pinned, ...program.command, role, ...pairs];
    this.#title = [...program.command.map((each) => basename(each)), role].join(" ");
    const child = spawn(file, rest, { env: program.env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    running.add(child);
    const limit = setTimeout(() => {
      this.#failure = `did not end within ${maxMs / 1000} s`;
      child.kill("SIGKILL");
    }, maxMs);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(0, maxErrors);
    });
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#closed = new Promise((resolve) => {
      child.on("error", (error) => (this.#failure = error.message));
      child.on("close", (code, signal) => {
        running.delete(child);
        clearTimeout(limit);
        if (code !== 0) this.#failure ??= signal ? `was killed by ${signal}` : `ended with ${code ?? "?"}`;
        resolve();
      });
    });
  }

  /** The ports of its sockets, after they are bound. */
  async ports(): Promise<string> {
    const { ports } = await this.#line();
    if (!ports) throw new Error(`${this.#title} told no ports`);
    return ports.join(",");
  }

  /** Writes a line to the peer, and returns its answer. */
  async ask(line: string): Promise<Line> {
    this.#child.stdin.write(`${line}\n`);
    return await this.#line();
  }

  /** Ends the peer's standard input, which says that nothing more is sent. */
  finish(): void {
    this.#child.stdin.end();
  }

  /** The peer's figures: the last line of a process that ended with exit code 0. */
  async result(): Promise<Line> {
    const line = await this.#line();
    await this.#closed;
    if (this.#failure !== undefined) throw this.#crashed();
    return line;
  }

  /** Rejects when the process ends, for a peer that must not end by itself. */
  async end(): Promise<never> {
    await this.#closed;
    throw this.#crashed();
  }

  /** No peer runs longer than its workload. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  async #line(): Promise<Line> {
    const next = await this.#lines.next();
    if (next.done !== true) return JSON.parse(next.value) as Line;
    return await this.end();
  }

  #crashed(): Error {
    return new Error(`${this.#title} ${this.#failure ?? "ended early"}\n${this.#errors.trimEnd()}`);
  }
}
