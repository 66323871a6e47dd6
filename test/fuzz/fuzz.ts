/** Runs targets on changed inputs of the corpus until the time is over or an input fails. */

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";

import fc from "fast-check";

import { mutated } from "./mutations.js";
import { type Step, formatSteps } from "./steps.js";
import type { Target } from "./targets.js";

/** An input that a target fails on. */
export interface Failure {
  readonly target: string;
  readonly steps: readonly Step[];
  readonly error: string;
  /** The seed of the round that found it. */
  readonly seed: number;
}

/** How long a target is run. It stops at the first of the two limits. */
export interface Extent {
  readonly seconds: number;
  readonly runs: number;
}

/** Inputs of a round. Each round has its own seed, and reports its progress. */
const roundRuns = 1000;

/**
 * Runs a target on its corpus as it is, then on changed inputs.
 *
 * @param progress is called after each round with the number of inputs so far.
 * @returns the number of inputs, and the smallest input that fails.
 */
export function fuzz(
  target: Target,
  corpus: readonly (readonly Step[])[],
  seed: number,
  { seconds, runs }: Extent,
  progress: (runs: number) => void = () => undefined,
): { runs: number; failure?: Failure } {
  const endMs = performance.now() + seconds * 1000;
  const inputs = mutated(corpus, target.isFramed);
  for (const steps of corpus) {
    const error = errorOf(target, steps);
    if (error !== undefined) return { runs: 0, failure: { target: target.name, steps, error, seed } };
  }
  let done = 0;
  for (let round = seed; done < runs; round++) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) break;
    const result = fc.check(
      fc.property(inputs, (steps) => target.run(steps)),
      // oxlint-disable-next-line typescript/no-deprecated -- the plugin that replaces it takes inputs of any type
      { seed: round, numRuns: Math.min(roundRuns, runs - done), interruptAfterTimeLimit: leftMs },
    );
    if (result.counterexample) {
      const [steps] = result.counterexample;
      const error = errorOf(target, steps) ?? "it fails only sometimes";
      return { runs: done + result.numRuns, failure: { target: target.name, steps, error, seed: round } };
    }
    done += result.numRuns;
    progress(done);
  }
  return { runs: done };
}

/** Saves the input of a failure in the corpus of its target. Returns the path of the file. */
export function save(folder: string, { steps, error }: Failure): string {
  const text = formatSteps(steps);
  const path = `${folder}/failed-${createHash("sha256").update(text).digest("hex").slice(0, 12)}.txt`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `# ${error.split("\n", 1)[0] ?? ""}\n${text}`);
  return path;
}

/** Why a target fails on an input; `undefined` if it does not. */
export function errorOf({ run }: Target, steps: readonly Step[]): string | undefined {
  try {
    run(steps);
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
