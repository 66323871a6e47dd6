import { networkInterfaces } from "node:os";

import type { Family } from "../core/address.js";
import { AF_INET } from "../core/constants.js";
import { OSError } from "../core/errors.js";
import { parseLiteral } from "../core/ip.js";

/**
 * An interface in the form that `node:dgram` takes: an IPv4 address of its own, or `::%name`.
 *
 * @param given the interface's name, or an address: its own one, or an IPv6 one whose zone names it.
 * @throws `OSError` `ENODEV` where no interface has this name; `ENOTSUP` for a number.
 */
export function interfaceAddress(given: string, family: Family, syscall: string): string {
  const literal = parseLiteral(given);
  if (family === AF_INET && literal?.bytes.length === 4) return given;
  if (family !== AF_INET && literal?.zone) return `::%${literal.zone}`;
  if (/^\d+$/.test(given)) {
    throw new OSError("ENOTSUP", {
      syscall,
      text: `the dgram driver takes an interface's name, not its number ${given}: the native driver takes both`,
    });
  }
  const addresses = networkInterfaces()[given];
  if (!addresses) throw new OSError("ENODEV", { syscall, address: given });
  if (family !== AF_INET) return `::%${given}`;
  const own = addresses.find((address) => address.family === "IPv4");
  if (!own)
    throw new OSError("ENODEV", { syscall, address: given, text: "this interface has no IPv4 address" });
  return own.address;
}
