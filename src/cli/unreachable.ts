/** Errors that end the command because a datagram cannot be sent, or because of an ICMP error. */

import { Address } from "../core/address/address.js";
import { OSError, textOf } from "../core/errors/errors.js";
import { type Refusal, refusalText } from "../core/ledger/report-texts.js";
import { longerMessages } from "../core/send/failure.js";
import { Failure, exitCodes } from "./exit.js";

/** The calls that send, and `connect`, which looks for the route. */
const sending: ReadonlySet<string> = new Set(["connect", "send", "sendto", "sendmsg", "sendMany"]);
/** The codes which say that the host cannot be reached, or that nobody is listening there. */
const unreachable: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
]);

/** The error that ends the command if a datagram to `to` did not arrive. */
export function refused(refusal: Refusal, to: Address): Failure {
  return new Failure(exitCodes.refused, refusalText(refusal, to));
}

/** An error of a call that sends as `cannot send to 10.1.1.1:9: no route to this network`. Other errors are returned unchanged. */
export function asSendFailure(error: unknown): unknown {
  if (!(error instanceof OSError) || error.address === undefined || error.port === undefined) return error;
  if (!sending.has(error.syscall ?? "")) return error;
  const to = new Address(error.address, error.port);
  // The library's text names calls and socket options. The commands have options for them.
  const text = textOf(error)
    .replace(/name the interface \([^)]*\)/, "name the interface: --interface <name>")
    .replace(longerMessages, "");
  const exitCode = unreachable.has(error.code) ? exitCodes.refused : exitCodes.error;
  return new Failure(exitCode, `cannot send to ${to}: ${text}`);
}
