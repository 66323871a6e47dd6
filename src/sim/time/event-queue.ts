import type { Happening } from "./timeline.js";

/** Happenings may wait in numbers up to this, about 1 GiB of them. */
const mostWaiting = 10_000_000;

/** What is to happen, soonest first: a binary heap by (time, rank, order). What was called off stays until it is pruned. */
export class EventQueue {
  /** Times stand beside what they order, so that most comparisons read no object. */
  readonly #times: number[] = [];
  readonly #happenings: Happening[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** The soonest. */
  peek(): Happening | undefined {
    return this.#happenings[0];
  }

  /** @throws `RangeError` when ten million wait. */
  push(happening: Happening): void {
    if (this.size >= mostWaiting)
      throw new RangeError(`more than ${mostWaiting} happenings wait for their time`);
    // Grows both by one; what it was given moves to its place.
    this.#times.push(happening.time);
    this.#happenings.push(happening);
    this.#rise(this.size - 1, happening);
  }

  /** Takes the soonest away. */
  pop(): void {
    const last = this.#happenings.pop();
    this.#times.pop();
    if (last !== undefined && this.size > 0) this.#sink(0, last);
  }

  /** Keeps only some of what waits, in the order it had. */
  prune(keep: (happening: Happening) => boolean): void {
    const kept = this.#happenings.filter(keep);
    this.#happenings.length = 0;
    this.#times.length = 0;
    for (const happening of kept) {
      this.#happenings.push(happening);
      this.#times.push(happening.time);
    }
    for (let index = (kept.length >> 1) - 1; index >= 0; index--) this.#sink(index, at(kept, index));
  }

  /** Puts a happening at a position, or as far above it as it belongs. */
  #rise(from: number, happening: Happening): void {
    const times = this.#times;
    const happenings = this.#happenings;
    const { time } = happening;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const aboveTime = at(times, above);
      if (time > aboveTime || (time === aboveTime && !precedes(happening, at(happenings, above)))) break;
      times[index] = aboveTime;
      happenings[index] = at(happenings, above);
      index = above;
    }
    times[index] = time;
    happenings[index] = happening;
  }

  /** Puts a happening at a position, or as far below it as it belongs. */
  #sink(from: number, happening: Happening): void {
    const times = this.#times;
    const happenings = this.#happenings;
    const { size } = this;
    const { time } = happening;
    let index = from;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= size) break;
      let belowTime = at(times, below);
      if (below + 1 < size) {
        const other = at(times, below + 1);
        if (
          other < belowTime ||
          (other === belowTime && precedes(at(happenings, below + 1), at(happenings, below)))
        ) {
          below++;
          belowTime = other;
        }
      }
      if (time < belowTime || (time === belowTime && precedes(happening, at(happenings, below)))) break;
      times[index] = belowTime;
      happenings[index] = at(happenings, below);
      index = below;
    }
    times[index] = time;
    happenings[index] = happening;
  }
}

/** Which of two at one instant comes first. */
function precedes(one: Happening, other: Happening): boolean {
  return one.rank === other.rank ? one.order < other.order : one.rank < other.rank;
}

/** What is at an index that is known to be there. */
function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}
