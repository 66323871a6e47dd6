/** The measured figures, and what follows from them. */
import type { Figures } from "./runs.js";

/** Why a case could not run here. */
interface Missing {
  readonly missing: string;
}

/** How a case failed. */
interface Failed {
  readonly failed: string;
}

/** The rounds of one case, or why it could not run here, or how it failed. */
export type Outcome = { readonly rounds: readonly Figures[] } | Missing | Failed;

/** The resident memory of a receiver after its first million datagrams and at the end, and V8's young generation in it. */
export type MemoryOutcome =
  | {
      readonly received: number;
      readonly firstRssBytes: number;
      readonly firstYoungBytes: number;
      readonly lastRssBytes: number;
      readonly lastYoungBytes: number;
    }
  | Missing
  | Failed;

/** The figures of drains, each with the same drain without metadata. */
export type CostOutcome = { readonly costs: readonly Cost[] } | Missing | Failed;

/** The figures of the simulated network. */
export type SimOutcome =
  | {
      readonly figures: readonly SimFigure[];
      /** The cost of a datagram among ten thousand hosts, divided by its cost between the only two hosts, in one process. */
      readonly idleCost: Spread | undefined;
    }
  | Failed;

/** Datagrams per second, seconds or bytes. */
export interface SimFigure {
  readonly name: string;
  readonly figure: "perSecond" | "seconds" | "rssBytes";
  readonly spread: Spread | undefined;
}

/** Nanoseconds of CPU time for each datagram. */
export interface Cost {
  /** The name of the drain. */
  readonly drain: string;
  /** Whether the drain has a target. */
  readonly judged: boolean;
  readonly off: Spread;
  readonly on: Spread;
  /** The ratio of each round. */
  readonly ratio: Spread;
}

/** The outcomes by workload, then by case. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Outcome>>;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One figure over all rounds, if it was measured. */
export function spreadOf(outcome: Outcome | undefined, figure: string): Spread | undefined {
  return spread(roundsOf(outcome).map((round) => round[figure]));
}

/** The ratio of one case to another in each round: a slow machine slows both cases of a round. */
export function ratioOf(
  outcome: Outcome | undefined,
  against: Outcome | undefined,
  figure: string,
): Spread | undefined {
  const others = roundsOf(against);
  return spread(
    roundsOf(outcome).map((round, index) => {
      const [one, other] = [round[figure], others[index]?.[figure]];
      // A ratio to 0 or to a missing figure has no meaning.
      return one === undefined || !other ? undefined : one / other;
    }),
  );
}

/** Whether a peer was ready to run for much of its window and had no CPU. Threads of its own runtime cause some of that. */
export function isDisturbed({ waited = 0 }: Figures): boolean {
  return waited > 0.15;
}

/** Why a case has no figures. */
export function absence(outcome: Outcome | MemoryOutcome | CostOutcome | undefined): string | undefined {
  if (!outcome) return "not measured";
  if ("missing" in outcome) return outcome.missing;
  return "failed" in outcome ? `failed: ${outcome.failed.split("\n", 1)[0] ?? ""}` : undefined;
}

export function roundsOf(outcome: Outcome | undefined): readonly Figures[] {
  return outcome && "rounds" in outcome ? outcome.rounds : [];
}

export function spread(figures: readonly (number | undefined)[]): Spread | undefined {
  const sorted = figures.filter((each) => each !== undefined).sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) return undefined;
  const middle = (sorted.length - 1) / 2;
  const [below = min, above = max] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return { median: (below + above) / 2, min, max };
}
