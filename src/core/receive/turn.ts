import type { Clock } from "../driver/driver.js";

/** The largest number of datagrams handed out in one turn of the event loop. After that the rest of the program runs. */
const turnDatagrams = 1024;
/** Milliseconds for which datagrams are handed out in one turn of the event loop. */
const turnMs = 4;
/** Datagrams handed out between two reads of the clock. */
const clockInterval = 32;

/** How many datagrams a socket may still hand out in this turn of the event loop. */
export class Turn {
  readonly #clock: Clock;
  #credit = turnDatagrams;
  #sinceClock = 0;
  /** `NaN` until the clock is read for the first time in a turn. */
  #startedMs = NaN;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a datagram may be handed out. */
  get hasRoom(): boolean {
    return this.#credit > 0;
  }

  /** Another turn has begun. */
  start(): void {
    this.#credit = turnDatagrams;
    this.#sinceClock = 0;
    this.#startedMs = NaN;
  }

  /** To be called after `count` datagrams were handed out. */
  passed(count: number): void {
    this.#credit -= count;
    this.#sinceClock += count;
    if (this.#sinceClock >= clockInterval) this.look();
  }

  /** Reads the clock, and ends this turn if it has lasted long enough. */
  look(): void {
    this.#sinceClock = 0;
    const now = this.#clock.now();
    if (Number.isNaN(this.#startedMs)) this.#startedMs = now;
    else if (now - this.#startedMs > turnMs) this.#credit = 0;
  }
}
