/** Scopes of IPv6 addresses: the interface behind the `%` (RFC 4007), which the kernel reads in few addresses. */

import { Address, type Endpoint } from "./address.js";
import { AF_INET6 } from "../constants.js";
import { OSError } from "../errors/errors.js";
import { isOfOneLink, parseLiteral } from "../ip.js";

/**
 * The interface that the scope of an address names, where the kernel does not read it in the address: it leaves it alone
 * unless the address is link-local or interface-local. Then packet info has to name the interface (ipv6(7)).
 */
export function wideScope(address: Address): string | undefined {
  if (address.family !== AF_INET6) return undefined;
  const { scope } = address;
  if (scope === undefined) return undefined;
  const literal = parseLiteral(address.host);
  return literal && isOfOneLink(literal.bytes) ? undefined : scope;
}

/** An address as the kernel tells it, which keeps no scope that it does not read. */
export function withoutWideScope(address: Endpoint): Endpoint {
  if (wideScope(address) === undefined) return address;
  return new Address(address.host.replace(/%.*/, ""), address.port) as Endpoint;
}

/**
 * The connected peer: as the kernel tells it, since `0.0.0.0` is this host, and with the scope that chooses the interface.
 *
 * @param told by the kernel.
 * @param given to `connect`.
 */
export function peerOf(told: Endpoint, given: Endpoint): Endpoint {
  const scope = wideScope(given);
  // Of the loopback addresses there is but one interface.
  if (scope === undefined || told.host === "::1") return told;
  return new Address(`${told.host}%${scope}`, told.port) as Endpoint;
}

/**
 * The error of an address whose scope names one interface, where something else names another.
 *
 * @param named what it is: `"interface is eth1"`.
 */
export function scopeConflict(syscall: string, address: Address, named: string): OSError {
  const { host, port } = address;
  const text = scopeConflictText(address, named);
  return new OSError("EINVAL", { syscall, address: host, port: port === 0 ? undefined : port, text });
}

/** What that error says. */
export function scopeConflictText({ scope = "" }: Address, named: string): string {
  return `the address names the interface ${scope}, and ${named}: name one`;
}

/** Why there is no interface of a name, a number or an address. */
export function noInterfaceText(given: string): string {
  const kind = /^\d+$/.test(given) ? "has the number" : parseLiteral(given) ? "has the address" : "is named";
  return `no network interface here ${kind} ${given}`;
}

/** Why a datagram does not leave by the interface that was named, of a socket that is bound to another. */
export function boundElsewhereText(name: string): string {
  return `the socket may not leave by ${name}: SO_BINDTODEVICE binds it to another interface`;
}

/** Why a socket is not bound to a group, or to every interface, with a scope. */
export function bindsToAllText(host: string): string {
  return `the kernel binds to ${host} on every interface: SO_BINDTODEVICE chooses one`;
}

/** Why a socket is not bound to an address with the scope of an interface that has another. */
export function lacksAddressText(name: string): string {
  return `the interface ${name} does not have this address`;
}
