import { parseArgs } from "node:util";

import { type Block, findBlock } from "./document.js";
import { wholeNumber } from "./whole-number.js";
import { workloads } from "./workloads.js";

/** Workloads that run only if they are named: they take long, or compare the package with itself. */
const memory = {
  name: "memory",
  title: "resident memory of a native receiver after its first million datagrams, and after many",
} as const;
const cost = {
  name: "cost",
  title: "CPU time of draining a full receive buffer, with metadata and without",
} as const;
const sim = {
  name: "sim",
  title: "the simulated network: datagrams a second, idle hosts, memory, ten virtual minutes",
} as const;
const all = [...workloads, cost, memory, sim];

export interface Options {
  readonly rounds: number;
  readonly quick: boolean;
  readonly json: boolean;
  readonly memory: boolean;
  readonly cost: boolean;
  readonly sim: boolean;
  /** Millions of datagrams that `memory` receives. */
  readonly millions: number;
  readonly only: readonly string[];
  /** Where the tables go; `undefined` without `--write`. */
  readonly block: Block | undefined;
  /** Whether `only` was given. */
  readonly partial: boolean;
}

const help = `Usage: npm run bench -- [options]

Measures this package beside node:dgram, Bun, CPython and C: every contender in processes of its own, in turn, several
rounds. It takes twenty minutes, in which the machine should have nothing else to do: rounds that other processes
disturb are repeated. What each workload does is in bench/README.md.

  --rounds <n>      rounds of each workload, 1 to 100, of which the median is told (5)
  --quick           one short round, about a minute in all: to see that it runs, not to quote
  --only <a,b,…>    these workloads; a name may end in * (deliver-*)
  --list            the workloads, with what each measures
  --cost            also the workload cost, which takes 40 seconds a round
  --sim             also the workload sim, the simulated network, which takes a minute a round
  --memory          also the workload memory, which takes up to ten minutes
  --millions <n>    how many millions --memory receives, 2 to 10000 (100; with --quick 5)
  --json            one JSON object instead of tables
  --write           puts the tables into docs/performance.md, too; with --only, into the place that
                    the document has for these workloads
  --help
`;

/** The options of the command line. Ends the process after `--help` and `--list`, and with 2 if an option is wrong. */
export function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        memory: { type: "boolean", default: false },
        cost: { type: "boolean", default: false },
        sim: { type: "boolean", default: false },
        millions: { type: "string" },
        only: { type: "string" },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) end(help);
    if (values.list) end(all.map(({ name, title }) => `${name.padEnd(20)} ${title}\n`).join(""));
    const only = chosen(values.only ?? workloads.map(({ name }) => name).join(","));
    return {
      ...values,
      rounds: wholeNumber("rounds", values.rounds, values.quick ? 1 : 5, 1, 100),
      millions: wholeNumber("millions", values.millions, values.quick ? 5 : 100, 2, 10_000),
      memory: only.includes(memory.name) || values.memory,
      cost: only.includes(cost.name) || values.cost,
      sim: only.includes(sim.name) || values.sim,
      only,
      block: values.write ? findBlock(values.only) : undefined,
      partial: values.only !== undefined,
    };
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n\n${help}`);
    process.exit(2);
  }
}

function end(text: string): never {
  process.stdout.write(text);
  process.exit(0);
}

/** The names of the workloads that match the patterns. */
function chosen(patterns: string): string[] {
  const names = all.map(({ name }) => name);
  const wanted = patterns.split(",").flatMap((pattern) => {
    const means = (name: string): boolean =>
      pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
    const found = names.filter(means);
    if (found.length > 0) return found;
    throw new Error(`no workload is called ${pattern}; there are ${names.join(", ")}`);
  });
  return names.filter((name) => wanted.includes(name));
}
