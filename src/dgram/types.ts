/** The public types: those of `node:dgram`, with what newer versions of Node and this package add. */

import type * as node from "node:dgram";
import type { AddressInfo, BlockList } from "node:net";

import type { Family } from "../core/address/address.js";
import type { SocketOptions as CoreOptions } from "../core/socket/arguments.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import type { openHandle, shareSocket } from "../kernel/node-handles.js";

/** The callback of `send`. */
export type SendCallback = (error: Error | null, bytes: number) => void;

/** The callback of `lookup`. */
export type LookupCallback = (error: Error | null, address: string) => void;

/** Options of newer versions of `node:dgram`, which older type definitions lack, and options of this package. */
export interface MoreOptions {
  /** Several sockets share the port, and the kernel spreads the datagrams (`SO_REUSEPORT`). @default false */
  readonly reusePort?: boolean | undefined;
  /** Datagrams from these addresses are dropped. */
  readonly receiveBlockList?: BlockList | undefined;
  /** Sends and connects to these addresses fail with `ERR_IP_BLOCKED`. */
  readonly sendBlockList?: BlockList | undefined;
  /**
   * `close()` drops the datagrams that still wait to be sent, as `node:dgram` does. Their callbacks get `ECANCELED`.
   * @default false
   */
  readonly dropOnClose?: boolean | undefined;
}

/** The options of `createSocket`. */
export type SocketOptions = node.SocketOptions & MoreOptions;

/** The calls of Node 26 that bind and connect at once. */
export interface SyncCalls {
  /**
   * Binds to an IP address at once.
   *
   * @returns the address.
   * @throws as `bind` in `"error"`; `ERR_INVALID_ARG_VALUE` for a name; `ENOTSUP` on a runtime that cannot bind at once.
   */
  bindSync(options?: { port?: number | undefined; address?: string | undefined }): AddressInfo;
  /**
   * Connects to an IP address at once.
   *
   * @throws as `connect`; `ERR_INVALID_ARG_VALUE` for a name; `ENOTSUP` over the `dgram` driver
   *   if it fails for another reason, or right after `disconnect()`.
   */
  connectSync(port: number, address?: string): void;
}

/** A socket of this module: every call and event of a socket of `node:dgram`. */
export type Socket = node.Socket & SyncCalls;

/** What `createDgram` opens sockets on: a host of a simulated network, or any object with such a call. */
export interface SocketHost {
  /** Opens a socket, as `socket()` of `datagram` does. */
  socket(family: Family, type: 2, options?: CoreOptions): CoreSocket;
}

/** The host of the default module, which also has the sockets of Node's own handles. */
export interface RealHost extends SocketHost {
  /** Asks the primary process of `node:cluster` for a socket, if this process is a worker. */
  readonly share?: typeof shareSocket;
  /** Opens a socket over a handle of Node. */
  readonly adopt?: typeof openHandle;
}

/** The listener of `"message"`, as the installed types of Node have it. */
export type MessageListener = Parameters<typeof node.createSocket>[1];

/** A module with the interface of `node:dgram`. */
export interface DgramModule {
  /** Opens a socket, as `createSocket` of `node:dgram` does. */
  createSocket: (type: node.SocketType | SocketOptions, callback?: MessageListener) => Socket;
  /** The class of the sockets, for `instanceof` and `extends`. */
  Socket: typeof node.Socket;
}
