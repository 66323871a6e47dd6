/** Scopes of IPv6 addresses: the interface after the `%` (RFC 4007). The kernel reads the scope of only some addresses. */

import { AF_INET6 } from "../constants.js";
import { OSError } from "../errors/errors.js";
import { isOfOneLink, parseLiteral } from "../ip.js";
import { Address, type Endpoint } from "./address.js";

/**
 * Returns the scope of an address if the kernel ignores it. The kernel reads the scope only of a link-local or an
 * interface-local address. For other addresses, packet info must name the interface (ipv6(7)).
 */
export function ignoredScope(address: Address): string | undefined {
  if (address.family !== AF_INET6) return undefined;
  const { scope } = address;
  if (scope === undefined) return undefined;
  const literal = parseLiteral(address.host);
  return literal && isOfOneLink(literal.bytes) ? undefined : scope;
}

/** Returns an address as the kernel returns it: without a scope that the kernel ignores. */
export function withoutIgnoredScope(address: Endpoint): Endpoint {
  if (ignoredScope(address) === undefined) return address;
  return new Address(address.host.replace(/%.*/, ""), address.port) as Endpoint;
}

/**
 * Returns the connected peer: the address from the kernel, which replaces `0.0.0.0`, with the scope that chooses the interface.
 *
 * @param told the address that the kernel returned.
 * @param given the address that `connect` was called with.
 */
export function peerOf(told: Endpoint, given: Endpoint): Endpoint {
  const scope = ignoredScope(given);
  // Only the loopback interface has the loopback address.
  if (scope === undefined || told.host === "::1") return told;
  return new Address(`${told.host}%${scope}`, told.port) as Endpoint;
}

/**
 * Returns the error for an address whose scope names one interface while something else names another.
 *
 * @param named names the other interface: `"interface is eth1"`.
 */
export function scopeConflict(syscall: string, address: Address, named: string): OSError {
  const { host, port } = address;
  const text = scopeConflictText(address, named);
  return new OSError("EINVAL", { syscall, address: host, port: port === 0 ? undefined : port, text });
}

/** The text of `scopeConflict`. */
export function scopeConflictText({ scope = "" }: Address, named: string): string {
  return `the address names the interface ${scope}, and ${named}: name one`;
}

/** The text of the error that no interface has a name, a number or an address. */
export function noInterfaceText(given: string): string {
  const kind = /^\d+$/.test(given) ? "has the number" : parseLiteral(given) ? "has the address" : "is named";
  return `no network interface here ${kind} ${given}`;
}

/** The text of the error if a datagram cannot leave through an interface because the socket is bound to another one. */
export function boundElsewhereText(name: string): string {
  return `the socket may not leave by ${name}: SO_BINDTODEVICE binds it to another interface`;
}

/** The text of the error that a socket cannot be bound to a group, or to a wildcard address, with a scope. */
export function bindsToAllText(host: string): string {
  return `the kernel binds to ${host} on every interface: SO_BINDTODEVICE chooses one`;
}

/** The text of the error that a socket cannot be bound: the interface of the scope does not have the address. */
export function lacksAddressText(name: string): string {
  return `the interface ${name} does not have this address`;
}
