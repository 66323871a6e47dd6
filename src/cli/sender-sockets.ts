/** The sockets that commands send with, and their routes. */

import { type Endpoint, type Family, anyAddress, isWildcard } from "../core/address/address.js";
import { narrowText } from "../core/ledger/report-texts.js";
import {
  AF_INET,
  Address,
  INADDR_BROADCAST,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_UNICAST_IF,
  IP_MULTICAST_IF,
  IP_MULTICAST_TTL,
  IP_TOS,
  IP_TTL,
  IP_UNICAST_IF,
  OSError,
  type OutgoingDatagram,
  SOCK_DGRAM,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_REUSEADDR,
  type Socket,
  socket,
} from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { joinAll, groupJoinsOf } from "./group-joins.js";
import { type NetworkInterface, interfacesUp, listNames, firstIPv4 } from "./interfaces.js";
import {
  type RouteOptions,
  namingOptionInErrors,
  isGroup,
  needsScope,
  withScopeOf,
} from "./route-options.js";
import { warn } from "./terminal.js";
import { asSocketFailure, refused } from "./unreachable.js";
import { resolved } from "./option-values.js";

/** The options of a command that sends. */
export interface SendingOptions extends RouteOptions {
  readonly broadcast?: boolean;
  readonly everyInterface?: boolean;
}

/** A socket with its destinations and its route. */
export interface SenderSocket {
  readonly socket: Socket;
  /** The destinations. A destination that needs a scope has the interface as its scope. */
  readonly to: readonly Endpoint[];
  /** The name of the requested interface. */
  readonly by: string | undefined;
  /** The fields of each datagram for its route. */
  readonly fields: Pick<OutgoingDatagram, "interface" | "source">;
}

/**
 * Opens a socket for each family of the destinations and each requested interface.
 *
 * @throws `Failure` if options contradict destinations; `OSError` `ENOTSUP` if the driver cannot do it.
 */
export async function openSenders(
  to: readonly Endpoint[],
  options: SendingOptions,
  shared = false,
): Promise<SenderSocket[]> {
  if (options.everyInterface) for (const each of to) checkEverywhere(each);
  const families = new Set(to.map(({ family }) => family));
  const stray = options.join?.find(({ family }) => !families.has(family));
  if (stray) throw usage(`--join ${stray.host} is of another family than the destination`);
  if (!options.interface && !options.everyInterface) for (const each of to) warnOfChoice(each);
  const ways = [...families].flatMap((family) =>
    interfacesFor(family, options).map((by) => ({
      by,
      to: to.filter((each) => each.family === family).map((each) => withScopeOf(each, by)),
    })),
  );
  const senders: SenderSocket[] = [];
  try {
    for (const way of ways) senders.push(await open(way.to, way.by, options, shared || ways.length > 1));
  } catch (error) {
    await closeAll(senders);
    throw error;
  }
  return senders;
}

export async function closeAll(senders: readonly SenderSocket[]): Promise<void> {
  await Promise.all(senders.map(({ socket }) => socket.close()));
}

/**
 * Opens a socket that is connected to one peer: every driver has the ICMP errors of such a socket. The peer has the scope of
 * `--interface` if it needs one.
 *
 * @throws `Failure` if options contradict the destination; `OSError` of `bind` and `connect`.
 */
export async function openConnected(to: Endpoint, options: RouteOptions): Promise<Socket> {
  const { interface: [by, ...more] = [], source } = options;
  if (more.length > 0)
    throw usage("--interface can be given once here: one peer is reached through one interface");
  if (!by) warnOfChoice(to);
  const scoped = withScopeOf(to, by);
  const s = socket(to.family, SOCK_DGRAM);
  try {
    warnOfEvents(s);
    applyOptions(s, options);
    if (by && scoped.scope === undefined) sendBy(s, by);
    if (source) await s.bind(await sourceFor(source, to.family));
    await s.connect(scoped);
    return s;
  } catch (error) {
    await s.close();
    throw withInterfaceName(error, by?.name);
  }
}

/**
 * Opens a socket for several destinations of one family, which leave by one interface.
 *
 * @returns the socket, and the destinations with the scope of `--interface` if they need one.
 * @throws `Failure` if options contradict the destinations; `OSError` of `bind`.
 */
export async function openUnconnected(
  to: readonly Endpoint[],
  options: SendingOptions,
): Promise<{ readonly socket: Socket; readonly to: readonly Endpoint[] }> {
  const { interface: [by, ...more] = [], source, broadcast } = options;
  if (more.length > 0) throw usage("--interface can be given once here: each datagram is sent once");
  const [{ family }] = to as [Endpoint];
  const other = to.find((each) => each.family !== family);
  if (other) throw usage(`${other} is of another family than ${to[0]}: one socket sends to all of them`);
  if (!by) for (const each of to) warnOfChoice(each);
  const s = socket(family, SOCK_DGRAM);
  try {
    warnOfEvents(s);
    if (broadcast) s.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
    applyOptions(s, options);
    if (by) {
      if (to.some((each) => !isGroup(each))) sendBy(s, by);
      if (to.some(isGroup)) sendGroupsBy(s, by);
    }
    if (source) await s.bind(await sourceFor(source, family));
    return { socket: s, to: to.map((each) => withScopeOf(each, by)) };
  } catch (error) {
    await s.close();
    throw withInterfaceName(error, by?.name);
  }
}

/** Chooses the interface of all multicast that a socket sends. */
function sendGroupsBy(s: Socket, by: NetworkInterface): void {
  if (s.family === AF_INET) s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, by.name);
  else s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, by.name);
}

/** Chooses the interface of all unicast that a socket sends. */
function sendBy(s: Socket, by: NetworkInterface): void {
  const [level, option] =
    s.family === AF_INET
      ? ([IPPROTO_IP, IP_UNICAST_IF] as const)
      : ([IPPROTO_IPV6, IPV6_UNICAST_IF] as const);
  namingOptionInErrors("--interface", () => s.setsockopt(level, option, by.name));
}

/** Prints events of a socket as warnings. */
function warnOfEvents(s: Socket): void {
  s.on("pathMtu", (change) => warn(narrowText(change)));
  s.on("warning", ({ message }) => warn(message));
}

/** Sets the options that apply to the whole socket. */
export function applyOptions(s: Socket, { ttl, tos }: RouteOptions): void {
  const [level, unicast, multicast, service] =
    s.family === AF_INET
      ? [IPPROTO_IP, IP_TTL, IP_MULTICAST_TTL, IP_TOS]
      : [IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_TCLASS];
  namingOptionInErrors("--ttl", () => {
    if (ttl === undefined) return;
    s.setsockopt(level, unicast, ttl);
    s.setsockopt(level, multicast, ttl);
  });
  namingOptionInErrors("--tos", () => {
    if (tos !== undefined) s.setsockopt(level, service, tos);
  });
}

/**
 * The local address of `--source` for a socket of a family.
 *
 * @throws `Failure` if the address is of the other family.
 */
export async function sourceFor(source: Address, family: Family): Promise<Endpoint> {
  if (source.host === "") return anyAddress(family, source.port);
  const found = await resolved(source);
  if (found.family === family) return found;
  throw usage(`--source ${found.host} is of another family than the destination`);
}

/** An error of sending, in terms of the command line. */
export function asFailure(error: unknown, { broadcast, everyInterface }: SendingOptions): unknown {
  if (!(error instanceof OSError)) return error;
  const to = new Address(error.address ?? "", error.port ?? 0);
  if (error.code === "ECONNREFUSED") return refused(error, to);
  if (error.code !== "EACCES" || broadcast || everyInterface) return error;
  return new Failure(exitCodes.error, `${to} is a broadcast address: give --broadcast to send there`);
}

/** Adds the name of the interface to an error. */
export function withInterfaceName(error: unknown, by: string | undefined): unknown {
  if (by === undefined || !(error instanceof OSError) || error.code === "EACCES") return error;
  const failure = asSocketFailure(error);
  return failure instanceof Failure
    ? new Failure(failure.exitCode, `by ${by}: ${failure.message}`)
    : new Failure(exitCodes.error, `by ${by}: ${error.message}`);
}

async function open(
  to: readonly Endpoint[],
  by: NetworkInterface | undefined,
  options: SendingOptions,
  shared: boolean,
): Promise<SenderSocket> {
  const [{ family }] = to as [Endpoint];
  const source = options.source && (await sourceFor(options.source, family));
  const groups = options.join?.filter((group) => group.family === family) ?? [];
  const joins = await groupJoinsOf(groups, by && [by]);
  const s = socket(family, SOCK_DGRAM);
  try {
    warnOfEvents(s);
    if (options.broadcast || options.everyInterface) s.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
    applyOptions(s, options);
    const useFields = by && s.capabilities.packetInfo.available;
    const at = by && !useFields ? directed(s, to, by, source) : source;
    if (at) {
      // Several sockets use the requested port.
      if (at.port > 0 && shared) s.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
      await s.bind(at);
    }
    joinAll(s, joins);
    // Packet info without a source would replace the source that the socket is bound to.
    const from = source && !isWildcard(source.host) ? { source: source.host } : {};
    return { socket: s, to, by: by?.name, fields: useFields ? { interface: by.name, ...from } : {} };
  } catch (error) {
    await s.close();
    throw error;
  }
}

/**
 * Sends the datagrams of a socket on an interface, for a driver without packet info.
 *
 * @returns the address to bind: the kernel sends to 255.255.255.255 on the interface that has the source address (not in
 *   ip(7): `ip_route_output_key_hash_rcu`, net/ipv4/route.c).
 * @throws `OSError` `ENOTSUP` for destinations whose interface only the routes can choose.
 */
function directed(
  s: Socket,
  to: readonly Endpoint[],
  by: NetworkInterface,
  source: Endpoint | undefined,
): Endpoint | undefined {
  let at = source;
  for (const each of to) {
    if (each.host === INADDR_BROADCAST) at = broadcastSource(s, each, by, source);
    else if (isGroup(each)) sendGroupsBy(s, by);
    else if (each.scope === undefined) {
      throw unsupported(each, `the ${s.driver} driver cannot choose the interface ${by.name} for it`);
    }
  }
  return at;
}

function broadcastSource(
  s: Socket,
  to: Endpoint,
  by: NetworkInterface,
  source: Endpoint | undefined,
): Endpoint {
  if (source && !isWildcard(source.host)) {
    if (by.addresses.some(({ address }) => address === source.host)) return source;
    throw unsupported(
      to,
      `the ${s.driver} driver sends it on the interface of --source, which is not ${by.name}`,
    );
  }
  const own = firstIPv4(by);
  if (own !== undefined) return new Address(own, source?.port ?? 0) as Endpoint;
  throw unsupported(
    to,
    `the ${s.driver} driver needs an address of ${by.name} to send it, and there is none`,
  );
}

function unsupported({ host, port }: Endpoint, why: string): OSError {
  return new OSError("ENOTSUP", {
    syscall: "sendto",
    address: host,
    port,
    text: `${why}: the native driver can`,
  });
}

function interfacesFor(
  family: Family,
  { interface: given = [], everyInterface }: SendingOptions,
): readonly (NetworkInterface | undefined)[] {
  if (!everyInterface) return given.length > 0 ? given : [undefined];
  const up = interfacesUp(family);
  if (up.length > 0) return up;
  const kind = family === AF_INET ? "IPv4" : "IPv6";
  throw new Failure(
    exitCodes.error,
    `--every-interface: none is up and has an ${kind} address, beside the loopback: there are ${listNames()}`,
  );
}

/** Warns if the kernel would choose one of several interfaces. The same address may be another host on each of them. */
function warnOfChoice(to: Endpoint): void {
  if (!needsScope(to) || to.scope !== undefined) return;
  const up = interfacesUp(to.family);
  if (up.length < 2) return;
  const every = isGroup(to) ? ", or --every-interface" : "";
  warn(
    `${to} names no interface, and this host has ${up.length}: give --interface, one of ${listNames(up)}${every}`,
  );
}

/** @throws `Failure` for a destination that is reached through only one interface. */
function checkEverywhere(to: Endpoint): void {
  if (to.scope !== undefined)
    throw usage(`--every-interface contradicts ${to}, which names the interface ${to.scope}`);
  if (to.host === INADDR_BROADCAST || isGroup(to)) return;
  throw usage(`--every-interface is for 255.255.255.255 and multicast groups, and ${to} is neither`);
}
