import type { Endpoint } from "../core/address/address.js";
import { isTransientIcmp } from "../core/driver/icmp.js";
import { OSError } from "../core/errors/errors.js";
import type { Unreachable } from "../core/ledger/reports.js";

/** Why datagrams did not arrive for a while, although they may arrive later: an ICMP error, or an error of a send. */
export interface Obstacle {
  readonly code: string;
  readonly text: string;
  /** When it was reported, on the clock. */
  readonly at: number;
}

/** Errors of a send without a way to the peer: a mobile host may get another route. */
const routeErrors: ReadonlySet<string> = new Set(["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"]);

/** Returns the error of a call whose datagrams an ICMP error says cannot arrive. */
export function unreachableError(
  syscall: string,
  { host: address, port }: Endpoint,
  report: Unreachable,
): OSError {
  return new OSError(report.code, { syscall, address, port, text: unreachableText(report) });
}

/** The text of that error. */
export function unreachableText({ code, kind, from }: Unreachable): string {
  const source = kind !== undefined && from !== undefined ? ` (${kind}, from ${from})` : "";
  return (code === "ECONNREFUSED" ? "nobody is listening there" : "it cannot be reached") + source;
}

/** The obstacle of an ICMP error; `undefined` if datagrams cannot arrive later either. */
export function obstacleOf(report: Unreachable, at: number): Obstacle | undefined {
  const { code, kind } = report;
  return isTransientIcmp(code, kind) ? { code, text: unreachableText(report), at } : undefined;
}

/**
 * The obstacle of a send that failed after an earlier one had left; `undefined` for another error. On a connected socket, the error
 * may be that of an ICMP error: then `last` says more.
 */
export function obstacleToSend(error: unknown, last: Obstacle | undefined, at: number): Obstacle | undefined {
  if (!(error instanceof OSError) || !routeErrors.has(error.code)) return undefined;
  if (last?.code === error.code) return last;
  return { code: error.code, text: causeText(error), at };
}

/** The text of an error without its code. */
export function causeText({ message, code }: OSError): string {
  return message.replace(` (${code})`, "");
}
