/** Runs the rounds: every contender in turn, so that a change in the speed of the machine affects all of them. */
import type { Options } from "./options.js";
import { type MemoryOutcome, type Outcome, type Results, isDisturbed } from "./results.js";
import { type Bench, type Figures, memory, missing } from "./runs.js";
import { type Case, type Workload, workloads } from "./workloads.js";

export type Progress = (text: string) => void;

export async function measureAll(bench: Bench, options: Options, progress: Progress): Promise<Results> {
  const chosen = workloads.filter(({ name }) => options.only.includes(name));
  const results = new Map<string, ReadonlyMap<string, Outcome>>();
  for (const [index, workload] of chosen.entries()) {
    results.set(
      workload.name,
      await measure(bench, workload, options.rounds, (text) =>
        progress(`${index + 1} of ${chosen.length}, ${workload.name}: ${text}`),
      ),
    );
  }
  return results;
}

/** The longest time that the datagrams of `--memory` may take. */
const memoryLimitMs = 600_000;

export async function measureMemory(
  bench: Bench,
  options: Options,
  progress: Progress,
): Promise<MemoryOutcome> {
  const why = missing(bench, ["native"], false);
  if (why !== undefined) return { missing: why };
  progress(`memory: ${options.millions} million datagrams`);
  try {
    const limitMs = options.quick ? memoryLimitMs / 20 : memoryLimitMs;
    const {
      received = 0,
      firstRssBytes = 0,
      firstYoungBytes = 0,
      lastRssBytes = 0,
      lastYoungBytes = 0,
    } = await memory(bench, "native", options.millions, limitMs);
    if (received < 1e6) return { failed: `only ${received} datagrams came within ${limitMs / 1000} s` };
    return { received, firstRssBytes, firstYoungBytes, lastRssBytes, lastYoungBytes };
  } catch (error) {
    return { failed: (error as Error).message };
  }
}

/** How often a round is tried if other work disturbs it. A quick run tries once. */
const maxAttempts = 2;

async function measure(
  bench: Bench,
  { cases, parks }: Workload,
  rounds: number,
  progress: Progress,
): Promise<Map<string, Outcome>> {
  const measured = new Map<string, Figures[]>();
  const outcomes = new Map<string, Outcome>();
  for (const { name, needs } of cases) {
    const why = missing(bench, needs, parks);
    if (why !== undefined) outcomes.set(name, { missing: why });
    else measured.set(name, []);
  }
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another contender, so that the order favours none.
    for (let turn = 0; turn < cases.length; turn++) {
      const each = cases[(round + turn) % cases.length];
      if (!each || outcomes.has(each.name)) continue;
      progress(`round ${round + 1} of ${rounds}, ${each.name}`);
      try {
        measured.get(each.name)?.push(await runUndisturbed(each, bench));
      } catch (error) {
        outcomes.set(each.name, { failed: (error as Error).message });
      }
    }
  }
  return new Map(cases.map(({ name }) => [name, outcomes.get(name) ?? { rounds: measured.get(name) ?? [] }]));
}

/** If other work took the CPU from a contender, its round is repeated. The least disturbed attempt counts. */
async function runUndisturbed({ run }: Case, bench: Bench): Promise<Figures> {
  const attempts = bench.quick ? 1 : maxAttempts;
  let best = await run(bench);
  for (let attempt = 1; attempt < attempts && isDisturbed(best); attempt++) {
    const again = await run(bench);
    if ((again.waited ?? 0) < (best.waited ?? 0)) best = again;
  }
  return best;
}
