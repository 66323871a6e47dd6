/**
 * Measures `messages()` of `datagram/message`: on the simulated network, beside NewReno with RACK, and over
 * loopback, beside TCP. Prints Markdown tables.
 */
import { type Crowd, type Honest, crowd, forgeries } from "./crowds.js";
import { carryLoads } from "./load.js";
import { measureLoopback } from "./loopback.js";
import { type TableName, readOptions } from "./options.js";
import { type InstalledPeer, installPeer } from "./peers.js";
import { mean, megabytes, over, percent, progress, quantile, slope, table, whole } from "./report.js";
import { type Protocol, fleeting, networkNames, overNetwork, requests, share, transfer } from "./scenes.js";

const tables: Readonly<Record<TableName, (seeds: readonly number[]) => Promise<string>>> = {
  small,
  bulk,
  share: shared,
  interop: networks,
  fleeting: frames,
  requests: answers,
  forgeries: forgers,
  peers,
  cameras,
  load,
  loopback: () => measureLoopback(installed),
};
const options = readOptions();
const installed: InstalledPeer[] = [];
try {
  for (const name of options.beside) installed.push(installPeer(name));
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exit(1);
}
const seeds = Array.from({ length: options.seeds }, (_, at) => options.first + at);
console.log(`Seeds ${seeds[0] ?? ""} to ${seeds.at(-1) ?? ""}, Node.js ${process.version}.\n`);
for (const name of options.only) console.log(`${await tables[name](seeds)}\n`);

/** 64 KiB over a round trip of 50 ms. */
async function small(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  let lossless = 0;
  for (const lossRatio of [0, 0.01, 0.05, 0.2, 0.3]) {
    const run =
      (protocol: Protocol) =>
      (seed: number): Promise<number> =>
        transfer(protocol, seed, 65_536, { latencyMs: 25, lossRatio });
    const ours = await over(`small, ${lossRatio * 100}% loss`, of, run("messages"));
    // At 30%, a transfer with NewReno may take an hour.
    const reno =
      lossRatio < 0.3
        ? mean(await over(`small, ${lossRatio * 100}% loss, NewReno`, of, run("NewReno")))
        : NaN;
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
    const shares = (
      await over(`bulk, ${protocol}`, of, (seed) => transfer(protocol, seed, 2_000_000, link))
    ).map((ms) => 1600 / ms);
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
    for (const { chunks, resent: again } of await over(`share, ${pair.join(" + ")}`, of, (seed) =>
      share(pair, seed, 8000),
    )) {
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

/** 1 MB over each network of the QUIC interop runner, and over some more. A wrong or a double message is an error. */
async function networks(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  for (const name of networkNames) {
    const found = await over(`interop, ${name}`, of, (seed) => overNetwork(name, seed));
    rows.push([
      name,
      `${found.length} of ${of.length}`,
      whole(quantile(found, 0.5)),
      whole(Math.max(...found)),
    ]);
  }
  const head = ["network", "arrived once and intact", "median, ms", "longest, ms"];
  return table("1 MB over the networks of the QUIC interop runner, and three more", head, rows);
}

/** Frames of 25 chunks at 5% loss, ten a second. */
async function frames(of: readonly number[]): Promise<string> {
  const rows: string[][] = [];
  for (const parity of [0, 1, 3]) {
    const cells: string[] = [];
    let longest = 0;
    for (const burst of [undefined, 3]) {
      const found: number[] = [];
      const link = { lossRatio: 0.05, lossBurstLength: burst };
      for (const { whole: arrived, latencyMs } of await over(`fleeting, ${parity} parities`, of, (seed) =>
        fleeting(seed, 20, parity, link),
      )) {
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
  for (const found of await over("requests", of, (seed) => requests(seed, 3, 0.3))) {
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

/** Forged chunks from many sources, beside two honest peers. */
async function forgers([seed = 101]: readonly number[]): Promise<string> {
  const [count, sources] = options.quick ? [50_000, 5_000] : [1_000_000, 100_000];
  const found = await forgeries(seed, count, sources, (done) => progress("forgeries", done, count));
  const honest = ({ sent, arrived }: Honest): string => `${arrived} of ${sent}`;
  const rows = [
    ["forged chunks of messages of 1 MB that were received", `${found.received}`],
    ["largest memory of partial messages, MB", megabytes(found.maxPartialBytes)],
    ["largest growth of the process, both ends and the network, MB", megabytes(found.grownBytes)],
    ["bytes to the forgers, for each byte from them", found.amplification.toFixed(2)],
    ["pictures of a known peer that arrived within 1 s", honest(found.known)],
    ["pictures that arrived within 1 s, each from a new port", honest(found.unknown)],
  ];
  const title = `${found.forged} forged chunks from ${found.sources} sources, 40,000 a second, seed ${seed}`;
  return table(title, ["", "figure"], rows);
}

/** A thousand cameras in virtual time at 1% loss. */
async function peers([seed = 101]: readonly number[]): Promise<string> {
  const cameras = 1000;
  const lossRatio = 0.01;
  const part = options.quick ? 20 : 1;
  const rows: string[][] = [];
  for (const [what, everyMs, ms] of [
    ["ten pictures a second, for 6 s", 100, 6000 / part],
    ["a picture a minute, for an hour", 60_000, 3_600_000 / part],
  ] as const) {
    const found: Crowd = await crowd(seed, cameras, everyMs, ms, { lossRatio }, 4, (step, of) =>
      progress(`peers, ${what}`, step, of),
    );
    const quarters = found.points.map(({ usedBytes }) => megabytes(usedBytes));
    rows.push([what, `${found.arrived} of ${found.sent}`, ...quarters]);
  }
  const head = ["each camera", "pictures that arrived", ...[1, 2, 3, 4].map((at) => `MB after ${at}/4`)];
  return table(
    `${cameras} cameras with pictures of 30 KB at 1% loss, both ends in one process, seed ${seed}`,
    head,
    rows,
  );
}

/** Cameras over loopback, and what the process that receives from all of them used. */
async function load([seed = 101]: readonly number[]): Promise<string> {
  const loads = (options.cameras ?? [100, 400, 1000]).flatMap((cameras) =>
    options.modes.map((mode) => ({
      cameras,
      ...mode,
      lossRatio: 0.01,
      offload: options.offload,
      seed,
      windowMs: 1000 * options.seconds,
    })),
  );
  return await carryLoads(loads, (done) => progress("load", done, loads.length));
}

/** Cameras at 1% loss in virtual time, and what it cost to simulate them. */
async function cameras([seed = 101]: readonly number[]): Promise<string> {
  const { cameras: [count = 1000] = [], ms, everyMs } = options;
  const found = await crowd(seed, count, everyMs, ms, { lossRatio: 0.01 }, 10, (step, of) =>
    progress("cameras", step, of),
  );
  const { sent, arrived, points, rssBytes } = found;
  let [sentBefore, cpuBefore] = [0, 0];
  const rows = points.map((point) => {
    const [pictures, cpuMs] = [point.sent - sentBefore, point.cpuMs - cpuBefore];
    [sentBefore, cpuBefore] = [point.sent, point.cpuMs];
    return [
      `${point.ms / 1000}`,
      `${point.sent}`,
      megabytes(point.usedBytes),
      megabytes(point.rssBytes),
      (cpuMs / pictures).toFixed(2),
    ];
  });
  const title = `${count} cameras, each with a picture of 30 KB every ${everyMs} ms at 1% loss, for ${ms / 1000} s of virtual time, seed ${seed}: ${arrived} of ${sent} pictures arrived`;
  const head = ["virtual s", "pictures sent", "MB in use", "MB resident", "CPU ms a picture"];
  // The first half includes the growth of the heap to its size.
  const later = rssBytes.slice(rssBytes.length >> 1);
  const resident = `Resident memory, read ${rssBytes.length} times: ${megabytes(Math.min(...rssBytes))} to ${megabytes(Math.max(...rssBytes))} MB; in the second half ${megabytes(Math.min(...later))} to ${megabytes(Math.max(...later))} MB, with a slope of ${megabytes(slope(later) * later.length)} MB over that half.`;
  return `${table(title, head, rows)}\n\n${resident}`;
}
