/**
 * Sockets over handles of Node: open UDP sockets that Node itself made or received from another process. The workers of
 * `node:cluster` get such a handle from the primary process, which passes the same socket to each worker that asks for the same
 * address. The kernel then gives each datagram to the worker that reads first.
 *
 * Node has no public call for a worker that asks. `cluster._getServer` is the call of `node:dgram`, `node:net` and `node:http`
 * (lib/internal/cluster/child.js): docs/decisions/0032-cluster-workers.md.
 */

import type { EventEmitter } from "node:events";
import { closeSync } from "node:fs";
import { createRequire } from "node:module";

import type { Family } from "../core/address/address.js";
import { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_RCVBUF, SO_SNDBUF } from "../core/constants.js";
import type { Stack } from "../core/driver/driver.js";
import { type OSError, fromErrno } from "../core/errors/errors.js";
import type { SocketOptions } from "../core/socket/arguments.js";
import { openSocket } from "../core/socket/opening.js";
import type { Socket } from "../core/socket/socket.js";
import { kernelStack } from "./choice.js";
import { lendHandle } from "./dgram/adoption.js";
import { nativeSupport } from "./native/stack.js";
import { runtime } from "./runtime.js";

/** The flags of uv.h. */
const [UV_UDP_IPV6ONLY, UV_UDP_REUSEADDR] = [1, 4] as const;

/** A UDP handle of Node. Nobody reads from it. */
export interface NodeHandle {
  readonly fd: number;
  close(done?: () => void): void;
}

/** A socket over a handle of Node. */
export interface HandleSocket {
  readonly socket: Socket;
  /** Closes the handle. Call it once, after `socket` was closed. */
  readonly release: () => void;
}

/** The socket that a worker asks for. */
export interface SharedRequest {
  /** Emits "listening" after the answer, and then has an `address()`. */
  readonly owner: EventEmitter;
  readonly family: Family;
  /** The address to bind to, or a descriptor of the primary process. */
  readonly at: { readonly host: string; readonly port: number } | { readonly fd: number };
  readonly reuseAddr: boolean;
  readonly ipv6Only: boolean;
  /** Called if the worker disconnects, which closes the socket. */
  readonly disconnected: () => void;
}

/** `node:cluster` as a worker sees it. */
interface Cluster {
  readonly isWorker: boolean;
  _getServer?(
    owner: EventEmitter,
    query: Readonly<Record<string, unknown>>,
    answer: (errno: number, handle: NodeHandle | null) => void,
  ): void;
}

/**
 * Asks the primary process of `node:cluster` for a socket that the workers share.
 *
 * @param options of the socket.
 * @param done is called later, with the socket or with the error.
 * @returns `false` if this process is not a worker. Then `done` is never called.
 */
export function shareSocket(
  request: SharedRequest,
  options: SocketOptions,
  done: (error: OSError | undefined, opened?: HandleSocket) => void,
): boolean {
  const cluster = workerCluster();
  if (!cluster?._getServer) return false;
  const { owner, family, at, reuseAddr, ipv6Only, disconnected } = request;
  const isDescriptor = "fd" in at;
  const query = {
    address: isDescriptor ? null : at.host,
    port: isDescriptor ? null : at.port,
    addressType: family === AF_INET ? "udp4" : "udp6",
    fd: isDescriptor ? at.fd : -1,
    flags: isDescriptor ? null : (reuseAddr ? UV_UDP_REUSEADDR : 0) | (ipv6Only ? UV_UDP_IPV6ONLY : 0),
  };
  cluster._getServer(owner, query, (errno, handle) => {
    if (!handle) {
      done(fromErrno(-errno, { syscall: isDescriptor ? "open" : "bind" }));
      return;
    }
    let opened: HandleSocket;
    try {
      opened = openHandle(handle, family, options, disconnected);
    } catch (error) {
      handle.close();
      done(error as OSError);
      return;
    }
    done(undefined, opened);
  });
  return true;
}

/**
 * Opens a socket over a handle, which it then owns.
 *
 * @param closeAsked is called if Node closes the handle: at `disconnect()` of a worker.
 * @throws `OSError` such as `EMFILE`. The handle stays open.
 */
export function openHandle(
  handle: NodeHandle,
  family: Family,
  options: SocketOptions,
  closeAsked: () => void,
): HandleSocket {
  const stack = kernelStack();
  const { duplicate } = nativeSupport();
  if (stack.name === "native" && duplicate) {
    // The handle must stay open, because the primary forgets the address after the last handle was closed. Two owners must not
    // close one descriptor, so this socket has one of its own.
    const socket = adoptDescriptor(stack, duplicate(handle.fd), family, options);
    const close = handle.close.bind(handle);
    let closed: (() => void) | undefined;
    handle.close = (done) => {
      closed = done;
      closeAsked();
    };
    return { socket, release: () => close(closed) };
  }
  // Node's own socket uses the handle, and closes it.
  const takeBack = lendHandle(handle, closeAsked);
  try {
    const socket = openSocket(() => stack, family, SOCK_DGRAM, { ...options, fd: handle.fd });
    return { socket, release: () => undefined };
  } finally {
    takeBack();
  }
}

/** Opens a socket over a descriptor, which is closed once if that fails. */
function adoptDescriptor(
  stack: Stack,
  fd: number,
  family: Family,
  { receiveBuffer, sendBuffer, ...options }: SocketOptions,
): Socket {
  let socket: Socket;
  try {
    socket = openSocket(() => stack, family, SOCK_DGRAM, { ...options, fd });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  // The sizes may be wrong. From here on, the socket closes the descriptor.
  try {
    if (receiveBuffer !== undefined) socket.setsockopt(SOL_SOCKET, SO_RCVBUF, receiveBuffer);
    if (sendBuffer !== undefined) socket.setsockopt(SOL_SOCKET, SO_SNDBUF, sendBuffer);
  } catch (error) {
    void socket.close();
    throw error;
  }
  return socket;
}

/** `node:cluster`, if this process is a worker. Only a process with a channel to its parent can be one, and loads the module. */
function workerCluster(): Cluster | undefined {
  if (process.send === undefined || runtime.name !== "Node.js") return undefined;
  const cluster = createRequire(import.meta.url)("node:cluster") as Cluster;
  return cluster.isWorker ? cluster : undefined;
}
