/** How a socket of this module sends. */

import type { AsyncResource } from "node:async_hooks";
import type { EventEmitter } from "node:events";
import type { BlockList } from "node:net";
import { nextTick } from "node:process";

import type { Address, Family } from "../core/address/address.js";
import { sharedAddress } from "../core/address/shared-addresses.js";
import { sizeOf } from "../core/driver/payload.js";
import { OSError } from "../core/errors/errors.js";
import { transmit } from "../core/socket/callbacks.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import { type SendArguments, isLiteral } from "./arguments.js";
import { Callbacks, PendingSend, SilentSends, sendError } from "./deliveries.js";
import { wrong } from "./errors.js";
import type { SendCallback, SocketOptions } from "./types.js";

/** The sends of one socket of this module. */
export class Outgoing {
  readonly #emitter: EventEmitter;
  readonly #family: Family;
  readonly #options: Partial<SocketOptions>;
  readonly #callbacks = new Callbacks();
  readonly #silent: SilentSends;

  /** @param scope the async context of errors that belong to no call. */
  constructor(emitter: EventEmitter, scope: AsyncResource, family: Family, options: Partial<SocketOptions>) {
    this.#emitter = emitter;
    this.#family = family;
    this.#options = options;
    this.#silent = new SilentSends((error) => {
      scope.runInAsyncScope(() => this.#emitter.emit("error", error));
    });
  }

  /** Sends to a name or a literal, or to the connected peer if the port of the arguments is 0. */
  send(core: CoreSocket, given: SendArguments, host: string): void {
    const { address, port, callback } = given;
    if (port === 0) {
      this.#transmit(core, given, null);
      return;
    }
    const { sendBlockList } = this.#options;
    if (sendBlockList && isLiteral(host) && isBlocked(sendBlockList, host)) {
      this.refuse(wrong.blocked(host), callback);
      return;
    }
    try {
      this.#transmit(core, given, this.#destination(host, port));
    } catch (error) {
      if (callback) new PendingSend(this.#callbacks, callback, address, port).refuse(error);
    }
  }

  /** A send that failed before it reached the core: without a callback it is an "error". */
  refuse(error: unknown, callback: SendCallback | undefined): void {
    if (callback) new PendingSend(this.#callbacks, callback, undefined, 0).refuse(error);
    else nextTick(() => this.#emitter.emit("error", error));
  }

  #transmit(core: CoreSocket, given: SendArguments, to: Address | null): void {
    const { payload, address, port, callback } = given;
    const owner = callback ? new PendingSend(this.#callbacks, callback, address, port) : this.#silent;
    const bytes = sizeOf(payload);
    const refused = transmit(core, payload, to, owner, bytes);
    if (refused) owner.failed(bytes, refused);
  }

  #destination(host: string, port: number): Address {
    const to = sharedAddress(host, port);
    if (to.family === this.#family || !isLiteral(host)) return to;
    throw sendError(new OSError("EAFNOSUPPORT"), host, port);
  }
}

/** Whether the list has an IP address. */
export function isBlocked(list: BlockList | undefined, ip: string): boolean {
  return list?.check(ip, ip.includes(":") ? "ipv6" : "ipv4") === true;
}
