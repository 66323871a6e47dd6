/** Errors that end the command because of an ICMP error. */

import { type Refusal, refusalText } from "../core/ledger/report-texts.js";
import type { Address, Socket } from "../index.js";
import { Failure, exitCodes } from "./exit.js";

/** The error that ends the command if a datagram to `to` did not arrive. */
export function refused(refusal: Refusal, to: Address): Failure {
  return new Failure(exitCodes.refused, refusalText(refusal, to));
}

/** A signal that aborts with that error at the first ICMP error of a socket that sends only to `to`. */
export function refusalSignal(s: Socket, to: Address): AbortSignal {
  const stop = new AbortController();
  s.on("unreachable", (report) => stop.abort(refused(report, to)));
  return stop.signal;
}
