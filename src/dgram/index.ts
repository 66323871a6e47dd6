/// <reference types="node" preserve="true" />
/**
 * The interface of `node:dgram` over the sockets of this package: programs and packages that were written for `node:dgram` run
 * here without a change, on a real network or on a simulated one.
 *
 * `socket.ts` has the class and its methods, `arguments.ts` the checks, `state.ts` the life of a socket. `opening.ts` opens and
 * binds a socket of the core, `outgoing.ts` sends, and `deliveries.ts` calls listeners and callbacks. `settings.ts` sets options
 * and joins groups, and `errors.ts` makes Node's errors.
 *
 * @module dgram
 */

import type * as node from "node:dgram";

import type { Socket as CoreSocket } from "../core/socket/socket.js";
import { socket } from "../index.js";
import { openHandle, shareSocket } from "../kernel/node-handles.js";
import { makeModule } from "./socket.js";
import type * as types from "./types.js";

export type { BindOptions, RemoteInfo, SocketType } from "node:dgram";
export { socketOf } from "./socket.js";
export type {
  DgramModule,
  MessageListener,
  MoreOptions,
  SocketHost,
  SocketOptions,
  SyncCalls,
} from "./types.js";

/** The interface of `node:dgram` over the sockets of this package. */
const dgram: types.DgramModule = makeModule({
  socket: (family, type, options): CoreSocket => socket(family, type, options),
  share: shareSocket,
  adopt: openHandle,
});

/** The types of `node:dgram` by the name of the default import: `dgram.Socket`, `dgram.RemoteInfo`. */
// oxlint-disable-next-line typescript/no-namespace -- so that `dgram.Socket` is a type, as with node:dgram
declare namespace dgram {
  /** A socket of this module. */
  type Socket = types.Socket;
  /** The options of `createSocket`. */
  type SocketOptions = types.SocketOptions;
  /** `"udp4"` or `"udp6"`. */
  type SocketType = node.SocketType;
  /** The options of `bind`. */
  type BindOptions = node.BindOptions;
  /** The sender of a datagram, and the bytes of its payload. */
  type RemoteInfo = node.RemoteInfo;
}

export default dgram;

/** Opens a socket, as `createSocket` of `node:dgram` does. */
export const createSocket: types.DgramModule["createSocket"] = dgram.createSocket;

/** The class of the sockets, for `instanceof` and `extends`. */
export const Socket: types.DgramModule["Socket"] = dgram.Socket;
/** A socket of this module. */
export type Socket = types.Socket;

/**
 * Makes a module with the interface of `node:dgram` whose sockets are on another host, such as a host of a simulated network.
 *
 * @param host `network.host("a")` of `datagram/sim`, or any object whose `socket()` opens sockets of this package.
 */
export function createDgram(host: types.SocketHost): types.DgramModule {
  return makeModule(host);
}
