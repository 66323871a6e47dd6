import { attempt } from "../driver/driver-errors.js";
import type { Clock, Driver } from "../driver/driver.js";

/** How long a process is kept alive after its last receive call stopped waiting, in milliseconds, at first. */
const minReleaseMs = 20;
/** The longest such time: it doubles each time the next call came before it was over. */
const maxReleaseMs = 320;

/**
 * Keeps the process alive while a receive call waits or a layer above holds it, unless the socket is unreferenced. The driver is told late that no
 * call waits: in a loop of receive calls, the next one nearly always comes at once. In a loop that goes on, the driver is told
 * later still, since each look costs a timer.
 */
export class KeepAlive {
  readonly #driver: Driver;
  readonly #clock: Clock;
  #referenced = true;
  #waiting = false;
  /** How many calls of `hold` have not ended. */
  #holds = 0;
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

  /** Keeps the process alive until the returned function is called. */
  hold(): () => void {
    this.#holds++;
    this.#update();
    return () => {
      this.#holds--;
      this.#update();
    };
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

  get #isNeeded(): boolean {
    return this.#referenced && (this.#waiting || this.#holds > 0);
  }

  #update(): void {
    const on = this.#isNeeded;
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
    if (this.#isNeeded) {
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
