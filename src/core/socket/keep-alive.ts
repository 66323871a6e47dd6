import { attempt } from "../driver/driver-errors.js";
import type { Clock, Driver } from "../driver/driver.js";

/** How long a process is kept alive after its last receive call stopped waiting, in milliseconds, at first. */
const minReleaseMs = 20;
/** The longest such time: it doubles each time the next call came before it was over. */
const maxReleaseMs = 320;

/**
 * Keeps the process alive while a receive call waits, unless the socket is unreferenced. The driver is told late that no
 * call waits: in a loop of receive calls, the next one nearly always comes at once. In a loop that goes on, the driver is told
 * later still, since each look costs a timer.
 */
export class KeepAlive {
  readonly #driver: Driver;
  readonly #clock: Clock;
  #referenced = true;
  #waiting = false;
  /** What the driver was told last. */
  #on = false;
  #releaseMs = minReleaseMs;
  #cancelRelease: (() => void) | undefined;
  #closed = false;

  constructor(driver: Driver, clock: Clock) {
    this.#driver = driver;
    this.#clock = clock;
  }

  /** Whether a receive call waits. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** A receive call waits, or none waits any more. */
  setWaiting(on: boolean): void {
    this.#waiting = on;
    this.#update();
  }

  /** Whether calls that wait keep the process alive. */
  setReferenced(on: boolean): void {
    this.#referenced = on;
    this.#update();
  }

  /** Tells the driver nothing from now on. */
  close(): void {
    this.#closed = true;
    this.#cancelRelease?.();
  }

  #update(): void {
    const on = this.#referenced && this.#waiting;
    if (on === this.#on || this.#closed) return;
    if (on) {
      this.#driver.keepAlive?.(true);
      this.#on = true;
    } else {
      this.#cancelRelease ??= this.#clock.after(this.#releaseMs, () => this.#release());
    }
  }

  #release(): void {
    this.#cancelRelease = undefined;
    if (this.#closed) return;
    if (this.#referenced && this.#waiting) {
      this.#releaseMs = Math.min(this.#releaseMs * 2, maxReleaseMs);
      return;
    }
    this.#releaseMs = minReleaseMs;
    // If this fails, the process is kept alive until `close()`.
    attempt(() => {
      this.#driver.keepAlive?.(false);
      this.#on = false;
    });
  }
}
