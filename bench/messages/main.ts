/**
 * Measures `messages()` of `datagram/message`: on the simulated network, beside NewReno with RACK, and over
 * loopback, beside TCP. Prints Markdown tables.
 */
import { parseArgs } from "node:util";

import { type ScenarioName, scenarios } from "datagram/sim";

import { measureLoopback } from "./loopback.js";
import { type Protocol, fleeting, interop, requests, share, transfer } from "./scenes.js";

const help = `Usage: npm run bench:messages -- [options]

  --only <a,b,…>   some of: small, bulk, share, interop, fleeting, requests, loopback (all)
  --seeds <n>      runs of each case, 1 to 10000 (100)
  --first <n>      the first seed (101: seeds 1 to 100 were used while the window was tuned)
`;

const tables: Readonly<Record<string, (seeds: readonly number[]) => Promise<string>>> = {
  small,
  bulk,
  share: shared,
  interop: networks,
  fleeting: frames,
  requests: answers,
  loopback: measureLoopback,
};

const { values } = parseArgs({
  options: {
    only: { type: "string", default: Object.keys(tables).join(",") },
    seeds: { type: "string", default: "100" },
    first: { type: "string", default: "101" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
const chosen = values.only.split(",");
const unknown = chosen.find((name) => !(name in tables));
if (unknown !== undefined) {
  process.stderr.write(`bench: no table is called ${unknown}\n\n${help}`);
  process.exit(2);
}
const seeds = Array.from({ length: Number(values.seeds) }, (_, at) => Number(values.first) + at);
console.log(`Seeds ${seeds[0] ?? ""} to ${seeds.at(-1) ?? ""}, Node.js ${process.version}.\n`);
for (const name of chosen) console.log(`${(await tables[name]?.(seeds)) ?? ""}\n`);

/** 64 KiB over a round trip of 50 ms. */
async function small(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  let lossless = 0;
  for (const lossRatio of [0, 0.01, 0.05, 0.2, 0.3]) {
    const run =
      (protocol: Protocol) =>
      (seed: number): Promise<number> =>
        transfer(protocol, seed, 65_536, { latencyMs: 25, lossRatio });
    const ours = await times(of, run("messages"));
    // At 30%, a transfer with NewReno may take an hour.
    const reno = lossRatio < 0.3 ? mean(await times(of, run("NewReno"))) : NaN;
    if (lossRatio === 0) lossless = mean(ours);
    rows.push([
      `${lossRatio * 100}%`,
      whole(mean(ours)),
      whole(quantile(ours, 0.99)),
      whole(Math.max(...ours)),
      (mean(ours) / lossless).toFixed(2),
      Number.isNaN(reno) ? "" : whole(reno),
      Number.isNaN(reno) ? "" : (mean(ours) / reno).toFixed(2),
    ]);
  }
  const head = [
    "loss, each way",
    "mean, ms",
    "p99, ms",
    "longest, ms",
    "mean / lossless",
    "NewReno, ms",
    "ours / NewReno",
  ];
  return table("64 KiB, reliable, round trip 50 ms", head, rows);
}

/** 2 MB over a link that is the bottleneck, as the share of its rate that was payload. */
async function bulk(of: readonly number[]): Promise<string> {
  const link = { latencyMs: 15, lossRatio: 0.02, rateBps: 10_000_000, queueBytes: 25 * 1500 };
  const rows: string[][] = [];
  for (const protocol of ["messages", "NewReno"] as const) {
    const shares = (await times(of, (seed) => transfer(protocol, seed, 2_000_000, link))).map(
      (ms) => 1600 / ms,
    );
    rows.push([protocol, percent(quantile(shares, 0.5)), percent(Math.min(...shares))]);
  }
  return table(
    "2 MB, 2% loss, 10 Mbit/s, 15 ms each way, a queue of 25 packets",
    ["", "median share of the link", "least"],
    rows,
  );
}

/** Two senders for 8 s on one such link. */
async function shared(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  for (const pair of [
    ["messages", "messages"],
    ["messages", "NewReno"],
  ] as const) {
    const [first, second, resent]: [number[], number[], number[]] = [[], [], []];
    for (const seed of of) {
      const { chunks, resent: again } = await share(pair, seed, 8000);
      const all = chunks[0] + chunks[1];
      first.push(chunks[0] / all);
      second.push(chunks[1] / all);
      resent.push(again[0]);
    }
    rows.push([
      pair.join(" + "),
      percent(Math.min(...first)),
      percent(Math.min(...second)),
      percent(Math.max(...resent)),
    ]);
  }
  const head = [
    "senders",
    "least share of the first",
    "least share of the second",
    "most sent again by the first",
  ];
  return table("Two senders for 8 s on one link of 10 Mbit/s, 15 ms, a queue of 25 packets", head, rows);
}

/** 1 MB over each network of the QUIC interop runner. A wrong or a double message is an error. */
async function networks(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  for (const name of Object.keys(scenarios) as ScenarioName[]) {
    const found = await times(of, (seed) => interop(name, seed));
    rows.push([
      name,
      `${found.length} of ${of.length}`,
      whole(quantile(found, 0.5)),
      whole(Math.max(...found)),
    ]);
  }
  const head = ["network", "arrived once and intact", "median, ms", "longest, ms"];
  return table("1 MB over the networks of the QUIC interop runner", head, rows);
}

/** Frames of 25 chunks at 5% loss, ten a second. */
async function frames(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  for (const parity of [0, 1, 3]) {
    const cells: string[] = [];
    let longest = 0;
    for (const burst of [undefined, 3]) {
      const found: number[] = [];
      for (const seed of of) {
        const { whole: arrived, latencyMs } = await fleeting(seed, 20, parity, {
          lossRatio: 0.05,
          lossBurstLength: burst,
        });
        found.push(arrived);
        longest = Math.max(longest, latencyMs);
      }
      cells.push(percent(mean(found)));
    }
    rows.push([`${parity}`, ...cells, whole(longest)]);
  }
  const head = ["parities", "whole, losses at random", "whole, bursts of 3", "longest latency, ms"];
  return table("Fleeting frames of 25 chunks, ten a second, 5% loss, 5 ms each way", head, rows);
}

/** Requests at 30% loss each way. A handler that runs twice is an error. */
async function answers(of: readonly number[]): Promise<string> {
  let [answered, unanswered, most] = [0, 0, 0];
  for (const seed of of) {
    const found = await requests(seed, 10, 0.3);
    answered += found.answered;
    unanswered += found.unanswered;
    most = Math.max(most, found.maxRuns);
  }
  const head = [
    "requests",
    "answered",
    "without an answer in 10 s",
    "most runs of a handler for one request",
  ];
  return table("Requests at 30% loss each way", head, [
    [`${answered + unanswered}`, `${answered}`, `${unanswered}`, `${most}`],
  ]);
}

async function times(of: readonly number[], run: (seed: number) => Promise<number>): Promise<number[]> {
  const found: number[] = [];
  for (const seed of of) found.push(await run(seed));
  return found;
}

function mean(of: readonly number[]): number {
  return of.reduce((sum, value) => sum + value, 0) / of.length;
}

function quantile(of: readonly number[], share: number): number {
  const sorted = [...of].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}

function whole(value: number): string {
  return value.toFixed(0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return [`${title}:\n`, ...lines].join("\n");
}
