/** Lets the rest of the program run between sends. */

import type { Clock } from "../driver/driver.js";

/** Datagrams sent between two reads of the clock. */
const clockEvery = 64;
/** Milliseconds of sending before the event loop must turn: a loop of awaited sends never leaves the microtasks. */
const turnMs = 4;

/** Says when a sender must rest until the event loop has turned. */
export class Rest {
  readonly #clock: Clock;
  readonly #ended: () => void;
  #resting = false;
  /** When sending began in this turn of the loop; `undefined` if the clock was not read in it. */
  #busySince: number | undefined;
  #sinceClock = 0;

  /** @param ended runs when the loop has turned. */
  constructor(clock: Clock, ended: () => void) {
    this.#clock = clock;
    this.#ended = ended;
  }

  /** Whether nothing is to be sent before the loop turns. */
  get resting(): boolean {
    return this.#resting;
  }

  /** The loop has turned. */
  turned(): void {
    this.#sinceClock = 0;
  }

  /** So many more datagrams were sent. */
  sent(datagrams: number): void {
    this.#sinceClock += datagrams;
    if (this.#sinceClock < clockEvery) return;
    this.#sinceClock = 0;
    if (this.#busySince === undefined) {
      this.#busySince = this.#clock.now();
      this.#clock.turn(() => {
        this.#busySince = undefined;
        this.#resting = false;
        this.#ended();
      });
    } else if (this.#clock.now() - this.#busySince >= turnMs) this.#resting = true;
  }
}
