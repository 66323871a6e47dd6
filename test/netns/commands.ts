/** Commands on the hosts of a test, without a start of a process for each. */

import { type Run, startCommands } from "../cli/one-process.js";
import type { DriverName } from "../process/programs.js";
import type { Host } from "./network.js";

const started = new WeakMap<Host, Map<DriverName, Run>>();

/** Runs commands on a host over a driver, one after the other in one process. It ends when the host is gone. */
export function commandsOn(at: Host, driver: DriverName): Run {
  const ofHost = started.get(at) ?? new Map<DriverName, Run>();
  started.set(at, ofHost);
  const known = ofHost.get(driver);
  if (known) return known;
  const run = startCommands(at.life, { DATAGRAM_DRIVER: driver }, at.within);
  ofHost.set(driver, run);
  return run;
}
