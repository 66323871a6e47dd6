/** The calls of a socket without promises, for a layer above that has callbacks and events. */

import type { Address, Endpoint } from "../address/address.js";
import type { Completion } from "../driver/outbound.js";
import { sizeOf } from "../driver/payload.js";
import type { OSError } from "../errors/errors.js";
import type { Traffic } from "../ledger/ledger.js";
import { engineOf } from "./settings.js";
import type { Socket } from "./socket.js";

export type { Completion } from "../driver/outbound.js";
export { type PullListener, Pull } from "./pull.js";
export { closeThen, connectNow, pull } from "./socket.js";

/**
 * Binds a socket as `bind` does, before any datagram was sent.
 *
 * @returns a promise if the driver must wait. Otherwise the socket is bound now.
 * @throws (also rejects) the errors of `bind`.
 */
export function bindNow(s: Socket, at: Endpoint): Promise<void> | undefined {
  return engineOf(s).open("bind").bind(at);
}

/**
 * Sends a datagram as `sendto` does. The payload is copied during the call.
 *
 * @param to `null` is the connected peer.
 * @param owner is told when the datagram is sent or has failed, with `tag`. Its methods must not throw.
 * @returns the error if the datagram is refused. `owner` is not told of it.
 * @throws `OSError` `EBADF`.
 */
export function transmit(
  s: Socket,
  payload: Uint8Array,
  to: Address | null,
  owner: Completion,
  tag: number,
): OSError | undefined {
  return engineOf(s).open("sendto").sender.send(payload, sizeOf(payload), to, owner, tag);
}

/** The datagrams that were passed to a socket and that are neither sent nor failed, and the bytes of their payloads. */
export function waitingSends(s: Socket): Traffic {
  return engineOf(s).sender.waiting;
}

/** The first address of a name, as `bind` and `connect` find it. @throws (rejects) `OSError`, `ECANCELED` after `close()`. */
export function resolveName(s: Socket, host: string): Promise<Endpoint> {
  return engineOf(s).resolve(host);
}
