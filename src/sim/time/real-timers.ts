import timers from "node:timers";

type RealTimers = Pick<
  typeof timers,
  "setTimeout" | "clearTimeout" | "setInterval" | "clearInterval" | "setImmediate" | "clearImmediate"
>;

/** The timers of Node.js, taken before they are replaced. They drive the real event loop while time is virtual. */
export const real: RealTimers = { ...timers };
