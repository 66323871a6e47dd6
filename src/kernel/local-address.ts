import { networkInterfaces } from "node:os";

import { type Endpoint, isWildcard, unmapped } from "../core/address/address.js";
import { OSError } from "../core/errors/errors.js";
import type { Warning } from "../core/ledger/reports.js";

/** The error codes of the kernel if the local address of a socket is no longer an address of this host. */
const codes: readonly string[] = ["ENETUNREACH", "EHOSTUNREACH", "EINVAL", "EADDRNOTAVAIL"];

/**
 * Returns the error text for a send that failed with `code`, if this host no longer has the socket's local address, else
 * `undefined`. Call it only after a failed send, because it asks the system for its interfaces.
 *
 * @param boundTo the address that the program bound. The socket keeps it.
 */
export function goneText(code: string, local: Endpoint, boundTo: Endpoint): string | undefined {
  if (!codes.includes(code)) return undefined;
  const host = unmapped(local).host.replace(/%.*/, "");
  if (isWildcard(host) || isHere(host)) return undefined;
  const gone = `the local address ${host} is gone from this host, or its interface is down`;
  return isWildcard(boundTo.host)
    ? `${gone}: connect again`
    : `${gone}, and this socket is bound to it: open another`;
}

/** Returns the error of a `connect` after which the socket cannot keep the address that it was bound to. */
export function cannotReturn(error: unknown, boundTo: Endpoint, to: Endpoint | null): unknown {
  if (!(error instanceof OSError) || error.code !== "EADDRNOTAVAIL") return error;
  const text = goneText(error.code, boundTo, boundTo);
  return new OSError(error.code, {
    syscall: "connect",
    address: to?.host,
    port: to?.port,
    text,
    cause: error,
  });
}

/** Returns the warning about an IPv6 socket whose peer was removed, if no other socket could replace it. */
export function formerPeerWarning(former: Endpoint, why: string): Warning {
  const text = `this socket is not connected any more, and still receives only from ${former.host}`;
  const message = `${text}: Linux keeps that address, and another socket cannot take its place: ${why}. Open another`;
  return { code: "DISSOLVED_HEARS_FORMER_PEER", message };
}

/** Whether an interface that is up has an address. All of 127.0.0.0/8 is on this host (RFC 1122, section 3.2.1.3). */
function isHere(host: string): boolean {
  if (host.startsWith("127.")) return true;
  return Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === host));
}
