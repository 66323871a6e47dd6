import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";

import type { Endpoint, Family } from "../core/address.js";
import { AF_INET } from "../core/constants.js";
import { OSError } from "../core/errors.js";
import { parseLiteral } from "../core/ip.js";

/**
 * An interface in the form that `node:dgram` takes: an IPv4 address of its own, or `::%name`.
 *
 * @param given the interface's name, or an address: its own one, or an IPv6 one whose zone names it.
 * @throws `OSError` `ENODEV` where there is no such interface; `ENOTSUP` for a number.
 */
export function interfaceAddress(given: string, family: Family, syscall: string): string {
  const literal = parseLiteral(given);
  if (family === AF_INET && literal?.bytes.length === 4) {
    if (given === "0.0.0.0" || Object.values(networkInterfaces()).some((each) => hasAddress(each, given)))
      return given;
    throw new OSError("ENODEV", { syscall, address: given, text: "no interface has this address" });
  }
  // eslint-disable-next-line @typescript-eslint/prefer-nullish-coalescing -- a literal without a zone has an empty one
  const name = literal?.zone || given;
  if (/^\d+$/.test(name)) {
    throw new OSError("ENOTSUP", {
      syscall,
      text: `the dgram driver takes an interface's name, not its number ${name}: the native driver takes both`,
    });
  }
  const addresses = networkInterfaces()[name];
  if (!addresses) throw new OSError("ENODEV", { syscall, address: given });
  if (family !== AF_INET) return `::%${name}`;
  const own = addresses.find((address) => address.family === "IPv4");
  if (!own)
    throw new OSError("ENODEV", { syscall, address: given, text: "this interface has no IPv4 address" });
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
  if (name === undefined) throw new OSError("ENODEV", { syscall, address: host, port });
  return `${host.slice(0, host.indexOf("%"))}%${name}`;
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

/** The number of an interface by its name, where it has a link-local address: Node tells of no others. */
export function interfaceNumber(name: string): number | undefined {
  const { [name]: addresses = [] } = networkInterfaces();
  return addresses.map(({ scopeid = 0 }) => scopeid).find((scopeid) => scopeid > 0);
}

function hasAddress(addresses: NetworkInterfaceInfo[] | undefined, given: string): boolean {
  return addresses?.some(({ address }) => address === given) === true;
}
