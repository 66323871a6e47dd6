/** Counts the datagrams that no socket took, by their destination. */

import type { Unreachable } from "../core/ledger/reports.js";

/** The largest number of destinations that are counted. Datagrams to others are in the totals only. */
const maxDestinations = 1024;
/** The largest number of destinations that a report names. */
const maxNamed = 8;

/** A destination where nobody listens, and how many ICMP errors said so. */
export interface Refusal {
  readonly destination: string;
  readonly count: number;
}

/** The destinations whose hosts answered that no socket listens there. */
export class Refusals {
  readonly #counts = new Map<string, number>();

  /** Counts an ICMP error. */
  add({ destination, code }: Pick<Unreachable, "destination" | "code">): void {
    if (code !== "ECONNREFUSED" || !destination) return;
    const key = String(destination);
    const before = this.#counts.get(key);
    if (before !== undefined || this.#counts.size < maxDestinations) this.#counts.set(key, (before ?? 0) + 1);
  }

  /** The destinations with the largest counts, at most 8. */
  get largest(): readonly Refusal[] {
    return [...this.#counts]
      .map(([destination, count]) => ({ destination, count }))
      .sort((a, b) => b.count - a.count)
      .slice(0, maxNamed);
  }
}
