/** Chooses the interface of each multicast group on the command line, and joins the groups. */

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
import { type NetworkInterface, interfaceFor, interfaceWith, listNames } from "./interfaces.js";
import { needsScope, withScopeOf } from "./route-options.js";

/** A group, and an interface on which it is joined. */
export interface GroupJoin {
  /** Without a scope. */
  readonly group: string;
  /** The name of the interface. */
  readonly by: string;
}

/**
 * The interfaces of groups: the given ones; without any, the interface of the group's scope; else the interface of the
 * kernel's route to the group.
 *
 * @throws `Failure` if there is no route, or an interface contradicts a group's scope.
 */
export async function groupJoinsOf(
  groups: readonly Endpoint[],
  interfaces: readonly NetworkInterface[] = [],
): Promise<GroupJoin[]> {
  const found: GroupJoin[] = [];
  for (const group of groups) {
    for (const by of interfaces) withScopeOf(group, by);
    const named = group.scope === undefined ? [] : [interfaceFor("the scope")(group.scope)];
    const chosen = interfaces.length > 0 ? interfaces : named;
    const names = chosen.length > 0 ? chosen.map(({ name }) => name) : [await routedInterface(group)];
    const host = group.host.replace(/%.*/, "");
    for (const by of new Set(names)) {
      if (!found.some((each) => each.group === host && each.by === by)) found.push({ group: host, by });
    }
  }
  return found;
}

/**
 * Joins groups. If the driver can, the socket does not receive groups of other sockets of this host (`IP_MULTICAST_ALL`).
 *
 * @param from literals: the accepted senders. Empty: all.
 */
export function joinAll(s: Socket, joins: readonly GroupJoin[], from: readonly Endpoint[] = []): void {
  if (joins.length > 0 && canReceiveOwnGroupsOnly(s)) {
    // An IPv6 socket may be in groups of both families.
    if (joins.some(({ group }) => !group.includes(":"))) s.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, false);
    if (s.family === AF_INET6) s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_ALL, false);
  }
  for (const { group, by } of joins) {
    if (from.length === 0) s.addMembership(group, by);
    for (const { host } of from) s.addSourceMembership(host, group, by);
  }
}

/** Whether a socket can be set to receive only the groups that it joined itself. */
export function canReceiveOwnGroupsOnly(s: Socket): boolean {
  return s.capabilities.allOptions.available;
}

/** The interface of the kernel's route to a group: the interface that has the source address of datagrams to it. */
async function routedInterface(group: Endpoint): Promise<string> {
  await using s = socket(group.family, SOCK_DGRAM);
  try {
    await s.connect([routeTarget(group), 9]);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    throw new Failure(exitCodes.error, `no route leads to ${group.host}: ${interfaceHint()}`);
  }
  const { host } = s.getsockname();
  const found = interfaceWith(host);
  if (found) return found.name;
  throw new Failure(
    exitCodes.error,
    `no interface has ${host}, the source of datagrams to ${group.host}: ${interfaceHint()}`,
  );
}

/** The address for the route lookup. A link-local group would need an interface, so its scope is changed to global. */
function routeTarget(group: Endpoint): string {
  const literal = parseLiteral(group.host);
  if (group.family !== AF_INET6 || !literal || !needsScope(group)) return group.host;
  const wider = Uint8Array.from(literal.bytes);
  wider[1] = ((wider[1] ?? 0) & 0xf0) | 0x0e;
  return formatLiteral(wider);
}

function interfaceHint(): string {
  return `give --interface, one of ${listNames()}`;
}
