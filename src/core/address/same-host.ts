/** Compares hosts. All comparisons of peers use this file. */

import { isMapped, isScoped, parseLiteral } from "../ip.js";

/** The number of a network interface by its name; `undefined` if it is not known. */
export type InterfaceNumber = (name: string) => number | undefined;

/**
 * Whether two hosts are the same. Spelling does not count: `0:0::1` is `::1`, an IPv4 address inside IPv6
 * (`::ffff:a.b.c.d`) is this IPv4 address, and upper and lower case of names are equal.
 *
 * A scope (`%eth0`) is part of a link-local unicast or a multicast address (RFC 4007 section 6). For other addresses, it
 * only tells how to reach them. An address without a scope is the same as this address with any scope. The name and the
 * number of one interface are the same scope. If `numberOf` does not know a name, this name and any number count as the same.
 *
 * A name is not resolved, and is never the same as an address.
 */
export function sameHost(one: string, other: string, numberOf?: InterfaceNumber): boolean {
  if (one === other) return true;
  const [first, second] = [parseLiteral(one), parseLiteral(other)];
  if (!first || !second) return !first && !second && plainName(one) === plainName(other);
  const [bytes, others] = [withoutMapping(first.bytes), withoutMapping(second.bytes)];
  if (bytes.length !== others.length || bytes.some((byte, index) => byte !== others[index])) return false;
  return !isScoped(bytes) || sameScope(first.zone, second.zone, numberOf);
}

/** Whether two scopes name the same interface. If this is not known, a name and a number count as the same. */
function sameScope(one: string, other: string, numberOf: InterfaceNumber = () => undefined): boolean {
  if (one === "" || other === "" || one === other) return true;
  const number = (scope: string): number | undefined =>
    /^\d+$/.test(scope) ? Number(scope) : numberOf(scope);
  const [first, second] = [number(one), number(other)];
  if (first === undefined && second === undefined) return false;
  return first === undefined || second === undefined || first === second;
}

function withoutMapping(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** Returns a name as the resolver reads it: in lower case, without the final dot of an absolute name. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
