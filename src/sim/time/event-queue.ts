import type { ScheduledEvent } from "./event.js";

/** The number of events that may wait at one time: about 1 GiB of memory. */
const maxWaiting = 10_000_000;

/** Events that wait for their time, earliest first: a binary heap by (time, rank, order). Cancelled events stay until they are pruned. */
export class EventQueue {
  /** The times are also stored by themselves, so that most comparisons read no object. */
  readonly #times: number[] = [];
  readonly #events: ScheduledEvent[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** The earliest event. */
  peek(): ScheduledEvent | undefined {
    return this.#events[0];
  }

  /** @throws `RangeError` when ten million events wait. */
  push(event: ScheduledEvent): void {
    if (this.size >= maxWaiting) throw new RangeError(`more than ${maxWaiting} events wait for their time`);
    // Makes both arrays longer by one. `#rise` then moves the event to its place.
    this.#times.push(event.time);
    this.#events.push(event);
    this.#rise(this.size - 1, event);
  }

  /** Removes the earliest event. */
  pop(): void {
    const removedTime = this.#times[0] as number;
    const last = this.#events.pop();
    this.#times.pop();
    if (last === undefined || this.size === 0) return;
    this.#sink(0, last);
    if (at(this.#times, 0) < removedTime) throw new Error("the event queue is out of order");
  }

  /** Removes the events for which `keep` returns `false`. */
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

  /** Puts an event at a position, or above it if it is earlier than the events there. */
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
    if (index > 0 && at(times, (index - 1) >> 1) > time) throw new Error("the event queue is out of order");
  }

  /** Puts an event at a position, or below it if it is later than the events there. */
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

/** Whether the first of two events at one instant comes first. */
function precedes(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.rank === other.rank ? one.order < other.order : one.rank < other.rank;
}

/** The element at an index that is within the list. */
function at<T>(list: readonly T[], index: number): T {
  return list[index] as T;
}
