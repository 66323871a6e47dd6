/** Outcomes of system calls that no kernel gives on demand, put in by the addon of this thread. */

import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";

/** What the addon can be made to see: an errno by its name, or 0 for the kernel's own answer. */
export type Outcome = keyof typeof constants.errno | number;

/** Outcomes that can be planned at once. */
export const mostOutcomes = 64;

/**
 * Plans the outcomes of the system calls by which this thread sends next, in place of those planned before. The thread
 * must have opened a socket.
 *
 * @param outcomes for each call: an error; the most messages that it may send; 0 to leave it alone.
 * @returns how many of those planned before were never met.
 */
export function plan(outcomes: readonly Outcome[]): number {
  const numbers = outcomes.map((each) => (typeof each === "number" ? each : -constants.errno[each]));
  const unmet = addon().faults(Int32Array.from(numbers));
  if (unmet < 0) throw new Error(`the addon refused the plan: ${unmet}`);
  return unmet;
}

/**
 * The outcomes that make an error one of the datagrams at hand: again and again where it may have been ICMP's about
 * another, which more tries tell.
 */
export function lasting(code: keyof typeof constants.errno): readonly Outcome[] {
  return code === "EMSGSIZE" || code === "EHOSTUNREACH" ? [code, code, code] : [code];
}

interface Addon {
  faults(outcomes: Int32Array): number;
}

/** The same module that the library has. */
function addon(): Addon {
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve("datagram/package.json"));
  return require(join(root, `prebuilds/${process.platform}-${process.arch}/datagram.node`)) as Addon;
}
