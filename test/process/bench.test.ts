import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";

import { beforeAll, describe, expect, test } from "vitest";

import { type Lifetime, Program, cleanEnding, home, sharedLifetime, whySkipped } from "./programs.js";

interface Report {
  readonly workloads: Readonly<Record<string, Readonly<Record<string, Outcome>>>>;
  readonly targets: readonly { readonly work: string; readonly ratio: { readonly median: number } | null }[];
}

interface Outcome {
  readonly rounds?: readonly Readonly<Record<string, number>>[];
  readonly missing?: string;
  readonly failed?: string;
}

const bench = [process.execPath, `${home}build/bench/main.js`];
const profile = [process.execPath, `${home}build/bench/profile.js`];

describe("the benchmark", () => {
  const life = sharedLifetime();
  /** Three rounds of one workload, so that the median is not the mean. */
  let report: Report;

  beforeAll(async () => {
    report = await reported(life, 3, "awaited-send");
  });

  test("prints every round of every contender, or why a contender is missing", async (context) => {
    // Each contender of the second workload is two processes.
    const both = await reported(context, 1, "awaited-send,round-trip");
    expect(Object.keys(both.workloads)).toEqual(["awaited-send", "round-trip"]);
    for (const [rounds, { workloads }] of [[3, report] as const, [1, both] as const]) {
      for (const outcome of Object.values(workloads).flatMap((each) => Object.values(each))) {
        if (outcome.rounds) expect(outcome.rounds).toHaveLength(rounds);
        else expect(outcome.missing).toMatch(/^no (native|c): ./);
      }
    }
    const { workloads } = both;
    expect(workloads["awaited-send"]?.["node:dgram"]?.rounds?.[0]?.perSecond).toBeGreaterThan(0);
    expect(workloads["round-trip"]?.["node:dgram both"]?.rounds?.[0]?.p50).toBeGreaterThan(0);
  });

  test("compares with a target the median of the ratios within the rounds", () => {
    const { workloads, targets } = report;
    const rates = (name: string): number[] =>
      workloads["awaited-send"]?.[name]?.rounds?.map(({ perSecond = NaN }) => perSecond) ?? [];
    const others = rates("node:dgram");
    const ratios = rates("dgram").map((rate, round) => rate / others[round]!);
    const target = targets.find(({ work }) => work === "the fallback, awaited-send");
    expect(target?.ratio?.median).toBe(ratios.sort((a, b) => a - b)[1]);
  });
});

test("--write with --only is refused if the document has no place for these tables, before anything is measured", async (context) => {
  const { code, lines, stderr } = await run(context, ["--quick", "--only", "awaited-send", "--write"]);
  expect(code).toBe(2);
  expect(stderr).toContain("docs/performance.md has no <!-- bench awaited-send:start -->");
  expect(lines).toEqual([]);
});

test("a failed contender is named with its reason, the others are measured, and the benchmark exits with 1", async (context) => {
  if (availableParallelism() < 2) context.skip("skipped: with one CPU, no contender is started by taskset");
  const folder = await mkdtemp(join(tmpdir(), "datagram-bench-"));
  context.onTestFinished(() => rm(folder, { recursive: true }));
  const taskset = join(folder, "taskset");
  const fails = 'case "$*" in *contender=dgram*) echo out of luck >&2; exit 7;; esac';
  await writeFile(taskset, `#!/bin/sh\nshift 2\n${fails}\nexec "$@"\n`);
  await chmod(taskset, 0o755);
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH ?? ""}` };
  const { code, lines, stderr } = await run(context, ["--quick", "--only", "awaited-send", "--json"], env);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^bench: awaited-send, dgram: .*ended with 7\nout of luck$/m);
  const { "node:dgram": other, dgram } = (JSON.parse(lines.join("\n")) as Report).workloads["awaited-send"]!;
  expect(dgram?.failed).toContain("out of luck");
  expect(other?.rounds).toHaveLength(1);
});

test.for([
  { options: ["--only", "nix"], says: "no workload is called nix; there are deliver-64, " },
  { options: ["--rounds", "0"], says: "--rounds is a whole number from 1 to 100, not 0" },
  { options: ["--nix"], says: "Unknown option '--nix'" },
])("the benchmark refuses $options and lists what exists", async ({ options, says }, context) => {
  const { code, stderr } = await run(context, options);
  expect(code).toBe(2);
  expect(stderr).toContain(says);
  expect(stderr).toContain("Usage: npm run bench");
});

test("a profile names the files of the package, and its shares are 100% together", async (context) => {
  const why = whySkipped("native");
  if (why !== undefined) context.skip(why);
  const { lines, ...ending } = await new Program(context, [...profile, "deliver-64"]).ended;
  expect(ending).toEqual(cleanEnding);
  const rows = lines.filter((line) => line.startsWith("|")).slice(2);
  const cells = rows.map((row) => row.split("|").map((cell) => cell.trim()));
  expect(cells.map(([, place]) => place)).toContain("`src/core/socket/iteration.ts`");
  // Each share is rounded.
  const sum = cells.reduce((total, [, , share]) => total + Number(share), 0);
  expect(Math.abs(sum - 100)).toBeLessThan(2);
});

test("the profile command refuses an unknown workload and lists what exists", async (context) => {
  const { code, stderr } = await new Program(context, [...profile, "nix"]).ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(/^Usage: npm run bench:profile[^]*^ {2}deliver-64 /m);
});

/** The report of a quick benchmark, which succeeds. */
async function reported(life: Lifetime, rounds: number, only: string): Promise<Report> {
  const { code, lines } = await run(life, ["--quick", "--rounds", String(rounds), "--only", only, "--json"]);
  expect(code).toBe(0);
  return JSON.parse(lines.join("\n")) as Report;
}

function run(life: Lifetime, options: readonly string[], env = process.env): Program["ended"] {
  return new Program(life, [...bench, ...options], env).ended;
}
