/** How fast a count grows: its mean rate over the last samples. */
export class RecentRate {
  readonly #maxSamples: number;
  readonly #samples: { readonly atMs: number; readonly total: number }[];

  /** @param nowMs the time at which the count is 0. */
  constructor(maxSamples: number, nowMs: number) {
    this.#maxSamples = maxSamples;
    this.#samples = [{ atMs: nowMs, total: 0 }];
  }

  /** Adds a sample, and returns the rate for each second. */
  add(total: number, nowMs: number): number {
    this.#samples.push({ atMs: nowMs, total });
    if (this.#samples.length > this.#maxSamples) this.#samples.shift();
    const [first = { atMs: nowMs, total }] = this.#samples;
    return ((total - first.total) * 1000) / Math.max(1, nowMs - first.atMs);
  }
}
