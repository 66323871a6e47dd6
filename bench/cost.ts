/** The cost of metadata: the CPU time for each datagram of a socket with metadata, compared with a socket without. */
import { join } from "node:path";

import type { Progress } from "./measure.js";
import type { Options } from "./options.js";
import { Peer, type Settings } from "./peer.js";
import { type Program, root } from "./programs.js";
import { type CostOutcome, type Spread, spread } from "./results.js";
import { type Bench, buffer, found, missing } from "./runs.js";

interface Drain {
  readonly name: string;
  readonly settings: Settings;
  /** What the program reads of each datagram: all fields, or the payload only. */
  readonly look: "data" | "all";
  readonly offload: boolean;
  readonly judged: boolean;
}

/** Bursts that fit a buffer of 4 MiB: `runs` sends of `run` datagrams each. */
const bursts = {
  main: { size: 64, run: 64, runs: 1000 },
  longer: { size: 64, run: 128, runs: 600 },
  large: { size: 1400, run: 46, runs: 90 },
  single: { size: 64, run: 1000, runs: 8 },
} as const;

const drains: readonly Drain[] = [
  ...both("64 bytes, merged by 64", bursts.main, { judged: true }),
  ...both("64 bytes, merged by 64, with a look at everything", bursts.main, { look: "all" }),
  ...both("64 bytes, merged by 128", bursts.longer),
  ...both("1,400 bytes, merged by 46", bursts.large),
  ...both("64 bytes, one by one", bursts.single, { offload: false }),
];

/** A drain by each of the two calls that read many datagrams. */
function both(what: string, burst: Settings, special: Partial<Drain> = {}): Drain[] {
  return (["for await", "recvMany"] as const).map((by) => ({
    name: `${what}, ${by}`,
    settings: { ...burst, buffer, by: by.replace(" ", "-") },
    look: "data",
    offload: true,
    judged: false,
    ...special,
  }));
}

export async function measureCost(
  bench: Bench,
  { rounds }: Options,
  progress: Progress,
): Promise<CostOutcome> {
  const why = missing(bench, ["native"], false);
  if (why !== undefined) return { missing: why };
  const measured = drains.map((drain) => ({ drain, pairs: [] as Pair[] }));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const { drain, pairs } of measured) {
        progress(`cost: round ${round + 1} of ${rounds}, ${drain.name}`);
        pairs.push(await measurePair(bench, drain));
      }
    }
  } catch (error) {
    return { failed: (error as Error).message };
  }
  const costs = measured.map(({ drain: { name, judged }, pairs }) => ({
    drain: name,
    judged,
    off: spreadIn(pairs.map(({ off }) => off)),
    on: spreadIn(pairs.map(({ on }) => on)),
    ratio: spreadIn(pairs.map(({ off, on }) => on / off)),
  }));
  return { costs };
}

/** Nanoseconds of CPU time for each datagram, without metadata and with it. */
interface Pair {
  readonly off: number;
  readonly on: number;
}

/**
 * One process fills, and two drain in turn, for some milliseconds each, so that a change in the speed of the machine affects
 * both. All run on one CPU, so that none waits for data in the cache of another.
 */
async function measurePair(bench: Bench, { settings, look, offload }: Drain): Promise<Pair> {
  const native = found(bench, "native");
  const program: Program = {
    ...native,
    command: [process.execPath, join(root, "build", "bench", "cost", "drain.js")],
    env: offload ? native.env : { ...native.env, DATAGRAM_GSO: "off", DATAGRAM_GRO: "off" },
  };
  await using filler = new Peer(program, "fill", settings, 0);
  await using without = new Peer(program, "drain", { ...settings, metadata: "off", look: "data" }, 0);
  await using asking = new Peer(program, "drain", { ...settings, metadata: "on", look }, 0);
  const [off, on] = [await sideOf(without), await sideOf(asking)];
  const { warmUpMs, windowMs } = bench.quick
    ? { warmUpMs: 500, windowMs: 500 }
    : { warmUpMs: 1500, windowMs: 2500 };
  await takeTurns(filler, off, on, warmUpMs);
  for (const side of [off, on]) side.cpuNs = side.datagrams = 0;
  await takeTurns(filler, off, on, windowMs);
  return { off: off.cpuNs / off.datagrams, on: on.cpuNs / on.datagrams };
}

/** A process that drains, with the figures that it printed. */
interface Side {
  readonly peer: Peer;
  readonly port: string;
  cpuNs: number;
  datagrams: number;
}

async function sideOf(peer: Peer): Promise<Side> {
  return { peer, port: await peer.ports(), cpuNs: 0, datagrams: 0 };
}

async function takeTurns(filler: Peer, one: Side, other: Side, forMs: number): Promise<void> {
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    for (const side of [one, other]) {
      await filler.ask(side.port);
      const { cpuNs = 0, datagrams = 0 } = await side.peer.ask("");
      side.cpuNs += cpuNs;
      side.datagrams += datagrams;
    }
  }
}

function spreadIn(figures: readonly number[]): Spread {
  return spread(figures) as Spread;
}
