import type { Endpoint } from "../core/address/address.js";
import { OSError } from "../core/errors/errors.js";
import type { Unreachable } from "../core/ledger/reports.js";

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
