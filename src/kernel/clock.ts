import type { Clock } from "../core/driver.js";

/** The longest that a timer of Node's can wait; what waits longer looks at its deadline again then. */
const longestMs = 0x7fff_ffff;

/** The machine's time. */
export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(1, Math.ceil(ms)), longestMs)).unref();
    return () => clearTimeout(timer);
  },
  // Called while the loop polls, one immediate would run before it polls again: only after the second has all I/O
  // that was ready been looked at.
  turn(run) {
    setImmediate(() => setImmediate(run));
  },
};
