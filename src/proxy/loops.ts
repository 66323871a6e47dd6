/** Finds datagrams of a relay that come back to it through relays of this process. */

import { sameHost } from "../core/address/hosts.js";
import type { Endpoint, Socket } from "../index.js";

/** A socket that sends on behalf of a client of a relay. */
interface RelaySocket {
  readonly relay: object;
  /** Where the client's datagrams come from. */
  readonly source: Endpoint;
  /** Where the socket's come from. */
  readonly own: Endpoint;
}

/** The sockets of all relays of this process. */
const sockets = new Map<Socket, RelaySocket>();
/** The same sockets by port, so that a lookup compares few addresses. Two addresses may have one port. */
const byPort = new Map<number, Set<Socket>>();
/** How many relays in a row are followed. */
const mostHops = 64;

/** Registers a connected socket, and the client that it sends for. */
export function rememberSocket(s: Socket, relay: object, source: Endpoint): void {
  forgetSocket(s);
  const own = s.getsockname();
  sockets.set(s, { relay, source, own });
  const others = byPort.get(own.port);
  if (others) others.add(s);
  else byPort.set(own.port, new Set([s]));
}

/** Forgets a socket. */
export function forgetSocket(s: Socket): void {
  const { own } = sockets.get(s) ?? {};
  if (!own) return;
  sockets.delete(s);
  const others = byPort.get(own.port);
  if (others?.delete(s) === true && others.size === 0) byPort.delete(own.port);
}

/** Whether datagrams from `source` were sent by `relay` before, directly or through other relays of this process. */
export function isLooped(source: Endpoint, relay: object): boolean {
  let from = source;
  for (let hop = 0; hop < mostHops; hop++) {
    const found = socketAt(from);
    if (!found) return false;
    if (found.relay === relay) return true;
    from = found.source;
  }
  return true;
}

function socketAt(from: Endpoint): RelaySocket | undefined {
  for (const s of byPort.get(from.port) ?? []) {
    const found = sockets.get(s);
    if (found && sameHost(found.own.host, from.host)) return found;
  }
  return undefined;
}
