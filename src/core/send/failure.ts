/** What can go wrong with a datagram that is to be sent. */

import { type Address, type Family, isOverIPv4 } from "../address/address.js";
import { AF_INET } from "../constants.js";
import { OSError } from "../errors/errors.js";

/** Bytes that a datagram to any destination may have: the limit of IPv4, 65,535 less the headers. */
export const anyLimit = 65_507;

/**
 * The error of a datagram that could not be sent.
 *
 * @param code such as `"EACCES"`, of the system call.
 * @param to `null` for the connected peer.
 * @param peer that peer, where there is one.
 */
export function failure(
  code: string,
  to: Address | null,
  peer: Address | null,
  details: { text?: string | undefined; limit?: number; cause?: unknown } = {},
): OSError {
  const { host: address, port } = to ?? peer ?? {};
  return new OSError(code, { ...details, syscall: to ? "sendto" : "send", address, port });
}

/**
 * The most payload bytes of a datagram: 65,535 less the UDP header, and less the IPv4 header where there is one
 * (RFC 768, RFC 791; an IPv6 length does not count its own header, RFC 8200).
 */
export function payloadLimit(to: Address | null, family: Family): number {
  return family === AF_INET || (to && isOverIPv4(to)) ? anyLimit : 65_527;
}

/** The error of a bind to a port that is taken, with what shares a port. @param reusePort whether the driver has `SO_REUSEPORT`. */
export function portTaken({ host: address, port }: Address, reusePort: boolean, cause: OSError): OSError {
  const groups = "SO_REUSEADDR lets several sockets receive one group";
  const shares = reusePort
    ? `SO_REUSEPORT shares a port, ${groups}, set before bind on all of them`
    : `${groups}, set before bind on all of them; the native driver shares a port by SO_REUSEPORT`;
  const text = `another socket has this address: ${shares}`;
  return new OSError("EADDRINUSE", { syscall: "bind", address, port, text, cause });
}

export function closedFirst(): OSError {
  return new OSError("ECANCELED", { syscall: "sendto", text: "the socket was closed first" });
}
