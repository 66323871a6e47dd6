import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";

import { type Endpoint, type Family, isWildcard, unmapped } from "../core/address/address.js";
import {
  bindsToAllText,
  lacksAddressText,
  noInterfaceText,
  wideScope,
  withoutWideScope,
} from "../core/address/scopes.js";
import { AF_INET } from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import { isMulticast, parseLiteral } from "../core/ip.js";

/**
 * An interface in the form that `node:dgram` takes: an IPv4 address of its own, or `::%name`.
 *
 * @param given the interface's name, or an address: its own one, or an IPv6 one whose zone names it.
 * @param address what the call is about, for its errors.
 * @throws `OSError` `ENODEV` where there is no such interface; `ENOTSUP` for a number.
 */
export function interfaceAddress(given: string, family: Family, syscall: string, address?: string): string {
  const literal = parseLiteral(given);
  if (family === AF_INET && literal?.bytes.length === 4) {
    if (given === "0.0.0.0" || Object.values(networkInterfaces()).some((each) => hasAddress(each, given)))
      return given;
    throw new OSError("ENODEV", { syscall, address, text: noInterfaceText(given) });
  }
  // eslint-disable-next-line @typescript-eslint/prefer-nullish-coalescing -- a literal without a zone has an empty one
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
 * The host of an endpoint in the form that libuv takes, which knows interfaces by name alone and drops a scope that it
 * does not know.
 *
 * @throws `OSError` `ENODEV` where no interface has the scope's name or number.
 */
export function hostFor({ host, port, scope }: Endpoint, syscall: string): string {
  if (scope === undefined) return host;
  const name = interfaceNamed(scope);
  if (name === undefined)
    throw new OSError("ENODEV", { syscall, address: host, port, text: unknownText(scope) });
  return `${host.slice(0, host.indexOf("%"))}%${name}`;
}

/**
 * The host of a destination in the form that libuv takes.
 *
 * @throws `OSError` `ENODEV` as `hostFor` does; `ENOTSUP` for a scope that the kernel does not read in the address, since
 *   libuv sends no packet info.
 */
export function destinationFor(to: Endpoint, syscall: string): string {
  const host = hostFor(to, syscall);
  const scope = wideScope(to);
  if (scope === undefined) return host;
  const name = interfaceNamed(scope) ?? "";
  // By another interface it would not leave.
  if (withoutWideScope(to).host === "::1" && networkInterfaces()[name]?.some(({ internal }) => internal))
    return host;
  const text = `the dgram driver cannot choose the interface ${name} for this address: the native driver can`;
  throw new OSError("ENOTSUP", { syscall, address: to.host, port: to.port, text });
}

/**
 * Checks that an interface has the address to bind to, where its scope names one and the kernel does not read it.
 *
 * @throws `OSError` `EADDRNOTAVAIL` where the interface does not have it, `ENODEV` where there is none, `EINVAL` for
 *   groups and for every interface, which the kernel binds to on all of them.
 */
export function checkBindScope(at: Endpoint): void {
  const scope = wideScope(at);
  if (scope === undefined) return;
  const plain = withoutWideScope(at);
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

/** The name of the interface that a scope gives by its name or its number; `undefined` where there is none. */
export function interfaceNamed(scope: string): string | undefined {
  const interfaces = networkInterfaces();
  if (interfaces[scope]) return scope;
  const found = Object.entries(interfaces).find(([, addresses]) =>
    addresses?.some(({ scopeid }) => scopeid !== undefined && scopeid > 0 && String(scopeid) === scope),
  );
  return found?.[0];
}

/** Of one without an IPv6 address of its link, Node does not tell the number. */
function unknownText(scope: string): string {
  return /^\d+$/.test(scope)
    ? `node:dgram knows no interface by the number ${scope}: give its name`
    : noInterfaceText(scope);
}

/** The number of an interface by its name, where it has a link-local address: Node tells of no others. */
export function interfaceNumber(name: string): number | undefined {
  const { [name]: addresses = [] } = networkInterfaces();
  return addresses.map(({ scopeid = 0 }) => scopeid).find((scopeid) => scopeid > 0);
}

function hasAddress(addresses: NetworkInterfaceInfo[] | undefined, given: string): boolean {
  return addresses?.some(({ address }) => address === given) === true;
}
