import { Buffer } from "node:buffer";

import type { Endpoint } from "./address.js";
import type { OSError } from "./errors.js";

/** Bytes of payload that one batch holds: any one datagram fits, and so does what one GSO send can carry. */
const capacityBytes = 65_536;
/** What one `sendmmsg` takes (`UIO_MAXIOV`, net/socket.c). */
const capacityDatagrams = 1024;
/** Batches that wait to be used again by the sockets of this thread; more are left to the collector. */
const mostIdle = 16;

/** Tells the owner of a datagram what became of it. */
export interface Completion {
  /** @param tag what was given along with the datagram. */
  settle(tag: number, error: OSError | undefined): void;
}

const idle: Outbound[] = [];

/**
 * A batch of datagrams on its way out: the payloads end to end in one arena, a length and a peer for each.
 * A driver begins at `settled` and `settledBytes`, which move on as it tells, and writes to it through `fail` alone.
 */
export class Outbound {
  /** The payloads, end to end. */
  readonly arena: Buffer;
  /** Bytes of each payload. */
  readonly lengths: Int32Array = new Int32Array(capacityDatagrams);
  /** Where each goes; `null` is the connected peer. */
  readonly peers: (Endpoint | null)[] = [];
  /** Datagrams in the batch. */
  count = 0;
  /** Bytes of all payloads. */
  bytes = 0;
  /** Datagrams from the front that are sent or have failed. */
  settled = 0;
  /** Bytes of the settled payloads: where the next one starts in the arena. */
  settledBytes = 0;

  readonly #owners: (Completion | undefined)[] = [];
  readonly #tags: number[] = [];
  #errors: Map<number, OSError> | undefined;
  #firstView: Buffer | undefined;

  /** @param bytes what the arena holds. */
  constructor(bytes: number = capacityBytes) {
    this.arena = Buffer.allocUnsafeSlow(bytes);
  }

  /** An empty batch; `release` gives it back. */
  static take(): Outbound {
    return idle.pop() ?? new Outbound();
  }

  release(): void {
    // Emptied one by one: cutting the arrays short would give their memory back each time.
    for (let index = 0; index < this.count; index++) {
      this.peers[index] = null;
      this.#owners[index] = undefined;
    }
    this.count = this.bytes = this.settled = this.settledBytes = 0;
    this.#errors = undefined;
    if (idle.length < mostIdle && this.arena.length === capacityBytes) idle.push(this);
  }

  /** Copies a payload in; `false` when there is no room for it. */
  add(payload: Uint8Array, peer: Endpoint | null, owner: Completion, tag: number): boolean {
    const { count, bytes } = this;
    const end = bytes + payload.length;
    if (count === capacityDatagrams || end > this.arena.length) return false;
    if (end > bytes) this.arena.set(payload, bytes);
    this.lengths[count] = payload.length;
    this.peers[count] = peer;
    this.#owners[count] = owner;
    this.#tags[count] = tag;
    this.bytes = end;
    this.count = count + 1;
    return true;
  }

  /** The payload that lies from `start` to `end` in the arena. Valid until the batch is released. */
  view(start: number, end: number): Buffer {
    if (start > 0) return this.arena.subarray(start, end);
    // Datagrams sent one by one are mostly of one size, and a view costs more than the copy.
    if (this.#firstView?.length !== end) this.#firstView = this.arena.subarray(0, end);
    return this.#firstView;
  }

  /** Bytes of payload `index`. */
  length(index: number): number {
    return this.lengths[index] ?? 0;
  }

  /** Says that datagram `index` could not be sent; it is settled in its turn. */
  fail(index: number, error: OSError): void {
    (this.#errors ??= new Map()).set(index, error);
  }

  /** Whether `fail` was told of datagram `index`. */
  failed(index: number): boolean {
    return this.#errors?.has(index) === true;
  }

  /** Settles the next datagram and tells its owner. Gives back its error, `undefined` when it was sent. */
  settleNext(forced?: OSError): OSError | undefined {
    const index = this.settled++;
    this.settledBytes += this.length(index);
    const error = forced ?? this.#errors?.get(index);
    this.#owners[index]?.settle(this.#tags[index] ?? 0, error);
    return error;
  }
}
