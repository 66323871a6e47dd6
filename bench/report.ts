/** The tables for people: on the terminal and, unchanged, in docs/performance.md. */
import {
  type CostOutcome,
  type MemoryOutcome,
  type Outcome,
  type Results,
  type SimFigure,
  type SimOutcome,
  type Spread,
  absence,
  isDisturbed,
  ratioOf,
  roundsOf,
  spreadOf,
} from "./results.js";
import { costTarget, isMemoryReached, isReached, memoryTargetBytes, simTargets, targets } from "./targets.js";
import { type Figure, type Workload, workloads } from "./workloads.js";
import type { Machine } from "./machine.js";

export interface Report {
  readonly machine: Machine;
  readonly results: Results;
  readonly cost: CostOutcome | undefined;
  readonly memory: MemoryOutcome | undefined;
  readonly sim: SimOutcome | undefined;
  /** Whether workloads were chosen: the report is a part of a section, and leaves out what was not asked for. */
  readonly partial: boolean;
}

/** The whole report, as Markdown. */
export function render({ machine, results, cost, memory, sim, partial }: Report): string {
  const measured = workloads.filter(({ name }) => results.has(name));
  const text = [
    machineLines(machine, results),
    "### Targets",
    targetTable(results, partial, cost, memory),
    ...measured.flatMap((workload) => workloadLines(workload, results.get(workload.name) ?? new Map())),
    ...costLines(cost),
    ...simLines(sim),
    "### Memory and garbage collection",
    resourceTable(measured, results),
    memory ? memoryLine(memory) : undefined,
  ]
    .filter((each) => each !== undefined)
    .join("\n\n");
  return partial ? text.replaceAll(/^###/gm, "####") : text;
}

function machineLines(machine: Machine, results: Results): string {
  const { rounds, load, quick } = machine;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name}: ${version}`);
  const lines = [
    `${machine.cpu}, ${machine.cpus} CPUs, ${machine.kernel}; ${machine.date}; \`${machine.command}\``,
    `${versions.join("; ")}.`,
    `Medians of ${rounds} round${rounds > 1 ? "s" : ""}, the contenders in turn. A ratio is the median of the ratios within the rounds.`,
    machine.pinned
      ? "Senders are held to CPU 0 and receivers to CPU 1; round trips, drains and what is in one process, to CPU 0."
      : "There is no `taskset` or no second CPU: the processes wander.",
    ...Object.entries(machine.missing).map(([name, why]) => `Left out: ${name} (${why}).`),
  ];
  const outcomes = [...results.values()].flatMap((each) => [...each.values()]);
  const disturbed = outcomes.flatMap(roundsOf).filter(isDisturbed).length;
  if (disturbed > 0) {
    lines.push(
      `The machine was busy (load ${load.toFixed(1)} before): in ${disturbed} rounds another process took the CPU from a contender for a while.`,
    );
  }
  if (quick) lines.push("**`--quick`: too short to quote.**");
  return lines.join("\n\n");
}

/** For each target the ratio, its range, and whether the target is reached. */
function targetTable(
  results: Results,
  partial: boolean,
  cost: CostOutcome | undefined,
  memory: MemoryOutcome | undefined,
): string {
  const rows = targets
    .filter(({ workload }) => results.has(workload))
    .map((target) => {
      const outcomes = results.get(target.workload);
      const [one, other] = [outcomes?.get(target.of), outcomes?.get(target.against)];
      const ratio = ratioOf(one, other, target.figure);
      const wanted =
        target.atLeast === undefined
          ? `at most ${times(target.atMost ?? 0)}`
          : `at least ${times(target.atLeast)}`;
      return [
        target.work,
        target.against,
        wanted,
        ratio ? timesOf(ratio) : "",
        ratio ? yesOrNo(isReached(target, ratio.median)) : (absence(one) ?? absence(other) ?? ""),
      ];
    });
  if (cost || !partial) rows.push(...costTargets(cost));
  if (memory || !partial) rows.push(memoryTarget(memory));
  return table(["work", "against", "target", "measured", "reached"], rows, [3]);
}

function costTargets(cost: CostOutcome | undefined): string[][] {
  const common = ["without metadata", `at most ${times(costTarget)}`];
  const work = "CPU time of a drain with metadata";
  if (!cost || !("costs" in cost)) {
    return [[work, ...common, "", cost ? (absence(cost) ?? "") : "not measured: --cost"]];
  }
  return cost.costs
    .filter(({ judged }) => judged)
    .map(({ drain, ratio }) => [
      `${work}, ${drain}`,
      ...common,
      timesOf(ratio),
      yesOrNo(ratio.median <= costTarget),
    ]);
}

function memoryTarget(memory: MemoryOutcome | undefined): string[] {
  return [
    "memory of a receiver after many millions of datagrams",
    "after the first million",
    `within ${mebibytes(memoryTargetBytes)}`,
    memory && "received" in memory
      ? `${mebibytes(memory.lastRssBytes - memory.firstRssBytes)} more after ${millions(memory.received)}`
      : "",
    memory ? memoryVerdict(memory) : "not measured: --memory",
  ];
}

function memoryVerdict(memory: MemoryOutcome): string {
  if (!("received" in memory)) return absence(memory) ?? "";
  return yesOrNo(isMemoryReached(memory));
}

function workloadLines(workload: Workload, outcomes: ReadonlyMap<string, Outcome>): string[] {
  const tables = workload.figures.map((figure) => figureTable(workload, figure, outcomes));
  return [`### ${workload.name}: ${workload.title}`, ...tables];
}

/** One figure of every contender, with its ratios to the references and, if known, the losses. */
function figureTable(
  { cases, figures, references }: Workload,
  { key, unit }: Figure,
  outcomes: ReadonlyMap<string, Outcome>,
): string {
  const losses = key === figures[0]?.key && [...outcomes.values()].some((each) => spreadOf(each, "lost"));
  const rows = cases.map(({ name }) => {
    const outcome = outcomes.get(name);
    const figure = spreadOf(outcome, key);
    if (!figure) return [name, absence(outcome) ?? ""];
    const ratios = references.map((reference) => ratioOf(outcome, outcomes.get(reference), key));
    const lost = spreadOf(outcome, "lost");
    return [
      name,
      amount(figure.median, unit),
      `${amount(figure.min, unit)} to ${amount(figure.max, unit)}`,
      ...ratios.map((ratio) => (ratio ? times(ratio.median) : "–")),
      ...(losses ? [lost ? percent(lost.median) : "–"] : []),
    ];
  });
  return table(
    ["contender", unit, "range", ...references.map((name) => `to ${name}`), ...(losses ? ["lost"] : [])],
    rows,
  );
}

/** The lines about the cost of metadata for a receiver. */
function costLines(cost: CostOutcome | undefined): string[] {
  if (!cost || !("costs" in cost)) return [];
  const rows = cost.costs.map(({ drain, off, on, ratio }) => [
    drain,
    off.median.toFixed(0),
    on.median.toFixed(0),
    times(ratio.median),
    `${times(ratio.min)} to ${times(ratio.max)}`,
  ]);
  const head = ["drained", "ns a datagram, metadata off", "on", "on to off", "range"];
  return ["### cost: CPU time of draining a full receive buffer", table(head, rows)];
}

/** The lines about the simulated network. */
function simLines(sim: SimOutcome | undefined): string[] {
  if (!sim || !("figures" in sim)) return [];
  const rows = sim.figures.map((each) => {
    const { figure, name, spread } = each;
    if (!spread) return [name];
    const [wanted, reached] = simTarget(figure, spread.median);
    const range = `${simAmount(each, spread.min)} to ${simAmount(each, spread.max)}`;
    return [name, simAmount(each, spread.median), range, wanted, reached];
  });
  if (sim.idleCost) {
    const { median, min, max } = sim.idleCost;
    const target = `at most ${times(simTargets.idleCost)}`;
    const name = "cost of a datagram between two of 10,000 hosts, to two alone";
    const range = `${times(min)} to ${times(max)}`;
    rows.push([name, times(median), range, target, yesOrNo(median <= simTargets.idleCost)]);
  }
  return [
    "### sim: the simulated network, 64 bytes, one process on one CPU, the trace at its default limits",
    table(["work", "measured", "range", "target", "reached"], rows),
  ];
}

function simTarget(figure: SimFigure["figure"], median: number): [wanted: string, reached: string] {
  if (figure === "perSecond") {
    const { perSecond } = simTargets;
    return [`at least ${perSecond.toLocaleString("en")}/s`, yesOrNo(median >= perSecond)];
  }
  if (figure === "seconds") return [`under ${simTargets.seconds} s`, yesOrNo(median < simTargets.seconds)];
  return [`under ${mebibytes(simTargets.rssBytes)}`, yesOrNo(median < simTargets.rssBytes)];
}

function simAmount({ figure }: SimFigure, value: number): string {
  if (figure === "perSecond") return `${amount(value, "datagrams/s")}/s`;
  return figure === "seconds" ? `${value.toFixed(2)} s` : mebibytes(value);
}

/** The memory and garbage collection of both ends of each delivery, if the runtime reports them. */
function resourceTable(measured: readonly Workload[], results: Results): string {
  const rows = measured.flatMap(({ name: workload, cases }) =>
    cases.flatMap(({ name }) => {
      const outcome = results.get(workload)?.get(name);
      const of = (figure: string): number | undefined => spreadOf(outcome, figure)?.median;
      const ends = ["receiver", "sender"].map((end) => [
        of(`${end}RssBytes`),
        of(`${end}GcMs`),
        of(`${end}GcMsPerMillion`),
      ]);
      if (ends.flat().every((each) => each === undefined)) return [];
      const cells = ends.flatMap(([rss, gc, gcEach]) => [
        rss === undefined ? "–" : mebibytes(rss),
        gc === undefined ? "–" : gc.toFixed(1),
        gcEach === undefined ? "–" : gcEach.toFixed(2),
      ]);
      return [[workload, name, ...cells]];
    }),
  );
  const columns = ["receiver", "sender"].flatMap((end) => [
    `${end} resident`,
    `${end} GC ms`,
    `GC ms a million`,
  ]);
  return rows.length === 0
    ? "None of these workloads tells."
    : table(["workload", "contender", ...columns], rows, [0, 1]);
}

function memoryLine(memory: MemoryOutcome): string | undefined {
  if (!("received" in memory)) return undefined;
  const { received, firstRssBytes, firstYoungBytes, lastRssBytes, lastYoungBytes } = memory;
  const held = (rssBytes: number, youngBytes: number): string =>
    `${mebibytes(rssBytes)} (of which V8's young generation: ${mebibytes(youngBytes)})`;
  return `Resident memory of the native receiver: ${held(firstRssBytes, firstYoungBytes)} after the first million datagrams, ${held(lastRssBytes, lastYoungBytes)} after ${millions(received)}.`;
}

/** A Markdown table with aligned columns, as oxfmt formats it. The first column and those of `texts` are text. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  texts: readonly number[] = [0],
): string {
  const left = new Set([0, ...texts]);
  const full = rows.map((row) => head.map((_, column) => row[column] ?? ""));
  const widths = head.map((name, column) =>
    Math.max(3, ...[name, ...full.map((row) => row[column] ?? "")].map((each) => each.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (left.has(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    left.has(column) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(head), line(rule), ...full.map(line)].join("\n");
}

function yesOrNo(is: boolean): string {
  return is ? "yes" : "no";
}

function amount(value: number, unit: string): string {
  if (unit.startsWith("µs of CPU")) return value.toFixed(2);
  if (unit.startsWith("µs")) return value.toFixed(1);
  return Math.round(value).toLocaleString("en");
}

function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 1)}×`;
}

function timesOf({ median, min, max }: Spread): string {
  return `${times(median)} (${times(min)} to ${times(max)})`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(1)} million`;
}
