/** Lets the rest of the program run between sends. */

import type { Clock } from "../driver/driver.js";

/** Datagrams sent between two reads of the clock. */
const clockEvery = 64;
/** Milliseconds of sending before the event loop must turn: a loop of awaited sends never leaves the microtasks. */
const turnMs = 4;

/** Says when a sender must pause until the event loop has turned. */
export class SendPause {
  readonly #clock: Clock;
  readonly #resume: () => void;
  #isPaused = false;
  /** When sending began in this turn of the loop; `undefined` if the clock was not read in it. */
  #busySince: number | undefined;
  #sinceClock = 0;

  /** @param resume runs when the loop has turned. */
  constructor(clock: Clock, resume: () => void) {
    this.#clock = clock;
    this.#resume = resume;
  }

  /** Whether the sender must wait until the loop has turned. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The loop has turned. */
  turned(): void {
    this.#sinceClock = 0;
  }

  /** The sender has sent more datagrams. */
  sent(datagrams: number): void {
    this.#sinceClock += datagrams;
    if (this.#sinceClock < clockEvery) return;
    this.#sinceClock = 0;
    if (this.#busySince === undefined) {
      this.#busySince = this.#clock.now();
      this.#clock.turn(() => {
        this.#busySince = undefined;
        this.#isPaused = false;
        this.#resume();
      });
    } else if (this.#clock.now() - this.#busySince >= turnMs) this.#isPaused = true;
  }
}
