/** Errors of sockets that end the command: a datagram cannot be sent, a port is taken, an ICMP error came. */

import { Address } from "../core/address/address.js";
import { OSError, textOf } from "../core/errors/errors.js";
import { type Refusal, refusalText } from "../core/ledger/report-texts.js";
import { longerMessages } from "../core/send/failure.js";
import { Failure, exitCodes } from "./exit.js";

/** The calls that send, and `connect`, which looks for the route. */
const sending: ReadonlySet<string> = new Set(["connect", "reply", "send", "sendto", "sendmsg", "sendMany"]);
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

/**
 * An error of a call that sends as `cannot send to 10.1.1.1:9: no route to this network`, and that of a taken port as
 * `cannot use 127.0.0.1:9000: another socket has this address, …`. Other errors are returned unchanged.
 */
export function asSocketFailure(error: unknown): unknown {
  if (!(error instanceof OSError) || error.address === undefined || error.port === undefined) return error;
  const to = new Address(error.address, error.port);
  if (error.syscall === "bind" && error.code === "EADDRINUSE") {
    // The rest of the text advises socket options.
    const [text] = textOf(error).split("; ", 1);
    return new Failure(exitCodes.error, `cannot use ${to}: ${text}`);
  }
  if (!sending.has(error.syscall ?? "")) return error;
  // The library's text names calls and socket options. The commands have options for them.
  const text = textOf(error)
    .replace(/name the interface \([^)]*\)/, "name the interface: --interface <name>")
    .replace(longerMessages, "");
  const exitCode = unreachable.has(error.code) ? exitCodes.refused : exitCodes.error;
  return new Failure(exitCode, `cannot send to ${to}: ${text}`);
}
