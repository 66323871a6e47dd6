/** A time that is so many milliseconds before the last one means that the clock of the recorder was set. */
const clockSetMs = 1000;

/** The time of each datagram of a replay, in milliseconds from its start. */
export class ReplaySchedule {
  readonly #speed: number;
  /** When the current loop starts, and the time of the last datagram, at the speed of the recording. */
  #startMs = 0;
  #lastMs = 0;
  /** The recorded time that `#startMs` stands for; `undefined` before the first datagram of a loop. */
  #base: number | undefined;
  /** Datagrams of the current loop. */
  #datagrams = 0;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /**
   * Returns the time of the next datagram. Times never go back: a datagram whose recorded time is before that of the last one has the
   * time of the last one.
   *
   * @param recordedMs the recorded time, from any fixed time on.
   */
  next(recordedMs: number): number {
    this.#base ??= recordedMs;
    let at = this.#startMs + recordedMs - this.#base;
    if (at < this.#lastMs - clockSetMs) {
      this.#base = recordedMs - (this.#lastMs - this.#startMs);
      at = this.#lastMs;
    }
    this.#lastMs = Math.max(this.#lastMs, at);
    this.#datagrams++;
    return this.#lastMs / this.#speed;
  }

  /** Starts the next loop. Before it passes the mean time between two datagrams, so that their rate stays the same. */
  endLoop(): void {
    const gaps = this.#datagrams - 1;
    const meanMs = gaps > 0 ? (this.#lastMs - this.#startMs) / gaps : 0;
    this.#startMs = this.#lastMs + meanMs;
    this.#base = undefined;
    this.#datagrams = 0;
  }
}
