/**
 * Measures this package beside `node:dgram`: every contender in a process of its own, in turn, several rounds.
 *
 *   npm run bench -- [--rounds 7] [--quick] [--json]
 */
import { execFile } from "node:child_process";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

import type { Figures } from "./worker.js";

const contenders = ["native", "dgram", "node:dgram"] as const;
type Name = (typeof contenders)[number];

const workloads = [
  { name: "one-way", figure: "perSecond", unit: "datagrams/s", amount: 100_000, better: "more" },
  { name: "round-trip", figure: "p50", unit: "µs p50", amount: 20_000, better: "less" },
  { name: "round-trip", figure: "p99", unit: "µs p99", amount: 20_000, better: "less" },
] as const;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const rounds = values.quick ? 3 : Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
  throw new Error("--rounds takes a whole number from 1 to 100");

const measured = new Map<string, Map<Name, Figures[]>>();
for (const { name, amount } of new Map(workloads.map((each) => [each.name, each])).values()) {
  const byContender = new Map<Name, Figures[]>(contenders.map((contender) => [contender, []]));
  measured.set(name, byContender);
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      if (!values.json)
        process.stderr.write(`\r${name}: round ${round + 1} of ${rounds}, ${contender}          `);
      byContender.get(contender)?.push(await measure(name, contender, values.quick ? amount / 4 : amount));
    }
  }
}
if (!values.json) process.stderr.write("\r".padEnd(60) + "\r");

const machine = `${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}`;
const rows = workloads.map(({ name, figure, unit, better }) => {
  const medians = Object.fromEntries(
    contenders.map((contender) => [contender, median(measured.get(name)?.get(contender) ?? [], figure)]),
  ) as Record<Name, number>;
  const lost = Math.max(
    ...contenders.map((contender) => median(measured.get(name)?.get(contender) ?? [], "lost") || 0),
  );
  return { workload: name, unit, better, rounds, medians, lost };
});
if (values.json) console.log(JSON.stringify({ machine, rows }, null, 2));
else {
  console.log(`${machine}; medians of ${rounds} rounds, in turn; in brackets the ratio to node:dgram\n`);
  for (const { workload, unit, better, medians, lost } of rows) {
    const cells = contenders.map((contender) => {
      const ratio = medians[contender] / medians["node:dgram"];
      return `${contender} ${medians[contender].toFixed(medians[contender] > 1000 ? 0 : 1)} (${ratio.toFixed(2)})`;
    });
    console.log(
      `${workload}, ${unit} (${better} is better): ${cells.join(", ")}${lost > 0 ? `, ${lost} LOST` : ""}`,
    );
  }
}

async function measure(workload: string, contender: Name, amount: number): Promise<Figures> {
  const worker = fileURLToPath(new URL("worker.js", import.meta.url));
  const env = { ...process.env, ...(contender === "node:dgram" ? {} : { DATAGRAM_DRIVER: contender }) };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [worker, workload, contender, String(amount)],
    {
      env,
      timeout: 120_000,
    },
  );
  return JSON.parse(stdout) as Figures;
}

function median(figures: readonly Figures[], figure: string): number {
  const sorted = figures.map((each) => each[figure] ?? NaN).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
