/** Multicast groups on the command line: on which interface each is joined, and joining them. */

import type { Endpoint } from "../core/address/address.js";
import { formatLiteral, parseLiteral } from "../core/ip.js";
import {
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_ALL,
  IP_MULTICAST_ALL,
  OSError,
  SOCK_DGRAM,
  type Socket,
  socket,
} from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import { type NetworkInterface, interfaceFor, interfaceWith, namesOf } from "./interfaces.js";
import { needsScope, scopedBy } from "./route-options.js";

/** A group, and an interface that it is heard by. */
export interface Membership {
  /** Without a scope. */
  readonly group: string;
  /** The name of the interface. */
  readonly by: string;
}

/**
 * Where groups are heard: on each of the interfaces; without any on the one of the group's scope, else on the one that the
 * kernel's routes name.
 *
 * @throws `Failure` where no route names one, or an interface contradicts a group's scope.
 */
export async function membershipsOf(
  groups: readonly Endpoint[],
  interfaces: readonly NetworkInterface[] = [],
): Promise<Membership[]> {
  const found: Membership[] = [];
  for (const group of groups) {
    for (const by of interfaces) scopedBy(group, by);
    const named = group.scope === undefined ? [] : [interfaceFor("the scope")(group.scope)];
    const chosen = interfaces.length > 0 ? interfaces : named;
    const names = chosen.length > 0 ? chosen.map(({ name }) => name) : [await kernelsChoice(group)];
    const host = group.host.replace(/%.*/, "");
    for (const by of new Set(names)) {
      if (!found.some((each) => each.group === host && each.by === by)) found.push({ group: host, by });
    }
  }
  return found;
}

/**
 * Has a socket hear groups, and where the driver can, none that other sockets of this host joined (`IP_MULTICAST_ALL`).
 *
 * @param from literals: the senders that are heard, where it is not all of them.
 */
export function joinAll(s: Socket, memberships: readonly Membership[], from: readonly Endpoint[] = []): void {
  if (memberships.length > 0 && hearsOwnGroupsAlone(s)) {
    // An IPv6 socket may be in groups of both.
    if (memberships.some(({ group }) => !group.includes(":")))
      s.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, false);
    if (s.family === AF_INET6) s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, false);
  }
  for (const { group, by } of memberships) {
    if (from.length === 0) s.addMembership(group, by);
    for (const { host } of from) s.addSourceMembership(host, group, by);
  }
}

/** Whether a socket can be kept from hearing groups that others joined. */
export function hearsOwnGroupsAlone(s: Socket): boolean {
  return s.capabilities.allOptions.available;
}

/** The interface that the kernel's routes name for a group: that of the address which datagrams there come from. */
async function kernelsChoice(group: Endpoint): Promise<string> {
  await using s = socket(group.family, SOCK_DGRAM);
  try {
    await s.connect([routed(group), 9]);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    throw new Failure(exitCodes.error, `no route leads to ${group.host}: ${choose()}`);
  }
  const { host } = s.getsockname();
  const found = interfaceWith(host);
  if (found) return found.name;
  throw new Failure(
    exitCodes.error,
    `no interface has ${host}, the source of datagrams to ${group.host}: ${choose()}`,
  );
}

/** What the routes are asked for: a link-local group needs its interface first, and one of another scope takes the same route. */
function routed(group: Endpoint): string {
  const literal = parseLiteral(group.host);
  if (group.family !== AF_INET6 || !literal || !needsScope(group)) return group.host;
  const wider = Uint8Array.from(literal.bytes);
  wider[1] = ((wider[1] ?? 0) & 0xf0) | 0x0e;
  return formatLiteral(wider);
}

function choose(): string {
  return `give --interface, one of ${namesOf()}`;
}
