/**
 * Planned outcomes of system calls, for errors that no kernel causes on demand. The addon of the package has none of this:
 * `npm run build:addon` also builds a second addon, which has it.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";

import { addonPath, requireAll } from "./programs.js";

const require = createRequire(import.meta.url);
const root = dirname(require.resolve("datagram/package.json"));
const packageAddon = join(root, addonPath);

/** The addon that has planned outcomes. */
export const faultsAddon: string = join(root, "build/faults/datagram.node");

/** Why tests with planned outcomes are skipped; `undefined` if they run, and always if every test is required. */
export const whyNoFaults: string | undefined =
  requireAll || (existsSync(packageAddon) && existsSync(faultsAddon))
    ? undefined
    : "skipped: the addon with planned errors is missing, npm run build:addon builds it";

/** An outcome of a system call: an error by its name, the maximum number of messages, or 0 for the kernel's own answer. */
export type Outcome = keyof typeof constants.errno | number;

/** The maximum number of outcomes that can be planned at once. */
export const maxOutcomes = 64;

/** Makes the library use the addon with planned outcomes. Must be called before this thread opens its first socket. */
export function loadFaults(): void {
  require(faultsAddon);
  // The library finds this module when it loads its own addon.
  require.cache[packageAddon] = require.cache[faultsAddon];
}

/**
 * Plans the outcomes of the next system calls with which this thread sends, in place of the earlier plan. The thread must
 * have called `loadFaults` and opened a socket.
 *
 * @param outcomes one for each call.
 * @returns how many outcomes of the earlier plan were not used.
 */
export function plan(outcomes: readonly Outcome[]): number {
  const numbers = outcomes.map((each) => (typeof each === "number" ? each : -constants.errno[each]));
  const unused = (require(packageAddon) as Addon).faults(Int32Array.from(numbers));
  if (unused < 0) throw new Error(`the addon refused the plan: ${unused}`);
  return unused;
}

/**
 * The outcomes that make an error the error of the datagram that is sent. If an ICMP error about another datagram can cause
 * the code, the library tries again, and believes it after some tries.
 */
export function lasting(code: keyof typeof constants.errno): readonly Outcome[] {
  return code === "EMSGSIZE" || code === "EHOSTUNREACH" ? [code, code, code] : [code];
}

interface Addon {
  faults(outcomes: Int32Array): number;
}
