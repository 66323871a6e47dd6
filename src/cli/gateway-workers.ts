/** `datagram gateway --workers`: several processes that share the ports with `SO_REUSEPORT`, and one account. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";

import { lossTexts } from "../core/ledger/report-texts.js";
import type { GatewayStats } from "../gateway/index.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes } from "./exit.js";
import { warnOfForeign } from "./foreign-datagrams.js";
import {
  CountsLines,
  checkStored,
  foreignWarning,
  noticeSummary,
  statusText,
  sumStats,
} from "./gateway-counts.js";
import type { ParentMessage, WorkerMessage } from "./gateway-worker.js";
import { StatusLine } from "./status-line.js";
import { cleanUpIfKilled, notice, noticeObject, wasStopped } from "./terminal.js";

/** Milliseconds between two versions of the counts. */
const intervalMs = 1000;
/** Milliseconds before a worker that has died is started again. They double each time. */
const restartMs = { min: 250, max: 30_000 } as const;
/** Milliseconds after which the next death of a worker is as the first one. */
const stableMs = 60_000;
/** Milliseconds that a worker has to end, beside its drain time. */
const endMs = 5000;

/** What all workers have in common. */
export interface WorkerPlan {
  readonly workers: number;
  /** The arguments of a worker. @param ports those that the first worker got; empty for the first worker. */
  readonly argsFor: (ports: readonly number[]) => readonly string[];
  readonly options: object;
  readonly json: boolean;
  /** Whether the counts of the kernel are exact: `--exact`. */
  readonly isExact: boolean;
  readonly drainMs: number;
}

/** Runs the workers, and reports their counts. */
export class GatewayWorkers {
  readonly #plan: WorkerPlan;
  readonly #workers: Worker[] = [];
  /** Aborts when the command ends. */
  readonly #stop: AbortSignal;
  #ports: readonly number[] = [];
  #toldDropped = 0;
  readonly #lines = new CountsLines();

  constructor(plan: WorkerPlan, stop: AbortSignal) {
    this.#plan = plan;
    this.#stop = stop;
  }

  /** Starts the workers, the first one alone: it chooses ports and creates the stream. @returns the ports. */
  async start(): Promise<readonly number[]> {
    const first = this.#add();
    this.#ports = await first.start();
    const others = Array.from({ length: this.#plan.workers - 1 }, () => this.#add());
    await Promise.all(others.map((worker) => worker.start()));
    for (const worker of this.#workers) void this.#keep(worker);
    return this.#ports;
  }

  /** Reports until the command ends. */
  async run(): Promise<void> {
    const line = this.#plan.json
      ? undefined
      : new StatusLine((columns) => statusText(this.#counts(), columns), intervalMs);
    const endWarning = warnOfForeign(() => foreignWarning(this.#counts()));
    try {
      for (;;) {
        await setTimeout(intervalMs, undefined, { signal: this.#stop });
        this.#tellDropped();
        await this.#tellObject(this.#stop);
      }
    } catch (error) {
      if (!wasStopped(error)) throw error;
    } finally {
      endWarning();
      line?.end();
    }
  }

  /** Ends the workers, and waits until their datagrams are settled. */
  async close(): Promise<void> {
    const undo = cleanUpIfKilled(() => noticeSummary(this.#counts()));
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    undo();
  }

  /** Prints the summary, after `close`. @throws `Failure` if datagrams are not stored. */
  async end(): Promise<void> {
    this.#tellDropped();
    await this.#tellObject();
    const counts = this.#counts();
    noticeSummary(counts);
    const { droppedKernel } = counts;
    const least = droppedKernel === 0 || this.#plan.isExact ? "" : " at least";
    notice(
      `  dropped by the kernel: ${droppedKernel === undefined ? "unknown" : `${droppedKernel}${least}`}`,
    );
    if (this.#deaths > 0) {
      notice(`  workers that died: ${this.#deaths}`);
      notice("    what they received since their last report is in no count");
      throw new Failure(exitCodes.error, "a worker died: datagrams may be lost");
    }
    checkStored(counts);
  }

  #add(): Worker {
    const worker = new Worker(this.#workers.length + 1, this.#plan, () => this.#ports);
    this.#workers.push(worker);
    return worker;
  }

  /** Starts a worker again whenever it dies. */
  async #keep(worker: Worker): Promise<void> {
    let delayMs: number = restartMs.min;
    let startedMs = performance.now();
    let how = await worker.ended;
    while (!this.#stop.aborted) {
      if (performance.now() - startedMs > stableMs) delayMs = restartMs.min;
      notice(`worker ${worker.number} ${how}: it starts again in ${delayMs / 1000} s`);
      startedMs = performance.now();
      try {
        await setTimeout(delayMs, undefined, { signal: this.#stop });
        await worker.start();
        notice(`worker ${worker.number} runs again`);
        how = await worker.ended;
      } catch (error) {
        if (wasStopped(error)) return;
        if (!(error instanceof Failure)) throw error;
        how = `could not start: ${error.message}`;
      }
      delayMs = Math.min(delayMs * 2, restartMs.max);
    }
  }

  #counts(): GatewayStats {
    return sumStats(this.#workers.map((worker) => worker.counts));
  }

  get #deaths(): number {
    return this.#workers.reduce((sum, { deaths }) => sum + deaths, 0);
  }

  #tellDropped(): void {
    const dropped = this.#counts().droppedKernel ?? this.#toldDropped;
    const datagrams = dropped - this.#toldDropped;
    if (datagrams <= 0) return;
    this.#toldDropped = dropped;
    const cause = "receiveBuffer";
    const atLeast = !this.#plan.isExact;
    if (this.#plan.json)
      noticeObject({ time: new Date().toISOString(), event: "dropped", cause, datagrams, atLeast });
    else notice(`lost ${count(datagrams, "datagram")}${atLeast ? " at least" : ""}: ${lossTexts[cause]}`);
  }

  async #tellObject(signal?: AbortSignal): Promise<void> {
    if (!this.#plan.json) return;
    const running = this.#workers.filter((worker) => worker.isRunning).length;
    await this.#lines.print({ ...this.#counts(), workers: { running, died: this.#deaths } }, signal);
  }
}

/** One worker, in one process after the other. */
class Worker {
  /** 1 or more. */
  readonly number: number;
  /** How its process has ended. */
  ended!: Promise<string>;
  isRunning = false;
  /** Whether its last process has stored datagrams. */
  wasReady = false;
  /** Processes that were ready, and did not end by themselves with 0. Also at the end of the command. */
  deaths = 0;
  readonly #plan: WorkerPlan;
  readonly #ports: () => readonly number[];
  #child: ChildProcess | undefined;
  #counts: GatewayStats = sumStats([]);
  /** The counts of its processes that have died. */
  #before: GatewayStats = sumStats([]);

  constructor(number: number, plan: WorkerPlan, ports: () => readonly number[]) {
    this.number = number;
    this.#plan = plan;
    this.#ports = ports;
  }

  get counts(): GatewayStats {
    return sumStats([this.#before, this.#counts]);
  }

  /** Starts a process. @returns its ports. @throws `Failure` if it ends before it is ready. */
  async start(): Promise<readonly number[]> {
    const [script = ""] = process.argv.slice(1);
    const child = fork(script, [...this.#plan.argsFor(this.#ports())], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child = child;
    this.wasReady = false;
    let lastLine = "";
    const lines = createInterface({ input: child.stderr as Readable }).on("line", (text) => {
      lastLine = text;
      if (!this.wasReady) return;
      if (this.#plan.json && text.startsWith("{")) process.stderr.write(`${text}\n`);
      else notice(`worker ${this.number}: ${text}`);
    });
    const exited = new Promise<string>((resolve) => {
      child.once("error", ({ message }) => resolve(`cannot start: ${message}`));
      // Its last counts may arrive after its end.
      void Promise.all([once(child, "close"), once(child, "disconnect")]).then(
        () => resolve(howEnded(child)),
        () => undefined,
      );
    });
    this.ended = exited.then((how) => {
      lines.close();
      this.isRunning = false;
      if (this.wasReady && child.exitCode !== 0) this.deaths++;
      // Nobody knows what became of its datagrams and answers in flight.
      this.#before = withoutMemory(this.counts);
      this.#counts = sumStats([]);
      return how;
    });
    const message: ParentMessage = { type: "options", options: this.#plan.options };
    child.send(message, () => undefined);
    const ready = new Promise<readonly number[]>((resolve) => {
      child.on("message", (told: WorkerMessage) => {
        if (told.type === "counts") this.#counts = sumStats([told.counts]);
        else resolve(told.ports);
      });
    });
    const ports = await Promise.race([ready, this.ended]);
    if (typeof ports === "string") {
      const text = lastLine.replace(/^datagram gateway: /, "");
      throw new Failure(child.exitCode ?? exitCodes.error, text === "" ? `a worker ${ports}` : text);
    }
    this.wasReady = this.isRunning = true;
    return ports;
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const message: ParentMessage = { type: "stop" };
    child.send(message, () => undefined);
    const patience = new AbortController();
    const { signal } = patience;
    const late = setTimeout(this.#plan.drainMs + endMs, undefined, { signal, ref: false });
    late.then(
      () => {
        notice(`worker ${this.number} does not end, and is killed`);
        child.kill("SIGKILL");
      },
      () => undefined,
    );
    await this.ended;
    patience.abort();
  }
}

function howEnded({ exitCode, signalCode }: ChildProcess): string {
  return signalCode === null ? `ended with ${exitCode}` : `was ended by ${signalCode}`;
}

/** The counts of a process that has ended, whose memory is gone. */
function withoutMemory(counts: GatewayStats): GatewayStats {
  const { answers } = counts;
  return {
    ...counts,
    answers: answers && { ...answers, unknown: answers.unknown + answers.pending, pending: 0, peers: 0 },
  };
}
