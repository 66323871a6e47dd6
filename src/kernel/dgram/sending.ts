import type dgram from "node:dgram";

import type { Endpoint } from "../../core/address/address.js";
import { AF_INET } from "../../core/constants.js";
import type { DriverEvents } from "../../core/driver/driver.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { OSError } from "../../core/errors/errors.js";
import { failure } from "../../core/send/failure.js";
import { destinationFor } from "../interfaces.js";
import { goneText } from "../local-address.js";
import type { Association } from "./association.js";
import { codeOfError, textOf, toOSError } from "./errors.js";
import { connectsInKernel, sendsInOrder } from "./runtimes.js";
import type { DgramSocket } from "./socket.js";

/** Sends batches by `node:dgram`, one call and one callback for each datagram. */
export class Sending {
  readonly #socket: DgramSocket;
  readonly #association: Association;
  readonly #events: DriverEvents;
  #batch: Outbound | undefined;
  /** The next datagram of the batch to pass to Node. */
  #next = 0;
  /** Datagrams from the front of the batch that Node has called back for, or refused. */
  #done = 0;
  /** Datagrams from the front of the batch that the socket has been told of. */
  #told = 0;
  #tellsSoon = false;

  constructor(socket: DgramSocket, association: Association, events: DriverEvents) {
    this.#socket = socket;
    this.#association = association;
    this.#events = events;
  }

  /**
   * Sends a batch as `Driver.send` does.
   *
   * @param takeError returns the error that waits on the socket, and removes it.
   */
  send(batch: Outbound, takeError: () => OSError | undefined): number {
    if (batch === this.#batch) return 0;
    this.#batch = batch;
    const socket = this.#socket.current;
    if (socket) return this.#start(socket, batch, takeError);
    this.#socket.use().then(
      (opened) => this.#settleLater(batch, () => this.#start(opened, batch, takeError)),
      (error: unknown) => this.#settleLater(batch, () => this.#failAll(batch, error)),
    );
    return 0;
  }

  close(): void {
    this.#batch = undefined;
  }

  /** Settles datagrams of a batch that waited for the socket to open. */
  #settleLater(batch: Outbound, settle: () => number): void {
    if (batch !== this.#batch) return;
    const count = settle();
    if (count > 0) this.#events.settled(count);
  }

  #failAll(batch: Outbound, error: unknown): number {
    const reason = toOSError(error, "sendto");
    for (let index = 0; index < batch.count; index++) batch.fail(index, reason);
    this.#batch = undefined;
    return batch.count;
  }

  /** Begins a batch. @returns how many datagrams are settled, as `Driver.send` does. */
  #start(socket: dgram.Socket, batch: Outbound, takeError: () => OSError | undefined): number {
    const waiting = takeError();
    // As in the kernel, the next call fails with the pending error, and sends nothing.
    if (waiting) batch.fail(this.#next++, failure(waiting.code, batch.peer(0), this.#association.peer));
    this.#pass(socket, batch);
    this.#passRefused(batch);
    return this.#settle(batch);
  }

  /** Passes the rest of a batch to Node; if `node:dgram` does not keep the order (`sendsInOrder`), one datagram only. */
  #pass(socket: dgram.Socket, batch: Outbound): void {
    let last: Endpoint | null | undefined;
    let host: string | undefined;
    let index = this.#next;
    for (let more = true; more && index < batch.count; index++) {
      const to = batch.peer(index);
      try {
        if (batch.ancillary(index)) throw this.#cannotSendOtherwise(to);
        if (to !== last) {
          host = this.#host(to);
          last = to;
        }
        const payload = batch.view(index);
        if (host === undefined) socket.send(payload, this.#sent);
        else socket.send(payload, (to ?? this.#association.peer)?.port, host, this.#sent);
        more = sendsInOrder;
      } catch (error) {
        batch.fail(index, this.#sendError(error, to));
      }
    }
    this.#next = index;
  }

  /** Node calls back in the order of the sends, because libuv sends in that order. */
  readonly #sent = (error: Error | null): void => {
    const batch = this.#batch;
    if (!batch) return;
    if (error) batch.fail(this.#done, this.#sendError(error, batch.peer(this.#done)));
    this.#done++;
    if (this.#next < batch.count && this.#socket.current) this.#pass(this.#socket.current, batch);
    this.#passRefused(batch);
    if (this.#done === batch.count) this.#events.settled(this.#settle(batch));
    else if (!this.#tellsSoon) {
      // After the callbacks that are queued already: the socket is told once for all of them.
      this.#tellsSoon = true;
      process.nextTick(this.#tell);
    }
  };

  readonly #tell = (): void => {
    this.#tellsSoon = false;
    if (this.#batch && this.#told < this.#done) this.#events.settled(this.#settle(this.#batch));
  };

  /** Node does not call back for a datagram that was refused at the call. */
  #passRefused(batch: Outbound): void {
    if (batch.anyFailed) while (this.#done < batch.count && batch.failed(this.#done)) this.#done++;
  }

  /** Returns how many datagrams are done and not told yet, and lets go of a batch that is done. */
  #settle(batch: Outbound): number {
    const count = this.#done - this.#told;
    this.#told = this.#done;
    if (this.#done === batch.count) {
      this.#batch = undefined;
      this.#done = this.#told = this.#next = 0;
    }
    return count;
  }

  /** The host to send to; `undefined` for the connected peer. Throws if `node:dgram` cannot send there now. */
  #host(to: Endpoint | null): string | undefined {
    const { peer } = this.#association;
    const destination = to ?? peer;
    const missing = destination && this.#socket.options.missingFor(destination);
    if (missing) {
      const text = `node:dgram sets ${missing} for IPv6 peers alone: the native driver sets it for IPv4 peers too`;
      throw failure("ENOTSUP", to, peer, { text });
    }
    if (!peer) {
      if (!to) throw new OSError("EDESTADDRREQ", { syscall: "send" });
      return this.#socket.family === AF_INET ? to.host : destinationFor(to, "sendto");
    }
    if (!to || this.#association.isPeer(to))
      return connectsInKernel ? undefined : destinationFor(peer, "sendto");
    const text =
      "the dgram driver sends only to the peer while connected: the native driver sends to others too";
    throw failure("ENOTSUP", to, peer, { text });
  }

  #cannotSendOtherwise(to: Endpoint | null): OSError {
    const text = "the dgram driver cannot set options of one datagram: the native driver can";
    return failure("ENOTSUP", to, this.#association.peer, { text });
  }

  /** The error of a datagram to `to`, made from an error of Node. */
  #sendError(error: unknown, to: Endpoint | null): OSError {
    if (error instanceof OSError) return error;
    const code = codeOfError(error);
    const text = textOf(error) ?? goneText(code, this.#socket.local(), this.#socket.boundTo);
    return failure(code, to, this.#association.peer, { text });
  }
}
