/** Datagrams of a relay that come back to it, as far as this process can tell. */

import { sameHost } from "../core/hosts.js";
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
/** The same by port, so that a flood of new clients looks at few; the port of two hosts is two sockets'. */
const byPort = new Map<number, Set<Socket>>();
/** The most relays in a row that are looked through. */
const mostHops = 64;

/** Remembers on whose behalf a connected socket sends from now on. */
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

/** Whether what comes from `source` was sent by this relay before, itself or through others of this process. */
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
