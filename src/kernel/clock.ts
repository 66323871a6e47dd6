import { checkDelay } from "../core/socket/arguments.js";
import type { Clock } from "../core/driver/driver.js";

/** The longest time that a timer of Node can wait, in milliseconds: about 24.8 days. */
const longestMs = 0x7fff_ffff;
/**
 * Milliseconds by which a timer must be late so that the loop turns before it runs. Node runs timers before it polls: after the
 * program was busy, or the machine stopped it, a timeout would end a call whose answer has been there for long.
 */
const lateMs = 5;
/** The late timers that wait for the loop to turn. Those that end after them wait too, so that timers run in the order of their times. */
let lateTimers = 0;

const wallMs = followingWall(
  () => Date.now(),
  () => performance.now(),
);

/** The clock of the machine. */
export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => BigInt(Math.round(wallMs() * 1000)) * 1000n,
  after(ms, run) {
    const until = performance.now() + checkDelay("ms", ms);
    let timer: NodeJS.Timeout;
    let isCancelled = false;
    const fire = (): void => {
      if (lateTimers === 0 && performance.now() - until < lateMs) {
        run();
        return;
      }
      lateTimers++;
      realClock.turn(() => {
        lateTimers--;
        if (!isCancelled) run();
      });
    };
    const arm = (leftMs: number): void => {
      const again = leftMs > longestMs;
      const next = again ? () => arm(until - performance.now()) : fire;
      timer = setTimeout(next, again ? longestMs : Math.max(1, Math.ceil(leftMs))).unref();
    };
    arm(ms);
    return () => {
      isCancelled = true;
      clearTimeout(timer);
    };
  },
  keepAlive() {
    const timer = setInterval(() => undefined, longestMs);
    return () => clearInterval(timer);
  },
  // During the poll phase of the loop, the first immediate runs before the loop polls again. The second one runs after the
  // next poll, so all I/O that was ready has been handled.
  turn(run) {
    setImmediate(() => setImmediate(run));
  },
};

/**
 * Combines the system's clock with the resolution of the monotonic clock. Between two readings, the time advances by the
 * monotonic clock. If it then differs from the millisecond of the system's clock, because the system's clock was set or
 * slewed, it moves to this millisecond.
 *
 * @param system whole milliseconds since the epoch, rounded down.
 * @param monotonic milliseconds with fractions.
 * @returns a clock in milliseconds since the epoch, with fractions.
 */
export function followingWall(system: () => number, monotonic: () => number): () => number {
  let offsetMs = system() - monotonic();
  return () => {
    const shown = system();
    const reached = monotonic() + offsetMs;
    const moved = Math.min(Math.max(reached, shown), shown + lastOfMs);
    offsetMs += moved - reached;
    return moved;
  };
}

/** The largest fraction of a millisecond that the clock shows. A `number` of this size can still tell it from 1. */
const lastOfMs = 0.999;
