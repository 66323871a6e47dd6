/** Seconds that the page draws. */
export const shownSeconds = 60;
/** Seconds that are kept: one more, since the last one is not over. */
const keptSeconds = shownSeconds + 1;

/** Counts for each of the last seconds. */
export class Rates {
  readonly #counts = new Float64Array(keptSeconds);
  /** The newest second that has a count, in seconds since 1970. */
  #last = 0;

  add(second: number, count: number): void {
    this.#advance(second);
    // A count of a second that is no longer kept is left out.
    if (second > this.#last - keptSeconds) this.#counts[second % keptSeconds] = this.at(second) + count;
  }

  /** Adds counts of consecutive seconds. `second` is that of the last one. */
  addHistory(history: readonly number[], second: number): void {
    history.forEach((count, index) => this.add(second - history.length + 1 + index, count));
  }

  /** The count of a second; 0 if it is not kept. */
  at(second: number): number {
    if (second > this.#last || second <= this.#last - keptSeconds) return 0;
    return this.#counts[second % keptSeconds] ?? 0;
  }

  /** The largest count of the last seconds. */
  get max(): number {
    return Math.max(...this.#counts);
  }

  /**
   * Per second, at a time in milliseconds since 1970: the last whole second, or the mean of the last ten if it is small, because
   * a peer that sends every few seconds has a rate too.
   */
  perSecond(atMs: number): number {
    const second = Math.floor(atMs / 1000) - 1;
    const count = this.at(second);
    if (count >= 10) return count;
    let sum = 0;
    for (let back = 0; back < 10; back++) sum += this.at(second - back);
    return sum / 10;
  }

  #advance(second: number): void {
    if (second <= this.#last) return;
    const from = Math.max(this.#last + 1, second - keptSeconds + 1);
    for (let each = from; each <= second; each++) this.#counts[each % keptSeconds] = 0;
    this.#last = second;
  }
}
