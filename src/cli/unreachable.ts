/** Errors that end the command because of an ICMP error. */

import { type Refusal, refusalText } from "../core/ledger/report-texts.js";
import type { Address } from "../index.js";
import { Failure, exitCodes } from "./exit.js";

/** The error that ends the command if a datagram to `to` did not arrive. */
export function refused(refusal: Refusal, to: Address): Failure {
  return new Failure(exitCodes.refused, refusalText(refusal, to));
}
