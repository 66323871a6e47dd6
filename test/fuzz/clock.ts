import type { Clock } from "../../src/core/driver/driver.js";

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now = 0;
  #timers: Timer[] = [];

  /** The number of timers that wait. */
  get timers(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#now;
  }

  wall(): bigint {
    return BigInt(Math.round(this.#now * 1e6));
  }

  after(ms: number, run: () => void): () => void {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`a timer of ${ms} ms`);
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  turn(run: () => void): void {
    this.after(0, run);
  }

  /** Lets time pass, and runs the timers that are due, in their order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let runs = 0; ; runs++) {
      const next = this.#next();
      if (!next || next.at > end) break;
      if (runs > 100_000) throw new Error("timers never end");
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = end;
  }

  /** The timer that is due first; of those at the same time, the one that was set first. */
  #next(): Timer | undefined {
    let [first] = this.#timers;
    for (const timer of this.#timers) if (first && timer.at < first.at) first = timer;
    return first;
  }
}
