/** The errors of sends and binds, and the limit of a payload. */

import { type Address, type Family, isOverIPv4 } from "../address/address.js";
import { AF_INET } from "../constants.js";
import type { Stack } from "../driver/driver.js";
import { OSError } from "../errors/errors.js";

/** The largest payload, in bytes, to any destination: the limit of IPv4, which is 65,535 minus the headers. */
export const anyLimit = 65_507;

/** Ends the text of `EMSGSIZE` for a payload over the limit of every path. */
export const longerMessages = ": messages() of datagram/message sends longer ones";

/**
 * Returns the error of a datagram that could not be sent.
 *
 * @param code the error code of the system call, such as `"EACCES"`.
 * @param to the destination; `null` for the connected peer.
 * @param peer the connected peer, if there is one.
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
 * Returns the largest payload of a datagram in bytes: 65,535 minus the UDP header, and over IPv4 also minus the IPv4 header
 * (RFC 768, RFC 791). The length field of IPv6 does not count the IPv6 header (RFC 8200).
 */
export function payloadLimit(to: Address | null, family: Family): number {
  return family === AF_INET || (to && isOverIPv4(to)) ? anyLimit : 65_527;
}

/**
 * Returns the error of a bind to a port that is in use. Its text says how to find the other program, and then which options
 * share a port.
 */
export function portTaken(
  { host: address, port }: Address,
  { name, capabilities }: Pick<Stack, "name" | "capabilities">,
  cause: OSError,
): OSError {
  const groups = "SO_REUSEADDR lets several sockets receive one group";
  const shares = capabilities.reusePort.available
    ? `SO_REUSEPORT lets sockets share a port, and ${groups}, if it is set before bind on all of them`
    : `${groups}, if it is set before bind on all of them; the native driver shares a port by SO_REUSEPORT`;
  // The sockets of a simulated host are those of this program.
  const where =
    name === "sim" ? "" : `, perhaps of another program: ss -ulpn sport = :${port} shows it on Linux`;
  const text = `another socket has this address${where}; ${shares}`;
  return new OSError("EADDRINUSE", { syscall: "bind", address, port, text, cause });
}

export function closedFirst(): OSError {
  return new OSError("ECANCELED", { syscall: "sendto", text: "the socket was closed first" });
}
