/** The address that `datagram listen` binds to, and the groups that it joins. */

import { type Endpoint, type Family, anyAddress, isWildcard } from "../core/address/address.js";
import { parseLiteral } from "../core/ip.js";
import {
  AF_INET,
  AF_INET6,
  Address,
  SOL_SOCKET,
  SO_BINDTODEVICE,
  SO_REUSEADDR,
  type Socket,
} from "../index.js";
import { type Failure, usage } from "./exit.js";
import { type GroupJoin, canReceiveOwnGroupsOnly, joinAll, groupJoinsOf } from "./group-joins.js";
import type { NetworkInterface } from "./interfaces.js";
import {
  type RouteOptions,
  namingOptionInErrors,
  isGroup,
  needsScope,
  withScopeOf,
} from "./route-options.js";
import { notice, warn } from "./terminal.js";
import { listeningAddress, resolved } from "./option-values.js";

/** The address argument of `datagram listen`. */
export interface ListenAddress {
  readonly address: Address;
  /** Whether the argument is a port without a host. */
  readonly portOnly: boolean;
}

/** The address that a socket binds to, and the groups that it joins. */
export interface ListenTarget {
  readonly at: Endpoint;
  readonly joins: readonly GroupJoin[];
  /** Accepted senders of the groups; empty: all. */
  readonly from: readonly Endpoint[];
  /** The interface that the socket is limited to; `undefined`: none. */
  readonly device: string | undefined;
}

/** The shared options, and those of `listen` only. */
export interface ListenTargetOptions extends RouteOptions {
  readonly from?: readonly string[];
}

/** Reads the address argument. */
export function parseListenAddress(text: string): ListenAddress {
  return { address: listeningAddress(text), portOnly: /^\d+$/.test(text) };
}

/** @throws `Failure` if an address is there twice. Port 0 is another port each time. */
export function refuseRepeated(addresses: readonly ListenAddress[]): void {
  const texts = new Set<string>();
  for (const { address } of addresses) {
    if (address.port === 0) continue;
    if (texts.has(String(address))) throw usage(`${address} is given twice: give each address once`);
    texts.add(String(address));
  }
}

/**
 * The target for an address and the options. If the address is a group, the group is joined. A port without a host means
 * the loopback interface, or every interface if a group or an interface is named.
 *
 * @throws `Failure` for options that contradict each other or the address.
 */
export async function listenTarget(
  { address, portOnly }: ListenAddress,
  { interface: interfaces = [], join = [], from = [] }: ListenTargetOptions,
): Promise<ListenTarget> {
  const where = await resolved(address);
  const groups = isGroup(where) ? [where, ...join] : join;
  if (groups.length === 0) {
    if (from.length > 0) throw usage("--from is for multicast groups: listen on one, or --join one");
    return targetWithoutGroups(where, portOnly, interfaces);
  }
  const joins = await groupJoinsOf(groups, interfaces);
  const family = groups.every((group) => group.family === AF_INET) ? AF_INET : AF_INET6;
  const at = isGroup(where)
    ? groupAddress(where.port, joins, family)
    : portOnly
      ? anyAddress(family, where.port)
      : where;
  const stray = groups.find((group) => at.family === AF_INET && group.family === AF_INET6);
  if (stray)
    throw usage(
      `${at} is IPv4 and cannot receive an IPv6 group: listen on [::]:${at.port} to join ${stray.host}`,
    );
  const senders = await Promise.all(from.map((host) => sender(host, groups)));
  return { at, joins, from: senders, device: undefined };
}

/** Binds a socket to a target and joins the target's groups. */
export async function bindAndJoin(s: Socket, { at, joins, from, device }: ListenTarget): Promise<void> {
  if (device !== undefined) {
    namingOptionInErrors(`--interface ${device}`, () => s.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, device));
  }
  s.on("warning", ({ code, message }) => {
    // Reported below "listening on ...", in terms of the command line.
    if (code !== "JOINED_BUT_BOUND") warn(message);
  });
  // Any number of programs may join one group.
  if (joins.length > 0) s.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
  await s.bind(at);
  joinAll(s, joins, from);
}

/** Shows where a socket listens, and which groups it joined on which interfaces. */
export function showListenTarget(s: Socket, { at, joins, from, device }: ListenTarget): void {
  const { port } = s.getsockname();
  notice(`listening on ${at.withPort(port)}`);
  for (const group of new Set(joins.map((each) => each.group))) {
    const by = joins.filter((each) => each.group === group).map((each) => each.by);
    const senders = from.length > 0 ? `, from ${from.map(({ host }) => host).join(", ")} only` : "";
    notice(`  group ${group} on ${by.join(", ")}${senders}`);
  }
  if (joins.length > 0 && !canReceiveOwnGroupsOnly(s)) {
    notice(`  and on every interface on which another program joined it (the ${s.driver} driver)`);
  }
  if (joins.length > 0 && !isWildcard(at.host) && !isGroup(at)) {
    const [first] = joins as [GroupJoin];
    warn(
      `a socket bound to ${at.host} receives nothing that is sent to a group: listen on ${anyAddress(at.family, port)}, ` +
        `or on ${new Address(first.group, port)}`,
    );
  }
  if (device !== undefined) notice(`  only what arrives on ${device}`);
  if (at.host === "127.0.0.1")
    notice(`  only this machine can reach it; with 0.0.0.0:${port} others can too`);
}

/** The error of a command without a port to listen on. */
export function missingPort(): Failure {
  return usage("missing required argument: a port, such as 9000, or host:port");
}

function targetWithoutGroups(
  where: Endpoint,
  portOnly: boolean,
  [by, ...more]: readonly NetworkInterface[],
): ListenTarget {
  if (!by) return { at: where, joins: [], from: [], device: undefined };
  if (more.length > 0) throw usage("only one --interface is possible if no group is joined");
  const at = portOnly ? anyAddress(AF_INET, where.port) : withScopeOf(where, by);
  if (isLoopback(at) && !by.loopback) throw usage(`nothing sent to ${at.host} arrives on ${by.name}`);
  return { at, joins: [], from: [], device: by.name };
}

/**
 * The address to bind to for groups. For one group it is the group, so that nothing else is received. For several groups it
 * is every address; also for a link-local group on several interfaces, since binding to it chooses one interface.
 */
function groupAddress(port: number, joins: readonly GroupJoin[], family: Family): Endpoint {
  const [first, ...more] = joins as [GroupJoin, ...GroupJoin[]];
  const group = new Address(first.group, port) as Endpoint;
  if (more.some((each) => each.group !== first.group)) return anyAddress(family, port);
  if (!needsScope(group)) return group;
  return more.length > 0
    ? anyAddress(family, port)
    : (new Address(`${first.group}%${first.by}`, port) as Endpoint);
}

/** Reads a sender of the groups, which must have its family. */
async function sender(host: string, groups: readonly Endpoint[]): Promise<Endpoint> {
  const found = await resolved(new Address(host, 0));
  if (isGroup(found)) throw usage(`--from takes a sender, and ${host} is a multicast group`);
  const stray = groups.find(({ family }) => family !== found.family);
  if (stray) throw usage(`--from ${host} is of another family than the group ${stray.host}`);
  return found;
}

function isLoopback({ host, family }: Endpoint): boolean {
  return host === "::1" || (family === AF_INET && parseLiteral(host)?.bytes[0] === 127);
}
