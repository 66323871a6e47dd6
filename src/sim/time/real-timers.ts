import timers from "node:timers";

type RealTimers = Pick<
  typeof timers,
  "setTimeout" | "clearTimeout" | "setInterval" | "clearInterval" | "setImmediate" | "clearImmediate"
>;

/** Node's own timers, taken before any are faked: what turns the real event loop while time is virtual. */
export const real: RealTimers = { ...timers };
