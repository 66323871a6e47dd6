/** The round trips of `datagram ping`, and their statistics. */

/** Round trips that are kept: a ping may run for days. */
const maxKept = 1_000_000;
/** The share of a new difference in the jitter. */
const jitterGain = 1 / 16;

/** Statistics in milliseconds. */
export type RoundTripStats = Readonly<Record<"minMs" | "medianMs" | "p99Ms" | "maxMs" | "jitterMs", number>>;

/** Collects round trips. The median and the 99th percentile are of the last 1,000,000. */
export class RoundTrips {
  count = 0;
  readonly #kept: number[] = [];
  #minMs = Infinity;
  #maxMs = 0;
  #lastMs: number | undefined;
  #jitterMs = 0;

  add(rttMs: number): void {
    this.#kept[this.count % maxKept] = rttMs;
    this.count++;
    this.#minMs = Math.min(this.#minMs, rttMs);
    this.#maxMs = Math.max(this.#maxMs, rttMs);
    // The estimator of RFC 3550 section 6.4.1, over round trips instead of one-way times.
    if (this.#lastMs !== undefined)
      this.#jitterMs += (Math.abs(rttMs - this.#lastMs) - this.#jitterMs) * jitterGain;
    this.#lastMs = rttMs;
  }

  /** The statistics; `undefined` without any round trip. */
  stats(): RoundTripStats | undefined {
    if (this.count === 0) return undefined;
    const sorted = Float64Array.from(this.#kept).sort();
    return {
      minMs: this.#minMs,
      medianMs: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      maxMs: this.#maxMs,
      jitterMs: this.#jitterMs,
    };
  }
}

/** The nearest-rank quantile: the smallest value that at least this share of the values does not exceed. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
