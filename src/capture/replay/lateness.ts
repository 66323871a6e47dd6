import type { ReplayLateness } from "./options.js";

/** Buckets of one microsecond each. */
const fineBuckets = 64;
/** Above `fineBuckets`, each power of two has so many buckets: the width of a bucket is at most 3 % of its times. */
const perPower = 32;
const maxUs = 2 ** 31 - 1;
const buckets = bucketOf(maxUs) + 1;

/** Counts how late datagrams are, in a table of a fixed size. */
export class Lateness {
  readonly #lateMs: number;
  readonly #counts = new Float64Array(buckets);
  #total = 0;
  #late = 0;
  #maxMs = 0;

  /** @param lateMs a datagram that is later than this counts as late. */
  constructor(lateMs: number) {
    this.#lateMs = lateMs;
  }

  add(ms: number): void {
    const bucket = bucketOf(Math.min(ms * 1000, maxUs));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total++;
    if (ms > this.#lateMs) this.#late++;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  summary(): ReplayLateness {
    return Object.freeze({
      p50Ms: this.#percentile(0.5),
      p99Ms: this.#percentile(0.99),
      maxMs: this.#maxMs,
      late: this.#late,
    });
  }

  #percentile(share: number): number {
    let left = Math.ceil(this.#total * share);
    for (let bucket = 0; bucket < buckets; bucket++) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) return Math.min(endOf(bucket) / 1000, this.#maxMs);
    }
    return this.#maxMs;
  }
}

function bucketOf(us: number): number {
  const whole = Math.trunc(us);
  if (whole < fineBuckets) return whole;
  const power = 31 - Math.clz32(whole);
  return fineBuckets + (power - 6) * perPower + ((whole >> (power - 5)) & (perPower - 1));
}

/** The microseconds at which a bucket ends. */
function endOf(bucket: number): number {
  if (bucket < fineBuckets) return bucket + 1;
  const power = 6 + Math.floor((bucket - fineBuckets) / perPower);
  return (perPower + ((bucket - fineBuckets) % perPower) + 1) * 2 ** (power - 5);
}
