/**
 * `node --import datagram/register app.js` runs a program for `node:dgram` over the sockets of this package, without a change.
 * With `DATAGRAM_REPORT=1`, the counts of the datagrams are written to standard error at exit, and with `DATAGRAM_REPORT=json` as a
 * JSON object: `report.ts` makes the text, `refusals.ts` counts the destinations where nobody listens, and `signals.ts` knows
 * when a signal ends the process. `passing.ts` refuses to pass a socket to another process.
 *
 * @module register
 */

import { subscribe } from "node:diagnostics_channel";
import { isMainThread } from "node:worker_threads";

import type { Unreachable } from "../core/ledger/reports.js";
import dgram from "../dgram/index.js";
import { stats } from "../index.js";
import { isDriverChosen } from "../kernel/choice.js";
import { replaceNodeDgram } from "../kernel/dgram/original.js";
import { refuseToPass } from "./passing.js";
import { Refusals } from "./refusals.js";
import { jsonReport, report } from "./report.js";
import { beforeSignalEnds } from "./signals.js";

refuseToPass(dgram.Socket.prototype);
replaceNodeDgram(dgram);

const format = process.env.DATAGRAM_REPORT;
if (format === "1") reportAtExit(report);
else if (format === "json") reportAtExit(jsonReport);

function reportAtExit(textOf: typeof jsonReport): void {
  const refusals = new Refusals();
  subscribe("datagram:unreachable", (event) => refusals.add((event as { message: Unreachable }).message));
  const write = (): void => {
    // A process without sockets has no driver. `npx` is one: the program that it starts has a report of its own.
    if (isDriverChosen()) process.stderr.write(textOf(stats(), refusals.largest));
  };
  process.on("exit", write);
  if (!isMainThread) return;
  for (const signal of ["SIGINT", "SIGTERM"] as const) beforeSignalEnds(signal, write);
}
