/**
 * Finds how many datagrams a second are stored without loss: by the gateway, with and without bundles and into a folder, by a plain
 * program and by rsyslogd. Each searches its own rate: the rate is doubled or halved until one holds and one does not, and then the
 * space between is divided. The trials of all run in turn.
 */
import { loadavg } from "node:os";

import { Peer } from "../peer.js";
import { type Program, findPrograms } from "../programs.js";
import { Server, cpuUsOf } from "./server.js";
import {
  type Storer,
  startBundles,
  startFolder,
  startGateway,
  startPlain,
  startReceiver,
  startRsyslog,
} from "./storers.js";

const payloadBytes = 200;
/** A message of syslog, so that rsyslogd has nothing to escape and nothing to add. */
const fill = `<13>Oct 11 22:14:15 host bench: ${"x".repeat(payloadBytes - 32)}`;
const burstUs = 1000;
const firstRate = 20_000;
/** Above this rate the sender itself is the limit. */
const maxRate = 640_000;
const warmUpRate = 8000;
const maxTrials = 10;
/** The search ends when a rate holds and one that is larger by this factor does not. */
const closeEnough = 1.15;
/** A rate holds if at most this share of its datagrams is not stored. */
const maxLossRatio = 0.001;
const pollMs = 10;
/** When nothing more was stored for so long, nothing more will be. */
const quietMs = 1500;
const maxWaitMs = 30_000;

interface Trial {
  readonly holds: boolean;
  /** Datagrams a second, from the first send until the last was stored. */
  readonly rate: number;
  readonly lossRatio: number;
  /** Microseconds of CPU time for each stored datagram. */
  readonly cpuUs: Readonly<Record<string, number>>;
}

/** The search of one storer in one round. */
class Search {
  readonly storer: Storer;
  best: Trial | undefined;
  #trials = 0;
  #holds = 0;
  #fails = Infinity;

  constructor(storer: Storer) {
    this.storer = storer;
  }

  /** The rate to try next; `undefined` at the end. */
  get next(): number | undefined {
    if (this.#trials === 0) return firstRate;
    if (this.#trials >= maxTrials || this.isUnlimited || this.#fails < 500) return undefined;
    if (this.#fails === Infinity) return this.#holds * 2;
    if (this.#holds === 0) return this.#fails / 2;
    return this.#fails / this.#holds > closeEnough ? Math.sqrt(this.#fails * this.#holds) : undefined;
  }

  /** Whether the storer was faster than the sender. */
  get isUnlimited(): boolean {
    return this.#holds >= maxRate;
  }

  add(offered: number, trial: Trial): void {
    this.#trials++;
    if (trial.holds) this.#holds = Math.max(this.#holds, offered);
    else this.#fails = Math.min(this.#fails, offered);
    if (trial.holds && trial.rate > (this.best?.rate ?? 0)) this.best = trial;
  }
}

/** Measures all programs. Prints one line for each round. @param seconds of each trial. */
export async function measureDatagrams(rounds: number, seconds: number): Promise<void> {
  const server = await Server.start();
  try {
    const starts = [startGateway, startBundles, startFolder, startPlain, startRsyslog];
    await measure(
      starts.map((start) => () => start(server)),
      rounds,
      seconds,
    );
  } finally {
    await server.close();
  }
}

/** The same for the programs that need no server, and for one that only receives. */
export async function measureFolder(rounds: number, seconds: number): Promise<void> {
  await measure([startFolder, startReceiver, startRsyslog], rounds, seconds);
}

async function measure(
  starts: readonly (() => Promise<Storer | undefined>)[],
  rounds: number,
  seconds: number,
): Promise<void> {
  const sender = findPrograms(new Set(["c"]), () => undefined).get("c");
  if (!sender || "missing" in sender) throw new Error(`the sender needs a C compiler: ${sender?.missing}`);
  const storers: Storer[] = [];
  try {
    for (const start of starts) {
      const storer = await start();
      if (storer) storers.push(storer);
      else process.stdout.write("rsyslogd is not installed, and is left out\n");
    }
    for (const storer of storers) await trial(sender, storer, warmUpRate, seconds);
    for (let round = 0; round < rounds; round++) {
      const turn = round % storers.length;
      const searches = [...storers.slice(turn), ...storers.slice(0, turn)].map(
        (storer) => new Search(storer),
      );
      for (let open = searches; open.length > 0; open = open.filter(({ next }) => next !== undefined))
        for (const search of open)
          if (search.next !== undefined)
            search.add(search.next, await trial(sender, search.storer, search.next, seconds));
      process.stdout.write(`${report(searches)}\n`);
    }
  } finally {
    for (const storer of storers) await storer.close();
  }
}

/** Offers datagrams for some seconds, and waits until no more of them are stored. */
async function trial(from: Program, storer: Storer, offered: number, seconds: number): Promise<Trial> {
  await storer.clear();
  const settings = {
    to: storer.port,
    size: payloadBytes,
    fill,
    batch: Math.round((offered * burstUs) / 1e6),
    everyUs: burstUs,
    warmUpMs: 0,
    windowMs: seconds * 1000,
  };
  const before = cpuOf(storer);
  const startMs = performance.now();
  await using sender = new Peer(from, "send", settings, "0,1");
  const { total = 0 } = await sender.result();
  let lastMs = performance.now();
  let progress = await storer.progress();
  const endMs = lastMs + maxWaitMs;
  for (let now = lastMs; now - lastMs < quietMs && now < endMs; now = performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    const next = await storer.progress();
    if (next !== progress) lastMs = performance.now();
    progress = next;
  }
  const after = cpuOf(storer);
  const stored = await storer.stored();
  const lossRatio = 1 - stored / total;
  const cpuUs = Object.fromEntries(
    Object.entries(after).map(([name, us]) => [name, (us - (before[name] ?? 0)) / stored]),
  );
  const rate = stored / ((lastMs - startMs) / 1000);
  return { holds: lossRatio <= maxLossRatio, rate, lossRatio, cpuUs };
}

function cpuOf({ pids }: Storer): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuUsOf(pid)]));
}

function report(searches: readonly Search[]): string {
  const rates = new Map(searches.map(({ storer, best }) => [storer.name, best?.rate ?? 0]));
  const texts = searches.map(({ storer, best, isUnlimited }) => {
    if (!best) return `${storer.name} loses datagrams at every rate`;
    const cpu = Object.entries(best.cpuUs).map(([name, us]) => `${name} ${us.toFixed(1)} µs`);
    return `${storer.name} ${isUnlimited ? "at least " : ""}${Math.round(best.rate)}/s, ${cpu.join(", ")}`;
  });
  const isOwn = (name: string): boolean => name.startsWith("gateway") || name === "receiving only";
  for (const [own, ownRate] of rates)
    for (const [name, rate] of rates)
      if (isOwn(own) && !isOwn(name) && rate > 0)
        texts.push(`${own} to ${name} ${(ownRate / rate).toFixed(2)}`);
  return `${texts.join("; ")}; load ${(loadavg()[0] ?? 0).toFixed(1)}`;
}
