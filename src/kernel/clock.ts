import { checkDelay } from "../core/socket/arguments.js";
import type { Clock } from "../core/driver/driver.js";

/** The longest that a timer of Node's can wait, in milliseconds: about 24.8 days. */
const longestMs = 0x7fff_ffff;

const wallMs = followingWall(
  () => Date.now(),
  () => performance.now(),
);

/** The machine's time. */
export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => BigInt(Math.round(wallMs() * 1000)) * 1000n,
  after(ms, run) {
    const until = performance.now() + checkDelay("ms", ms);
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const again = leftMs > longestMs;
      const fire = again ? () => arm(until - performance.now()) : run;
      timer = setTimeout(fire, again ? longestMs : Math.max(1, Math.ceil(leftMs))).unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  },
  // Called while the loop polls, one immediate would run before it polls again: only after the second has all I/O
  // that was ready been looked at.
  turn(run) {
    setImmediate(() => setImmediate(run));
  },
};

/**
 * The system's clock with the resolution of the monotonic one. It goes on from one reading to the next by the monotonic
 * clock, and where that leaves the millisecond which the system's clock shows, since that one was set or slewed, it moves
 * there.
 *
 * @param system whole milliseconds since the epoch, cut off.
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

/** How far into a millisecond the clock may be: less than the whole, by what a number of this size can tell apart. */
const lastOfMs = 0.999;
