/** Finds datagrams of a relay that come back to it, directly or through other relays of this process. */

import { sameHost } from "../core/address/same-host.js";
import type { Endpoint, Socket } from "../index.js";

/** A socket that a relay uses to send the datagrams of one client. */
interface RelaySocket {
  readonly relay: object;
  /** The address of the client. */
  readonly source: Endpoint;
  /** The local address of the socket. */
  readonly own: Endpoint;
}

/** The sockets of all relays of this process. */
const sockets = new Map<Socket, RelaySocket>();
/**
 * The same sockets by local port, so that a lookup compares few addresses. Sockets with different addresses may have the
 * same port.
 */
const byPort = new Map<number, Set<Socket>>();
/** The largest number of relays in a row that are followed. */
const maxHops = 64;

/** Remembers a connected socket, and the client whose datagrams it sends. */
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
  for (let hop = 0; hop < maxHops; hop++) {
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
