import type { ScheduledEvent } from "./event.js";

/** Happenings may wait in numbers up to this, about 1 GiB of them. */
const maxWaiting = 10_000_000;

/** What is to happen, soonest first: a binary heap by (time, rank, order). What was called off stays until it is pruned. */
export class EventQueue {
  /** Times stand beside what they order, so that most comparisons read no object. */
  readonly #times: number[] = [];
  readonly #events: ScheduledEvent[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** The soonest. */
  peek(): ScheduledEvent | undefined {
    return this.#events[0];
  }

  /** @throws `RangeError` when ten million wait. */
  push(event: ScheduledEvent): void {
    if (this.size >= maxWaiting)
      throw new RangeError(`more than ${maxWaiting} happenings wait for their time`);
    // Grows both by one; what it was given moves to its place.
    this.#times.push(event.time);
    this.#events.push(event);
    this.#rise(this.size - 1, event);
  }

  /** Takes the soonest away. */
  pop(): void {
    const last = this.#events.pop();
    this.#times.pop();
    if (last !== undefined && this.size > 0) this.#sink(0, last);
  }

  /** Keeps only some of what waits, in the order it had. */
  prune(keep: (event: ScheduledEvent) => boolean): void {
    const kept = this.#events.filter(keep);
    this.#events.length = 0;
    this.#times.length = 0;
    for (const event of kept) {
      this.#events.push(event);
      this.#times.push(event.time);
    }
    for (let index = (kept.length >> 1) - 1; index >= 0; index--) this.#sink(index, at(kept, index));
  }

  /** Puts a happening at a position, or as far above it as it belongs. */
  #rise(from: number, event: ScheduledEvent): void {
    const times = this.#times;
    const events = this.#events;
    const { time } = event;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const aboveTime = at(times, above);
      if (time > aboveTime || (time === aboveTime && !precedes(event, at(events, above)))) break;
      times[index] = aboveTime;
      events[index] = at(events, above);
      index = above;
    }
    times[index] = time;
    events[index] = event;
  }

  /** Puts a happening at a position, or as far below it as it belongs. */
  #sink(from: number, event: ScheduledEvent): void {
    const times = this.#times;
    const events = this.#events;
    const { size } = this;
    const { time } = event;
    let index = from;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= size) break;
      let belowTime = at(times, below);
      if (below + 1 < size) {
        const other = at(times, below + 1);
        if (
          other < belowTime ||
          (other === belowTime && precedes(at(events, below + 1), at(events, below)))
        ) {
          below++;
          belowTime = other;
        }
      }
      if (time < belowTime || (time === belowTime && precedes(event, at(events, below)))) break;
      times[index] = belowTime;
      events[index] = at(events, below);
      index = below;
    }
    times[index] = time;
    events[index] = event;
  }
}

/** Which of two at one instant comes first. */
function precedes(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.rank === other.rank ? one.order < other.order : one.rank < other.rank;
}

/** What is at an index that is known to be there. */
function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}
