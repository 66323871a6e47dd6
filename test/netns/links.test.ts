/** Runs the part of the contract for a host on two links (test/contract/links) over the drivers of the kernel. */

import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";

import { expect, test } from "vitest";

import { Program, cleanEnding, home, overDrivers } from "../process/programs.js";
import { host, join, needNetworks } from "./network.js";

/** The report that vitest writes about a run. */
interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

overDrivers((driver) => {
  test("every row for a host on two links holds", async (t) => {
    needNetworks(t);
    const [own, ...neighbours] = await Promise.all([host(t), host(t), host(t)]);
    for (const [number, neighbour] of neighbours.entries()) {
      join(own, neighbour, number);
      const program = [`${home}test/contract/links/neighbour.py`, `link${number} `, `dg${number}b`];
      const running = new Program(t, [...neighbour.within, "python3", "-S", ...program]);
      expect(await running.line()).toBe("ready");
    }
    const folder = await mkdtemp(joinPath(tmpdir(), "datagram-links-"));
    t.onTestFinished(() => rm(folder, { recursive: true }));
    const report = joinPath(folder, "report.json");
    const run = [`${home}node_modules/vitest/vitest.mjs`, "run", `--root=${home}`];
    const reporter = ["--reporter=json", `--outputFile=${report}`, `--project=two links over ${driver}`];
    const rows = process.env.DATAGRAM_LINKS_ROWS;
    const only = rows === undefined ? [] : [`--testNamePattern=${rows}`];
    const ending = await new Program(t, [...own.within, process.execPath, ...run, ...reporter, ...only], {
      ...process.env,
      DATAGRAM_LINKS: "dg0a dg1a",
    }).ended;
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
    const failures = testResults.flatMap(({ message, assertionResults }) => [
      ...(message === "" ? [] : [message]),
      ...assertionResults
        .filter(({ status }) => status === "failed")
        .map(({ fullName, failureMessages }) => `${fullName}\n${failureMessages.join("\n")}`),
    ]);
    expect(failures).toEqual([]);
    expect(numPassedTests).toBeGreaterThan(0);
    expect(ending.code).toBe(cleanEnding.code);
  });
});
