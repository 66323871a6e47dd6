import type { Endpoint } from "../../core/address/address.js";
import { OSError } from "../../core/errors/errors.js";
import type { Unreachable } from "../../core/ledger/reports.js";

/** Returns the error of a call whose datagrams an ICMP error says cannot arrive. */
export function unreachableError(
  syscall: string,
  { host: address, port }: Endpoint,
  { code, kind, from }: Unreachable,
): OSError {
  const source = kind !== undefined && from !== undefined ? ` (${kind}, from ${from})` : "";
  const what = code === "ECONNREFUSED" ? "nobody is listening there" : "it cannot be reached";
  return new OSError(code, { syscall, address, port, text: what + source });
}
