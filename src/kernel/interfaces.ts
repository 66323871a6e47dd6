import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";

import { type Endpoint, type Family, isWildcard, unmapped } from "../core/address/address.js";
import {
  bindsToAllText,
  lacksAddressText,
  noInterfaceText,
  ignoredScope,
  withoutIgnoredScope,
} from "../core/address/scopes.js";
import { AF_INET } from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import { isMulticast, parseLiteral } from "../core/ip.js";

/**
 * Returns an interface in the form that `node:dgram` takes: an IPv4 address of the interface, or `::%name`.
 *
 * @param given the interface's name, its IPv4 address, or an IPv6 address whose zone is the interface.
 * @param address the address of the call, for the error.
 * @throws `OSError` `ENODEV` if there is no such interface; `ENOTSUP` for a number.
 */
export function interfaceAddress(given: string, family: Family, syscall: string, address?: string): string {
  const literal = parseLiteral(given);
  if (family === AF_INET && literal?.bytes.length === 4) {
    if (given === "0.0.0.0" || Object.values(networkInterfaces()).some((each) => hasAddress(each, given)))
      return given;
    throw new OSError("ENODEV", { syscall, address, text: noInterfaceText(given) });
  }
  // oxlint-disable-next-line typescript/prefer-nullish-coalescing -- a literal without a zone has an empty one
  const name = literal?.zone || given;
  if (/^\d+$/.test(name)) {
    throw new OSError("ENOTSUP", {
      syscall,
      address,
      text: `the dgram driver takes an interface's name, not its number ${name}: the native driver takes both`,
    });
  }
  const addresses = networkInterfaces()[name];
  if (!addresses) throw new OSError("ENODEV", { syscall, address, text: noInterfaceText(name) });
  if (family !== AF_INET) return `::%${name}`;
  const own = addresses.find((each) => each.family === "IPv4");
  if (!own)
    throw new OSError("ENODEV", { syscall, address, text: `the interface ${name} has no IPv4 address` });
  return own.address;
}

/**
 * Returns the host of an endpoint in the form that libuv takes. libuv knows interfaces only by name, and silently ignores an
 * unknown scope.
 *
 * @throws `OSError` `ENODEV` if no interface has the scope's name or number.
 */
export function hostFor({ host, port, scope }: Endpoint, syscall: string): string {
  if (scope === undefined) return host;
  const name = interfaceNamed(scope);
  if (name === undefined)
    throw new OSError("ENODEV", { syscall, address: host, port, text: unknownText(scope) });
  return `${host.slice(0, host.indexOf("%"))}%${name}`;
}

/**
 * Returns the host of a destination in the form that libuv takes.
 *
 * @throws `OSError` `ENODEV` as `hostFor`; `ENOTSUP` for a scope that the kernel does not read from the address, because libuv
 *   cannot send packet info.
 */
export function destinationFor(to: Endpoint, syscall: string): string {
  const host = hostFor(to, syscall);
  const scope = ignoredScope(to);
  if (scope === undefined) return host;
  const name = interfaceNamed(scope) ?? "";
  // Datagrams to `::1` leave only by the loopback interface, so this scope changes nothing.
  if (withoutIgnoredScope(to).host === "::1" && networkInterfaces()[name]?.some(({ internal }) => internal))
    return host;
  const text = `the dgram driver cannot choose the interface ${name} for this address: the native driver can`;
  throw new OSError("ENOTSUP", { syscall, address: to.host, port: to.port, text });
}

/**
 * Checks an address to bind to that has a scope which the kernel ignores: the interface of the scope must have the address.
 *
 * @throws `OSError` `EADDRNOTAVAIL` if the interface does not have the address; `ENODEV` if there is no such interface;
 *   `EINVAL` for a group or a wildcard address, because the kernel binds to these on every interface.
 */
export function checkBindScope(at: Endpoint): void {
  const scope = ignoredScope(at);
  if (scope === undefined) return;
  const plain = withoutIgnoredScope(at);
  const { host } = plain;
  const about = { syscall: "bind", address: at.host, port: at.port };
  const literal = parseLiteral(host);
  if (isWildcard(host) || (literal && isMulticast(literal.bytes))) {
    throw new OSError("EINVAL", { ...about, text: bindsToAllText(host) });
  }
  const name = interfaceNamed(scope);
  if (name === undefined) throw new OSError("ENODEV", { ...about, text: unknownText(scope) });
  if (hasAddress(networkInterfaces()[name], unmapped(plain).host)) return;
  throw new OSError("EADDRNOTAVAIL", { ...about, text: lacksAddressText(name) });
}

/** Returns the name of the interface of a scope, which is a name or a number; `undefined` if there is none. */
export function interfaceNamed(scope: string): string | undefined {
  const interfaces = networkInterfaces();
  if (interfaces[scope]) return scope;
  const found = Object.entries(interfaces).find(([, addresses]) =>
    addresses?.some(({ scopeid }) => scopeid !== undefined && scopeid > 0 && String(scopeid) === scope),
  );
  return found?.[0];
}

/** The text for an unknown scope. Node knows the number of an interface only if it has a link-local IPv6 address. */
function unknownText(scope: string): string {
  return /^\d+$/.test(scope)
    ? `node:dgram knows no interface by the number ${scope}: give its name`
    : noInterfaceText(scope);
}

/** Returns the number of an interface from its name. Node knows it only if the interface has a link-local address. */
export function interfaceNumber(name: string): number | undefined {
  const { [name]: addresses = [] } = networkInterfaces();
  return addresses.map(({ scopeid = 0 }) => scopeid).find((scopeid) => scopeid > 0);
}

function hasAddress(addresses: NetworkInterfaceInfo[] | undefined, given: string): boolean {
  return addresses?.some(({ address }) => address === given) === true;
}
