import type { Clock } from "../core/driver/driver.js";

/** A timer that can be moved. It moves to a later time without a call to the clock. */
export class Alarm {
  readonly #clock: Clock;
  readonly #run: () => void;
  /** When `run` is to be called; `Infinity` if it is not. */
  #at = Infinity;
  /** When the timer of the clock fires; `Infinity` if there is none. */
  #timerAt = Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, run: () => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Calls `run` at this time, in place of the time that was set before. `Infinity` is never. */
  set(at: number): void {
    this.#at = at;
    if (at < this.#timerAt) this.#arm(this.#clock.now());
  }

  /** Calls `run` at this time, if that is earlier than the time that was set before. */
  setEarlier(at: number): void {
    if (at < this.#at) this.set(at);
  }

  /** Forgets the time, and ends the timer of the clock. It can be set again. */
  close(): void {
    this.#at = Infinity;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#timerAt = Infinity;
  }

  #arm(now: number): void {
    this.#cancel?.();
    this.#timerAt = this.#at;
    this.#cancel = this.#clock.after(Math.max(0, this.#at - now), () => this.#fired());
  }

  #fired(): void {
    this.#cancel = undefined;
    this.#timerAt = Infinity;
    if (this.#at === Infinity) return;
    const now = this.#clock.now();
    if (now < this.#at) {
      this.#arm(now);
      return;
    }
    this.#at = Infinity;
    this.#run();
  }
}
