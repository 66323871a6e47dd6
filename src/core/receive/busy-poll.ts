import type { Clock } from "../driver/driver.js";

/** Weight of the last wait in the estimate of how often looking finds a datagram. */
const weight = 1 / 8;
/** Waits between two tries while looking does not pay. */
const retryWaits = 64;

/**
 * Decides whether a receive call looks again and again before it waits for the event loop (option `busyPoll`). It does
 * while that finds a datagram in at least half of the waits. After that, one wait in 64 tries again.
 */
export class BusyPoll {
  readonly #clock: Clock;
  readonly #maxMs: number;
  /** How often looking found a datagram lately, 0 to 1. */
  #hitRatio = 1;
  #waitsSinceTry = 0;

  /** @param maxUs the longest time that one wait looks, in microseconds. */
  constructor(clock: Clock, maxUs: number) {
    this.#clock = clock;
    this.#maxMs = maxUs / 1000;
  }

  /** Whether the next wait looks. To be asked once for each wait. */
  pays(): boolean {
    return this.#hitRatio >= 0.5 || ++this.#waitsSinceTry >= retryWaits;
  }

  /** Calls `look` until it returns true, the time is over or `deadline` has passed. */
  run(look: () => boolean, deadline: number): void {
    this.#waitsSinceTry = 0;
    const until = Math.min(this.#clock.now() + this.#maxMs, deadline);
    let found = look();
    while (!found && this.#clock.now() < until) found = look();
    this.#hitRatio += ((found ? 1 : 0) - this.#hitRatio) * weight;
  }
}
