/** How a socket of this module opens a socket of the core. */

import type { EventEmitter } from "node:events";

import type { Endpoint, Family } from "../core/address/address.js";
import { sharedAddress } from "../core/address/shared-addresses.js";
import { assert } from "../core/assert.js";
import {
  AF_INET,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SOCK_DGRAM,
  SOL_SOCKET,
  SO_REUSEADDR,
  SO_REUSEPORT,
} from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import type { SocketOptions as CoreOptions } from "../core/socket/arguments.js";
import { bindNow } from "../core/socket/callbacks.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import type { HandleSocket, NodeHandle, SharedRequest } from "../kernel/node-handles.js";
import { maxBufferBytes } from "./arguments.js";
import type { RealHost, SocketOptions } from "./types.js";

/** Opens and binds the core's sockets of one socket of this module. */
export class Opening {
  readonly #host: RealHost;
  readonly #family: Family;
  readonly #options: Partial<SocketOptions>;

  constructor(host: RealHost, family: Family, options: Partial<SocketOptions>) {
    this.#host = host;
    this.#family = family;
    this.#options = options;
  }

  /** @param fd a descriptor to adopt. */
  open(fd?: number): CoreSocket {
    return this.#host.socket(this.#family, SOCK_DGRAM, { ...this.#coreOptions(), fd });
  }

  /** Binds a socket to a literal. @returns a promise if the driver must wait. @throws OSError */
  bind(core: CoreSocket, ip: string, port: number): Promise<void> | undefined {
    const { reuseAddr, reusePort, ipv6Only } = this.#options;
    if (reuseAddr === true) core.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
    if (reusePort === true) core.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
    if (ipv6Only === true && this.#family !== AF_INET) core.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
    return bindNow(core, literalOf(this.#family, ip, port));
  }

  /** Whether `adopt` works: a host that the program gave has no handles of Node. */
  get takesHandles(): boolean {
    return this.#host.adopt !== undefined;
  }

  /** Opens a socket over a handle of Node, which must be open and bound. `closed` is called if the handle is closed elsewhere. */
  adopt(handle: NodeHandle, closed: () => void): HandleSocket {
    const { adopt } = this.#host;
    assert(adopt !== undefined, "only a host with handles binds to one");
    return adopt(handle, this.#family, this.#coreOptions(), closed);
  }

  /**
   * Asks for a socket that the workers of `node:cluster` share.
   *
   * @param done is called later, with the socket or with the error.
   * @returns `false` if this is not a worker. Then `done` is never called.
   */
  share(
    at: SharedRequest["at"],
    asks: { readonly owner: EventEmitter; readonly disconnected: () => void },
    done: (error: OSError | undefined, opened?: HandleSocket) => void,
  ): boolean {
    const { reuseAddr = false, ipv6Only = false } = this.#options;
    const request = { ...asks, family: this.#family, at, reuseAddr, ipv6Only };
    return this.#host.share?.(request, this.#coreOptions(), done) === true;
  }

  #coreOptions(): CoreOptions {
    const { recvBufferSize, sendBufferSize } = this.#options;
    return {
      metadata: false,
      receiveBuffer: coreBufferBytes(recvBufferSize),
      sendBuffer: coreBufferBytes(sendBufferSize),
    };
  }
}

/** A size for the core. 0 is no size, as in Node. Node fails for a size above the largest `int`, and so does the core. */
function coreBufferBytes(size: number | undefined): number | undefined {
  if (size === 0 || size === undefined) return undefined;
  return size > 0x7fff_ffff ? size : Math.min(size, maxBufferBytes);
}

/** The address of a literal. @throws OSError `EINVAL` if it is of the other family. */
export function literalOf(family: Family, ip: string, port: number): Endpoint {
  const at = sharedAddress(ip, port);
  if (at.family !== family) throw new OSError("EINVAL");
  return at as Endpoint;
}
