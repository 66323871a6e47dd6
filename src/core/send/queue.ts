/** The datagrams that wait to be sent, in epochs of batches and bulks, and the limit of their bytes. */

import type { Address, Endpoint } from "../address/address.js";
import { assert } from "../assert.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Driver } from "../driver/driver.js";
import { type Completion, Outbound, destinationOf, ordinary } from "../driver/outbound.js";
import { sizeOf } from "../driver/payload.js";
import type { OSError } from "../errors/errors.js";
import type { Traffic } from "../ledger/ledger.js";
import type { Barrier, Bulk, Epoch } from "./epochs.js";
import { failure } from "./failure.js";

/** Bytes that a waiting datagram counts for in addition to its payload, so that empty datagrams are limited too. */
const overheadBytes = 64;
/** Room of a small batch for more datagrams than its first. */
const smallBatch = { bytes: 512, datagrams: 16 } as const;

/** What the queue needs of the socket. */
interface QueueHost {
  readonly driver: Pick<Driver, "batches">;
  readonly peer: Endpoint | null;
  failed(error: OSError): void;
}

/** The queue of one socket. Batches leave in the order of the calls, one epoch after the other. */
export class SendQueue {
  readonly #host: QueueHost;
  readonly #maxBytes: number;
  /** There is always an epoch: `endEpoch` adds the next one, and `dropFirst` comes after it. */
  readonly #epochs: Epoch[] = [{ queue: [] }];
  /** Bytes of all datagrams that are not settled, with their overhead. */
  #bytes = 0;
  /** The count of these datagrams. */
  #datagrams = 0;
  /** Whether `take` was ever called. */
  #taken = false;

  constructor(host: QueueHost, maxBytes: number) {
    this.#host = host;
    this.#maxBytes = maxBytes;
  }

  get epochs(): readonly Epoch[] {
    return this.#epochs;
  }

  get first(): Epoch {
    return this.#epochs[0] as Epoch;
  }

  get last(): Epoch {
    return this.#epochs[this.#epochs.length - 1] as Epoch;
  }

  /** Whether no datagram was ever sent from this queue, and none waits in it. */
  get unused(): boolean {
    const { queue, names } = this.first;
    const empty = queue.length === 0 && (names === undefined || names.size === 0);
    return empty && !this.#taken && this.#epochs.length === 1;
  }

  /** The datagrams that are not settled, and their bytes of payload. Those that a `sendMany` or a `sendBatch` still has do not count. */
  get waiting(): Traffic {
    return { datagrams: this.#datagrams, bytes: this.#bytes - this.#datagrams * overheadBytes };
  }

  /** Whether nothing waits, not even a barrier. */
  get idle(): boolean {
    return this.#datagrams === 0 && this.#epochs.length === 1 && this.first.queue.length === 0;
  }

  /** Counts a datagram of `bytes`. Returns the error `ENOBUFS` if there is no room for it. */
  reserve(bytes: number, to: Address | null): OSError | undefined {
    const cost = bytes + overheadBytes;
    if (this.#bytes + cost > this.#maxBytes) {
      const text = `${this.#bytes} bytes wait to be sent already: await the sends`;
      return failure("ENOBUFS", to, this.#host.peer, { text });
    }
    this.#bytes += cost;
    this.#datagrams++;
    return undefined;
  }

  /** `datagrams` with `bytes` of payload are settled. */
  release(bytes: number, datagrams: number): void {
    this.#bytes -= bytes + datagrams * overheadBytes;
    this.#datagrams -= datagrams;
    assert(this.#bytes >= 0, "no more bytes leave the queue than were put in");
  }

  /** Ends the last epoch with a barrier, and begins the next epoch. */
  endEpoch(barrier: Barrier): void {
    this.last.barrier = barrier;
    this.#epochs.push({ queue: [] });
  }

  /** Removes the first epoch, whose barrier is done. */
  dropFirst(): void {
    this.#epochs.shift();
    assert(this.#epochs.length > 0, "an epoch follows each barrier");
  }

  /** Copies a payload into the last batch of an epoch, or into a new batch after it. Its bytes are reserved. */
  append(
    epoch: Epoch,
    payload: Uint8Array,
    bytes: number,
    to: Endpoint | null,
    owner: Completion,
    tag: number,
    ancillary: Ancillary | undefined,
  ): void {
    const { queue } = epoch;
    const tail = queue[queue.length - 1];
    if (tail instanceof Outbound && tail.add(payload, bytes, to, owner, tag, ancillary)) return;
    const batch = this.#batchAfter(tail, epoch, bytes);
    batch.add(payload, bytes, to, owner, tag, ancillary);
    queue.push(batch);
  }

  /** Removes the next batch of an epoch that is not empty, and returns it. A bulk fills one batch at a time. */
  take({ queue }: Epoch): Outbound {
    this.#taken = true;
    const head = queue[0] as Outbound | Bulk;
    const batch = head instanceof Outbound ? head : this.#borrow(head);
    if (batch.isFilled) this.#count(batch);
    if (head instanceof Outbound || head.next === head.borrowed.count) {
      if (queue.length === 1) queue.pop();
      else queue.shift();
    }
    if (batch.mixed && this.#host.driver.batches) batch.group(this.#host.peer);
    return batch;
  }

  #batchAfter(tail: Outbound | Bulk | undefined, epoch: Epoch, bytes: number): Outbound {
    if (tail instanceof Outbound && !tail.isFilled) return this.#batchFor(tail.mixed);
    // A datagram between bulks or barriers, or on one of very many sockets, gets a small arena: a few thousand full arenas
    // would take 300 MB.
    if (tail || epoch !== this.first || Outbound.scarce)
      return new Outbound({ ...smallBatch, bytes: bytes + smallBatch.bytes });
    return Outbound.take();
  }

  /** An empty batch; a large one if many datagrams to several peers are left, so that those to one peer can leave together. */
  #batchFor(many: boolean): Outbound {
    return many && this.#host.driver.batches ? Outbound.takeLarge() : Outbound.take();
  }

  #borrow(bulk: Bulk): Outbound {
    const { borrowed, owner } = bulk;
    const left = borrowed.count - bulk.next;
    const batch = this.#batchFor(borrowed.peers !== undefined && left > ordinary.datagrams);
    bulk.next = batch.fill(borrowed, bulk.next, owner);
    const [next, length] = [borrowed.payloads[bulk.next], borrowed.lengths[bulk.next]];
    if (next && length !== -1 && sizeOf(next) !== length) {
      const text = "the payload was resized or transferred away before it was sent";
      const error = failure("EFAULT", destinationOf(borrowed, bulk.next), this.#host.peer, { text });
      this.#host.failed(error);
      owner.failed(bulk.next++, error);
    }
    return batch;
  }

  /** Counts a batch whose datagrams were not reserved one by one. */
  #count({ bytes, count }: Outbound): void {
    this.#bytes += bytes + count * overheadBytes;
    this.#datagrams += count;
  }
}
