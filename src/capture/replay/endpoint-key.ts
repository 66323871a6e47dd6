import { Address, type AddressLike, type Endpoint, isEndpoint } from "../../core/address/address.js";
import { outOfRange } from "../../core/errors/errors.js";
import { parseLiteral } from "../../core/ip.js";

/**
 * Reads an address of a recording: a text such as `"10.0.0.7:5000"`, `"[fe80::1]:5000"` or `"10.0.0.7"`, or any form of an
 * address. Without a port, or with port 0, it stands for all ports.
 *
 * @param name of the value, for errors.
 * @returns `host:port`, or the host alone.
 * @throws `TypeError`, `RangeError`.
 */
export function keyOfEndpoint(value: string | AddressLike, name: string): string {
  const address = typeof value === "string" ? parsed(value) : Address.from(value);
  if (!address || !isEndpoint(address))
    throw outOfRange(name, "an IP address with or without a port, such as 10.0.0.7:5000 or 10.0.0.7", value);
  return address.port === 0 ? address.host : String(address);
}

/** Whether a key stands for an address. */
export function hasKey(endpoint: Endpoint, key: string): boolean {
  return endpoint.host === key || String(endpoint) === key;
}

function parsed(text: string): Address | undefined {
  if (parseLiteral(text)) return new Address(text, 0);
  try {
    return Address.parse(text);
  } catch {
    // The caller says what is expected.
    return undefined;
  }
}
