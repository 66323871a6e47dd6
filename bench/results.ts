/** What was measured, and what it comes to. */
import type { Figures } from "./runs.js";

/** The rounds of one case, why it could not be run here, or how it failed. */
export type Outcome =
  { readonly rounds: readonly Figures[] } | { readonly missing: string } | { readonly failed: string };

/** What a receiver held after its first million datagrams, and at the end. */
export type MemoryOutcome =
  | { readonly received: number; readonly firstRssBytes: number; readonly lastRssBytes: number }
  | { readonly missing: string }
  | { readonly failed: string };

/** What drains took, each beside the same without metadata. */
export type CostOutcome =
  { readonly costs: readonly Cost[] } | { readonly missing: string } | { readonly failed: string };

/** The simulated network. */
export type SimOutcome =
  | {
      readonly figures: readonly SimFigure[];
      /** What a datagram costs among ten thousand hosts, to what it costs between the only two, in one process. */
      readonly idleCost: Spread | undefined;
    }
  | { readonly failed: string };

/** Datagrams a second, seconds or bytes. */
export interface SimFigure {
  readonly name: string;
  readonly figure: "perSecond" | "seconds" | "rssBytes";
  readonly spread: Spread | undefined;
}

/** Nanoseconds of CPU time a datagram. */
export interface Cost {
  /** What was drained, and how. */
  readonly drain: string;
  /** Whether it has a target. */
  readonly judged: boolean;
  readonly off: Spread;
  readonly on: Spread;
  /** Round by round. */
  readonly ratio: Spread;
}

/** By workload, then by case. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Outcome>>;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One figure over the rounds, if it was measured. */
export function spreadOf(outcome: Outcome | undefined, figure: string): Spread | undefined {
  return spread(roundsOf(outcome).map((round) => round[figure]));
}

/** The ratio of one case to another, round by round: what slows the machine for a while slows both. */
export function ratioOf(
  outcome: Outcome | undefined,
  against: Outcome | undefined,
  figure: string,
): Spread | undefined {
  const others = roundsOf(against);
  return spread(
    roundsOf(outcome).map((round, index) => {
      const [one, other] = [round[figure], others[index]?.[figure]];
      // To nothing, nothing compares.
      return one === undefined || !other ? undefined : one / other;
    }),
  );
}

/** Whether a peer could have run for much of its window and had no CPU. Its runtime's own threads take some of it. */
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
