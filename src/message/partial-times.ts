/** When something is due for a message that is not complete. */

import type { Incoming } from "./incoming.js";
import type { LossCause } from "./message.js";
import type { ReceiverLimits } from "./receiver-host.js";

/** Milliseconds after which a chunk is reported. */
export const reportMs = 5;
/** The first wait before a report is repeated, the factor of the next ones, and their number. */
const repeatMs = 100;
const repeatFactor = 1.5;
const maxRepeats = 8;

/** Why the message has ended; `undefined` if it has not. */
export function endOf(partial: Incoming, limits: ReceiverLimits, now: number): LossCause | undefined {
  if (now < endAt(partial, limits)) return undefined;
  return now - partial.lastAt >= limits.idleMs ? "idle" : "late";
}

/** When the message ends, if no chunk comes until then. */
export function endAt(partial: Incoming, { idleMs, totalMs }: ReceiverLimits): number {
  const { fleeting, frame, startedAt, lastAt } = partial;
  const ms = fleeting && frame.attempt > 0 ? Math.min(totalMs, frame.attempt * 10) : totalMs;
  return Math.min(lastAt + idleMs, startedAt + ms);
}

/** When its report is repeated; `Infinity` if it is not. */
export function repeatAt({ fleeting, repeats, reportedAt, lastAt }: Incoming): number {
  if (fleeting || repeats >= maxRepeats) return Infinity;
  return Math.max(reportedAt, lastAt) + repeatMs * repeatFactor ** repeats;
}
