/** Changes of multicast membership: what sockets take, and what their errors say. */

import { Address, type Endpoint, type Family, forFamily, isEndpoint, unmapped } from "../address/address.js";
import { noInterfaceText, scopeConflict } from "../address/scopes.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import { OSError, wrongType } from "../errors/errors.js";
import { isMulticast, parseLiteral } from "../ip.js";
import { chosenInterface } from "./options.js";

/** The call that makes a change. */
export type MembershipCall =
  | "addMembership"
  | "dropMembership"
  | "addSourceMembership"
  | "dropSourceMembership"
  | "blockSource"
  | "unblockSource";

/** One change of the groups that a socket is in. */
export interface Membership {
  readonly call: MembershipCall;
  /** A multicast literal, with port 0. Where it has a scope, `interface` says more. */
  readonly group: Endpoint;
  /** The sender that it is about, a unicast literal of the group's family with port 0; `undefined` for all senders. */
  readonly source: Endpoint | undefined;
  /** The interface's name, number or, for IPv4, address; `undefined` leaves the choice to the system's routes. */
  readonly interface: string | undefined;
}

/** How many memberships one socket may have (`igmp_max_memberships`, `igmp_max_msf`: ip(7)). */
export interface MembershipLimits {
  readonly groups: number;
  /** Sources of one group. */
  readonly sources: number;
}

/**
 * A change as drivers take it, once what the program gave is checked.
 *
 * @param source of the calls that are about one.
 * @throws `OSError` `EINVAL` for a group that is no multicast address, and a source that is no unicast one;
 *   `EAFNOSUPPORT`; `TypeError`, `RangeError`.
 */
export function checkMembership(
  call: MembershipCall,
  family: Family,
  group: unknown,
  at: unknown,
  source: unknown,
): Membership {
  const given = address("group", group);
  // Of an IPv4 group drivers take its own spelling, also on an IPv6 socket.
  const plain = family === AF_INET6 ? unmapped(given) : given;
  const to = plain.family === AF_INET ? plain : forFamily(given, family, call);
  const bytes = parseLiteral(to.host)?.bytes;
  if (!bytes || !isEndpoint(to) || !isMulticast(bytes)) {
    const text = "this is no multicast address";
    throw new OSError("EINVAL", { syscall: call, address: given.host, text });
  }
  const from =
    call === "addMembership" || call === "dropMembership" ? undefined : checkSource(call, to, source);
  const named = at === undefined ? undefined : chosenInterface("interface", at, to, call);
  if (to.scope !== undefined || given.scope === undefined)
    return { call, group: to, source: from, interface: named };
  // The scope of a mapped group.
  if (named !== undefined && named !== given.scope)
    throw scopeConflict(call, given, `the call names ${named}`);
  return { call, group: to, source: from, interface: given.scope };
}

/** The error of a change that the system refused with `code`. */
export function membershipError(
  code: string,
  { call, group, interface: at }: Membership,
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
  const ofGroups = { name: "net.ipv4.igmp_max_memberships", most: groups, what: "groups on one socket" };
  const name = family === AF_INET ? "net.ipv4.igmp_max_msf" : "net.ipv6.mld_max_msf";
  const ofSources = { name, most: sources, what: "sources of one group" };
  const either = family === AF_INET && call === "addSourceMembership";
  const limits = either ? [ofGroups, ofSources] : [call === "addMembership" ? ofGroups : ofSources];
  const allowed = limits.map(({ name, most, what }) => `${name} allows ${most} ${what}`).join(", ");
  const raise = limits.map(({ name, most }) => `sysctl -w ${name}=${2 * most}`).join(" or ");
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

/** Whether a literal can be the address of one sender: no group, not the wildcard, no broadcast. */
function isUnicast(bytes: Uint8Array): boolean {
  const same = (value: number): boolean => bytes.every((byte) => byte === value);
  return !isMulticast(bytes) && !same(0) && !(bytes.length === 4 && same(255));
}
