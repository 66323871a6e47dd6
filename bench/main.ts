/** Measures this package beside `node:dgram`: every contender in a process of its own, in turn, several rounds. */
import { execFile, spawnSync } from "node:child_process";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

import type { Figures } from "./worker.js";

const usage = `Usage: npm run bench -- [--rounds <n>] [--quick] [--json]

  --rounds <n>  rounds of each, 1 to 100, of which the median is told (7)
  --quick       three short rounds, about half a minute: to see that it runs, not to quote
  --json        one JSON object in place of the table
`;

const contenders = ["native", "dgram", "node:dgram"] as const;
type Name = (typeof contenders)[number];

/** The rows of the table: one figure of one workload. Where less is better, the ratio should be below 1. */
const rows = [
  { workload: "send", figure: "perSecond", unit: "datagrams/s", what: "sent one by one, each awaited" },
  { workload: "receive", figure: "perSecond", unit: "datagrams/s", what: "received from a full buffer" },
  {
    workload: "one-way",
    figure: "perSecond",
    unit: "datagrams/s",
    what: "both in one thread, each send awaited",
  },
  { workload: "round-trip", figure: "p50", unit: "µs p50", what: "two processes on one CPU, one at a time" },
  { workload: "round-trip", figure: "p99", unit: "µs p99", what: "the same" },
] as const;
type Workload = (typeof rows)[number]["workload"];

const amounts: Readonly<Record<Workload, number>> = {
  send: 200_000,
  receive: 200_000,
  "one-way": 200_000,
  "round-trip": 30_000,
};

const options = readOptions();
const rounds = options.quick ? 3 : options.rounds;
/** Whether two processes wake each other on one CPU or across two is chance, and outweighs all else. */
const oneCpu = spawnSync("taskset", ["-c", "0", "true"]).status === 0 ? ["taskset", "-c", "0"] : [];

const measured = new Map<Workload, Map<Name, Figures[]>>();
for (const workload of Object.keys(amounts) as Workload[]) measured.set(workload, await measureAll(workload));
report();

function readOptions(): { rounds: number; quick: boolean; json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: "string", default: "7" },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    const count = Number(values.rounds);
    if (!values.help && Number.isInteger(count) && count >= 1 && count <= 100)
      return { ...values, rounds: count };
    (values.help ? process.stdout : process.stderr).write(usage);
    process.exit(values.help ? 0 : 2);
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

/** Every contender in turn, round by round, so that a machine whose speed drifts harms all alike. */
async function measureAll(workload: Workload): Promise<Map<Name, Figures[]>> {
  const figures = new Map<Name, Figures[]>(contenders.map((contender) => [contender, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      if (process.stderr.isTTY) {
        process.stderr.write(`\r${`${workload}: round ${round} of ${rounds}, ${contender}`.padEnd(60)}\r`);
      }
      figures.get(contender)?.push(await measure(workload, contender));
    }
  }
  return figures;
}

async function measure(workload: Workload, contender: Name): Promise<Figures> {
  const worker = fileURLToPath(new URL("worker.js", import.meta.url));
  const amount = options.quick ? amounts[workload] / 4 : amounts[workload];
  const pinned = workload === "round-trip" ? oneCpu : [];
  const [file, ...rest] = [...pinned, process.execPath, worker, workload, contender, String(amount)];
  const env = { ...process.env, DATAGRAM_DRIVER: contender === "node:dgram" ? "dgram" : contender };
  const { stdout } = await promisify(execFile)(file, rest, { env, timeout: 120_000 });
  return JSON.parse(stdout) as Figures;
}

function report(): void {
  const machine = `${cpus()[0]?.model ?? "?"}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.versions.node}`;
  const results = rows.map((row) => {
    const of = (contender: Name, figure: string): number =>
      median((measured.get(row.workload)?.get(contender) ?? []).map((each) => each[figure] ?? 0));
    const medians = Object.fromEntries(contenders.map((name) => [name, of(name, row.figure)])) as Record<
      Name,
      number
    >;
    return { ...row, medians, lost: mostLost(row.workload) };
  });
  if (options.json) {
    console.log(JSON.stringify({ machine, rounds, results }, null, 2));
    return;
  }
  console.log(`${machine}\nMedians of ${rounds} rounds, in turn; in brackets the ratio to node:dgram.\n`);
  for (const { workload, what, unit, medians, lost } of results) {
    const cells = contenders.map((name) => {
      const ratio = (medians[name] / medians["node:dgram"]).toFixed(2);
      return `${name} ${medians[name].toFixed(unit === "datagrams/s" ? 0 : 1)} (${ratio})`.padEnd(24);
    });
    console.log(
      `${workload.padEnd(11)} ${unit.padEnd(12)} ${cells.join("")} ${what}${lost > 0 ? `; ${lost} LOST` : ""}`,
    );
  }
}

/** The most that any round of any contender lost. */
function mostLost(workload: Workload): number {
  const figures = [...(measured.get(workload)?.values() ?? [])].flat();
  return Math.max(0, ...figures.map(({ lost }) => lost ?? 0));
}

function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? NaN;
}
