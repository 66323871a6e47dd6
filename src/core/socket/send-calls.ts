/** The send calls of a socket, and how they settle. */

import type { AddressLike, Endpoint } from "../address/address.js";
import { assert } from "../assert.js";
import type { Ancillary } from "../driver/ancillary.js";
import { type Completion, type Outbound, indexWithoutAddress } from "../driver/outbound.js";
import { type Data, sizeOf, toBytes } from "../driver/payload.js";
import { OSError, ofCall } from "../errors/errors.js";
import { destinationFor } from "./arguments.js";
import type { Engine } from "./engine.js";
import { type OutgoingDatagram, checkOutgoing } from "./outgoing-arguments.js";

/** Runs the send calls of one socket. */
export class SendCalls {
  /** Whether the last `connect` named a peer, even if it is not done yet: `send` waits for it. */
  connects: boolean;
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.connects = engine.peer !== null;
  }

  send(
    syscall: "send" | "sendto" | "sendmsg" | "reply",
    data: Data,
    address?: AddressLike,
    how?: Ancillary,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const isToPeer = syscall === "send" || (syscall === "sendmsg" && address === undefined);
      const to = isToPeer ? null : destinationFor(address, this.#engine.family, syscall);
      // The payload comes last: reading the address may run code of the program, which may change the payload.
      const payload = toBytes(data);
      const { sender } = this.#engine.open(syscall);
      if (!to && !this.connects) throw new OSError("EDESTADDRREQ", { syscall });
      const bytes = sizeOf(payload);
      // The sender names the others itself.
      const isOther = syscall === "sendmsg" || syscall === "reply";
      const fail = isOther ? (error: OSError) => reject(ofCall(error, syscall)) : reject;
      const refused = sender.send(payload, bytes, to, new PendingSend(resolve, fail), bytes, how);
      if (refused) fail(refused);
    });
  }

  /** `route` is for all datagrams, which then stay one run. */
  sendMany(
    items: Iterable<Data | OutgoingDatagram>,
    address?: AddressLike,
    route?: Ancillary,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const { family } = this.#engine;
      const shared = address === undefined ? null : destinationFor(address, family, "sendMany");
      const checked = checkOutgoing(items, shared, family);
      const { count } = checked;
      const outgoing = route ? { ...checked, ancillaries: new Array<Ancillary>(count).fill(route) } : checked;
      const { sender } = this.#engine.open("sendMany");
      const lost = this.connects ? -1 : indexWithoutAddress(outgoing);
      if (lost >= 0) {
        throw Object.assign(new OSError("EDESTADDRREQ", { syscall: "sendMany" }), { index: lost, sent: 0 });
      }
      if (count === 0) resolve(0);
      else sender.sendMany(outgoing, new PendingSendMany(count, resolve, reject));
    });
  }

  /** The batch is filled with `reserve`. */
  sendBatch(batch: Outbound, to: Endpoint, route: Ancillary | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      const peer = destinationFor(to, this.#engine.family, "sendMany") as Endpoint;
      const { sender } = this.#engine.open("sendMany");
      batch.address(peer, new PendingSendMany(batch.count, resolve, reject), route);
      sender.sendBatch(batch);
    });
  }
}

/** A pending `sendto` or `send`. Its tag is the number of bytes that it resolves with. */
class PendingSend implements Completion {
  readonly #resolve: (bytes: number) => void;
  readonly #reject: (error: OSError) => void;

  constructor(resolve: (bytes: number) => void, reject: (error: OSError) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  sent(bytes: number): void {
    this.#resolve(bytes);
  }

  failed(_bytes: number, error: OSError): void {
    this.#reject(error);
  }
}

/** A pending `sendMany`. Its tags are the positions of its datagrams. */
class PendingSendMany implements Completion {
  readonly #count: number;
  readonly #resolve: (sent: number) => void;
  readonly #reject: (error: OSError) => void;
  #sent = 0;
  #failed = 0;
  #first: { index: number; error: OSError } | undefined;

  constructor(count: number, resolve: (sent: number) => void, reject: (error: OSError) => void) {
    this.#count = count;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  sent(_index: number, count: number): void {
    this.#sent += count;
    this.#maybeEnd();
  }

  failed(index: number, error: OSError): void {
    this.#failed++;
    if (!this.#first || index < this.#first.index) this.#first = { index, error };
    this.#maybeEnd();
  }

  #maybeEnd(): void {
    assert(this.#sent + this.#failed <= this.#count, "sendMany settles each datagram once");
    if (this.#sent + this.#failed < this.#count) return;
    if (this.#first) {
      const { error, index } = this.#first;
      this.#reject(Object.assign(ofCall(error, "sendMany"), { index, sent: this.#sent }));
    } else this.#resolve(this.#sent);
  }
}
