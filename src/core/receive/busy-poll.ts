import type { Clock } from "../driver/driver.js";
import { HitRatio } from "./hit-ratio.js";

/**
 * Decides whether a receive call looks again and again before it waits for the event loop (option `busyPoll`). It does
 * while that finds a datagram in at least half of the waits. After that, one wait in 64 tries again.
 */
export class BusyPoll {
  readonly #clock: Clock;
  readonly #maxMs: number;
  readonly #hits: HitRatio = new HitRatio(1 / 2);

  /** @param maxUs the longest time that one wait looks, in microseconds. */
  constructor(clock: Clock, maxUs: number) {
    this.#clock = clock;
    this.#maxMs = maxUs / 1000;
  }

  /** Whether the next wait looks. To be asked once for each wait. */
  pays(): boolean {
    return this.#hits.pays();
  }

  /** Calls `look` until it returns true, the time is over or `deadline` has passed. */
  run(look: () => boolean, deadline: number): void {
    const until = Math.min(this.#clock.now() + this.#maxMs, deadline);
    let found = look();
    while (!found && this.#clock.now() < until) found = look();
    this.#hits.tried(found);
  }
}
