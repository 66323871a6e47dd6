/** Changes of multicast membership: the checks of the arguments, and the texts of the errors. */

import { Address, type Endpoint, type Family, forFamily, isEndpoint, unmapped } from "../address/address.js";
import { noInterfaceText, scopeConflict } from "../address/scopes.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import { OSError, wrongType } from "../errors/errors.js";
import { isMulticast, parseLiteral } from "../ip.js";
import { chosenInterface } from "./options.js";

/** The call that changes a membership. */
export type MembershipCall =
  | "addMembership"
  | "dropMembership"
  | "addSourceMembership"
  | "dropSourceMembership"
  | "blockSource"
  | "unblockSource";

/** One change of a multicast membership. */
export interface MembershipChange {
  readonly call: MembershipCall;
  /** A multicast literal with port 0. Its scope, if any, names the interface if `interface` is `undefined`. */
  readonly group: Endpoint;
  /** The sender: a unicast literal of the group's family with port 0; `undefined` for all senders. */
  readonly source: Endpoint | undefined;
  /** The name or number of the interface, or for IPv4 its address; `undefined` if the system chooses by its routes. */
  readonly interface: string | undefined;
}

/** The maximum number of memberships of one socket (`igmp_max_memberships`, `igmp_max_msf`: ip(7)). */
export interface MembershipLimits {
  readonly groups: number;
  /** The maximum number of sources of one group. */
  readonly sources: number;
}

/**
 * Checks the arguments of a call, and returns the change in the form that drivers take.
 *
 * @param source the sender, for the calls that take one.
 * @throws `OSError` `EINVAL` if the group is not a multicast address or the source is not a unicast address;
 *   `EAFNOSUPPORT`; `TypeError`, `RangeError`.
 */
export function checkMembership(
  call: MembershipCall,
  family: Family,
  group: unknown,
  at: unknown,
  source: unknown,
): MembershipChange {
  const given = address("group", group);
  // Drivers take an IPv4 group without `::ffff:`, on an IPv6 socket too.
  const plain = family === AF_INET6 ? unmapped(given) : given;
  const to = plain.family === AF_INET ? plain : forFamily(given, family, call);
  const bytes = parseLiteral(to.host)?.bytes;
  if (!bytes || !isEndpoint(to) || !isMulticast(bytes)) {
    const text = "this is not a multicast address";
    throw new OSError("EINVAL", { syscall: call, address: given.host, text });
  }
  const from =
    call === "addMembership" || call === "dropMembership" ? undefined : checkSource(call, to, source);
  const named = at === undefined ? undefined : chosenInterface("interface", at, to, call);
  if (to.scope !== undefined || given.scope === undefined)
    return { call, group: to, source: from, interface: named };
  // The group is IPv4 inside IPv6 (`::ffff:a.b.c.d`), and has a scope.
  if (named !== undefined && named !== given.scope)
    throw scopeConflict(call, given, `the call names ${named}`);
  return { call, group: to, source: from, interface: given.scope };
}

/** Returns the error of a change that the system refused with `code`. */
export function membershipError(
  code: string,
  { call, group, interface: at }: MembershipChange,
  limits: MembershipLimits,
  cause?: unknown,
): OSError {
  let text = texts[`${call} ${code}`];
  if (code === "ENOBUFS") text = outOfRoom(call, group, limits);
  if (code === "ENODEV") text = noInterface(group, at);
  return new OSError(code, { syscall: call, address: group.host, text, cause });
}

const fromSources = "this group was joined from some sources only, or not at all: call addMembership first";

const texts: Readonly<Record<string, string>> = {
  "addMembership EADDRINUSE": "this group was joined already",
  "addMembership ENOMEM":
    "the memory for options of this socket is full (net.core.optmem_max): use another socket, or raise it",
  "dropMembership EADDRNOTAVAIL": "this group was not joined",
  "addSourceMembership EADDRNOTAVAIL": "this source of the group was joined already",
  "addSourceMembership EINVAL":
    "this group was joined from all sources but some (blockSource): call dropMembership first",
  "dropSourceMembership EADDRNOTAVAIL": "this source of the group was not joined",
  "dropSourceMembership EINVAL": "this group was not joined from a source: call addSourceMembership first",
  "blockSource EADDRNOTAVAIL": "this source is blocked already",
  "blockSource EINVAL": fromSources,
  "unblockSource EADDRNOTAVAIL": "this source is not blocked",
  "unblockSource EINVAL": fromSources,
};

function noInterface({ host }: Endpoint, at: string | undefined): string {
  if (at === undefined) return `no route for ${host}: name the interface`;
  return noInterfaceText(at);
}

function outOfRoom(
  call: MembershipCall,
  { family }: Endpoint,
  { groups, sources }: MembershipLimits,
): string {
  const ofGroups = { name: "net.ipv4.igmp_max_memberships", max: groups, what: "groups on one socket" };
  const name = family === AF_INET ? "net.ipv4.igmp_max_msf" : "net.ipv6.mld_max_msf";
  const ofSources = { name, max: sources, what: "sources of one group" };
  const either = family === AF_INET && call === "addSourceMembership";
  const limits = either ? [ofGroups, ofSources] : [call === "addMembership" ? ofGroups : ofSources];
  const allowed = limits.map(({ name, max, what }) => `${name} allows ${max} ${what}`).join(", ");
  const raise = limits.map(({ name, max }) => `sysctl -w ${name}=${2 * max}`).join(" or ");
  return `${allowed}: use one more socket, or ${raise}`;
}

function checkSource(call: MembershipCall, group: Endpoint, source: unknown): Endpoint {
  const given = address("source", source);
  const from = forFamily(group.family === AF_INET ? unmapped(given) : given, group.family, call);
  const bytes = parseLiteral(from.host)?.bytes;
  if (source !== "" && isEndpoint(from) && bytes && isUnicast(bytes)) return from;
  const text = "the source must be the IP address of one sender";
  throw new OSError("EINVAL", { syscall: call, address: given.host, text });
}

function address(name: string, given: unknown): Address {
  if (typeof given !== "string") throw wrongType(name, "an IP address as a string", given);
  return new Address(given, 0);
}

/** Whether a literal can be the address of one sender: not a group, the wildcard or the broadcast address. */
function isUnicast(bytes: Uint8Array): boolean {
  const same = (value: number): boolean => bytes.every((byte) => byte === value);
  return !isMulticast(bytes) && !same(0) && !(bytes.length === 4 && same(255));
}
