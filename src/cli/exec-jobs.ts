/** Runs a program for each request, with the request as its standard input: no shell, and bounded in number, time and output. */

import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";

import { formatDuration } from "../sim/link/unit-texts.js";
import { Failure } from "./exit.js";

import { asSystemFailure } from "./system-errors.js";

/** Milliseconds between SIGTERM and SIGKILL. */
const killAfterMs = 1000;
/** Bytes of standard error that are kept of a process. */
const maxErrorBytes = 4096;
/** Whether a process can lead a group, which is then killed with all its processes. */
const hasGroups = process.platform !== "win32";

/** What runs, and its limits. */
export interface JobOptions {
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** Processes that run at the same time. */
  readonly maxJobs: number;
  /** Milliseconds after which a process is killed. */
  readonly timeoutMs: number;
  /** Bytes of standard output. */
  readonly maxOutputBytes: number;
}

/** The output of a process that ended well. */
export interface JobOutput {
  readonly stdout: Buffer;
  /** At most 4096 bytes. */
  readonly stderr: string;
}

/** A process that failed. */
export class JobFailure extends Error {
  readonly stderr: string;

  constructor(why: string, stderr = "") {
    super(why);
    this.stderr = stderr;
  }
}

/** Runs processes, and kills those that run when it is closed. */
export class ExecJobs {
  readonly #options: JobOptions;
  readonly #running = new Set<Job>();
  readonly #waiting: (() => void)[] = [];
  #free: number;
  #closed = false;

  constructor(options: JobOptions) {
    this.#options = options;
    this.#free = options.maxJobs;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Waits until a process may run, and returns its output. @throws `JobFailure`. */
  async run(input: Buffer, env: NodeJS.ProcessEnv): Promise<JobOutput> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free--;
    try {
      if (this.#closed) throw new JobFailure("the command has ended");
      const job = new Job(this.#options, input, env);
      this.#running.add(job);
      try {
        return await job.ended;
      } finally {
        this.#running.delete(job);
      }
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }

  /** Kills the processes that run, and waits for their ends. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const next of this.#waiting.splice(0)) next();
    const jobs = [...this.#running];
    for (const job of jobs) job.stop("the command has ended");
    await Promise.allSettled(jobs.map(({ ended }) => ended));
  }
}

/** One process. */
class Job {
  readonly ended: Promise<JobOutput>;
  readonly #options: JobOptions;
  readonly #child: ChildProcess;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #stdoutBytes = 0;
  #stderrBytes = 0;
  /** Why it is killed. */
  #reason: string | undefined;

  constructor(options: JobOptions, input: Buffer, env: NodeJS.ProcessEnv) {
    const [file, ...args] = options.command;
    this.#options = options;
    this.#child = spawn(file, args, {
      env: { ...process.env, ...env },
      detached: hasGroups,
      windowsHide: true,
    });
    this.ended = this.#end();
    this.#child.stdout?.on("data", (bytes: Buffer) => this.#output(bytes));
    this.#child.stderr?.on("data", (bytes: Buffer) => this.#errorOutput(bytes));
    // A program that does not read its input is no failure.
    this.#child.stdin?.on("error", () => undefined);
    this.#child.stdin?.end(input);
    const { timeoutMs } = options;
    this.#timers.push(
      setTimeout(() => this.stop(`it took longer than ${formatDuration(timeoutMs)}`), timeoutMs),
    );
  }

  /** Ends the process and those that it started: SIGTERM, and after a second SIGKILL. */
  stop(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#kill("SIGTERM");
    this.#timers.push(setTimeout(() => this.#kill("SIGKILL"), killAfterMs));
  }

  #end(): Promise<JobOutput> {
    return new Promise((resolve, reject) => {
      this.#child.once("error", (error) => {
        this.#clear();
        const failure = asSystemFailure(error, `run ${JSON.stringify(this.#options.command[0])}`);
        reject(new JobFailure(failure instanceof Failure ? failure.message : error.message));
      });
      // Processes that it left behind could hold its output open.
      this.#child.once("exit", () => this.#kill("SIGKILL"));
      this.#child.once("close", (code, signal) => {
        this.#clear();
        const stderr = Buffer.concat(this.#stderr).toString();
        const why =
          this.#reason ??
          (signal === null
            ? code === 0
              ? undefined
              : `its exit code is ${code}`
            : `it was ended by ${signal}`);
        if (why === undefined) resolve({ stdout: Buffer.concat(this.#stdout), stderr });
        else reject(new JobFailure(why, stderr));
      });
    });
  }

  #output(bytes: Buffer): void {
    const { maxOutputBytes } = this.#options;
    this.#stdoutBytes += bytes.length;
    if (this.#stdoutBytes <= maxOutputBytes) this.#stdout.push(bytes);
    else this.stop(`its output is longer than ${maxOutputBytes} bytes`);
  }

  #errorOutput(bytes: Buffer): void {
    const kept = bytes.subarray(0, maxErrorBytes - this.#stderrBytes);
    this.#stderrBytes += kept.length;
    if (kept.length > 0) this.#stderr.push(kept);
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      if (hasGroups) process.kill(-pid, signal);
      else this.#child.kill(signal);
    } catch (error) {
      // The whole group has ended.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  #clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
