/** Measures this package and others, and reports which of its targets it reaches. See README.md. */
import { measureCost } from "./cost.js";
import { writeBlock } from "./document.js";
import { describeMachine } from "./machine.js";
import { measureAll, measureMemory } from "./measure.js";
import { readOptions } from "./options.js";
import { killAll } from "./peer.js";
import { type ProgramName, findPrograms } from "./programs.js";
import { render } from "./report.js";
import { type CostOutcome, type MemoryOutcome, type Results, type SimOutcome, ratioOf } from "./results.js";
import { parkers } from "./runs.js";
import { measureSim } from "./sim.js";
import { isReached, targets } from "./targets.js";
import { workloads } from "./workloads.js";

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
process.on("exit", killAll);

const options = readOptions();
const programs = findPrograms(wantedPrograms(), progress);
for (const [name, program] of programs) {
  if ("missing" in program) say(`bench: without ${name}: ${program.missing}`);
}
const bench = { programs, quick: options.quick };
const machine = describeMachine(options, programs);
const results = await measureAll(bench, options, progress);
const cost = options.cost ? await measureCost(bench, options, progress) : undefined;
const memory = options.memory ? await measureMemory(bench, options, progress) : undefined;
const sim = options.sim ? await measureSim(options, progress) : undefined;
progress("");
const report = { machine, results, cost, memory, sim, partial: options.partial };
if (options.json)
  console.log(JSON.stringify({ ...report.machine, ...forMachines(results), cost, memory, sim }, null, 2));
else console.log(render(report));
if (options.block) writeBlock(options.block, render(report));
tellFailures(results, cost, memory, sim);

/** The programs that the chosen workloads need. */
function wantedPrograms(): Set<ProgramName> {
  const chosen = workloads.filter(({ name }) => options.only.includes(name));
  return new Set<ProgramName>([
    ...chosen.flatMap(({ cases }) => cases.flatMap(({ needs }) => needs)),
    ...(chosen.some(({ parks }) => parks) ? parkers : []),
    ...(options.cost || options.memory ? (["native"] as const) : []),
  ]);
}

function forMachines(of: Results): object {
  return {
    workloads: Object.fromEntries([...of].map(([name, outcomes]) => [name, Object.fromEntries(outcomes)])),
    targets: targets
      .filter(({ workload }) => of.has(workload))
      .map((target) => {
        const outcomes = of.get(target.workload);
        const ratio = ratioOf(outcomes?.get(target.of), outcomes?.get(target.against), target.figure);
        return { ...target, ratio: ratio ?? null, reached: ratio ? isReached(target, ratio.median) : null };
      }),
  };
}

/** A missed target is a result. A contender that fails is a failure of the benchmark. */
function tellFailures(
  of: Results,
  costOutcome: CostOutcome | undefined,
  memoryOutcome: MemoryOutcome | undefined,
  simOutcome: SimOutcome | undefined,
): void {
  const outcomes = [...of].flatMap(([workload, cases]) =>
    [...cases].map(([name, outcome]) => [`${workload}, ${name}`, outcome] as const),
  );
  const others = [
    ["cost", costOutcome] as const,
    ["memory", memoryOutcome] as const,
    ["sim", simOutcome] as const,
  ];
  for (const [title, outcome] of [...outcomes, ...others]) {
    if (!outcome || !("failed" in outcome)) continue;
    say(`bench: ${title}: ${outcome.failed}`);
    process.exitCode = 1;
  }
}

/** Prints a line on a terminal. The next line replaces it. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

function say(text: string): void {
  progress("");
  process.stderr.write(`${text}\n`);
}
