import type { Buffer } from "node:buffer";
import { isMainThread } from "node:worker_threads";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import type { DriverEvents, Sink } from "../../core/driver/driver.js";
import { sizeOf } from "../../core/driver/payload.js";
import type { OSError } from "../../core/errors/errors.js";
import type { Traffic } from "../../core/ledger/ledger.js";

/** Bytes of payload that may wait unread in this process: as many as the native driver requests from the kernel. */
const maxBytes = 4 << 20;
/** Bytes that an unread datagram costs in addition to its payload, about. */
const overheadBytes = 256;
/** The largest number of datagrams that one `receive` passes on. */
const receiveBatch = 64;
/** Empty places at the front of the queue, above which it is made shorter. */
const maxEmptyPlaces = 1024;
/** One of this many datagrams that arrive alone is used to look whether more arrive together with it. */
const lookEvery = 16;

/**
 * The datagrams that Node has read and the socket has not taken yet. Node reads all the time; the socket takes a batch when
 * it is told that there is one.
 */
export class Receiving {
  readonly #events: DriverEvents;
  /** The payloads, from `#first` to `#end`. */
  readonly #data: (Buffer | undefined)[] = [];
  /** The sender of each. */
  readonly #sources: (Endpoint | undefined)[] = [];
  #first = 0;
  #end = 0;
  #queuedBytes = 0;
  /** An ICMP error of the connected peer, which the next call is to fail with. */
  #error: OSError | undefined;
  /** Whether the socket was told, and has not taken everything since. */
  #told = false;
  /** Whether datagrams come one at a time, so that there is no batch to wait for. */
  #alone = false;
  #sinceLook = 0;
  #arrivals = 0;
  /** `#arrivals` when the immediate was set that looks how many come in one pass of the loop. */
  #arrivalsBefore = 0;
  #closed = false;
  /** The only sender whose datagrams are taken, if the kernel does not choose them (`connectsInKernel`). */
  #peer: Endpoint | null = null;

  constructor(events: DriverEvents) {
    this.#events = events;
  }

  arrived(data: Buffer, host: string, port: number): void {
    // The socket of a former peer is closed a turn after it was replaced.
    if (this.#closed) return;
    const source = sharedAddress(host, port) as Endpoint;
    if (this.#peer !== null && !this.#peer.equals(source)) return;
    const bytes = sizeOf(data);
    if (this.#queuedBytes + bytes + overheadBytes > maxBytes) {
      this.#events.ledger({ type: "dropped", loss: { cause: "queue", datagrams: 1, bytes } });
      return;
    }
    this.#queuedBytes += bytes + overheadBytes;
    this.#arrivals++;
    this.#data[this.#end] = data;
    this.#sources[this.#end++] = source;
    if (!this.#told) this.#tell();
  }

  /** From now on, drops the datagrams of all senders except `peer`, as the kernel does. With `null`, takes all. */
  only(peer: Endpoint | null): void {
    this.#peer = peer;
  }

  failed(error: OSError): void {
    this.#error = error;
    if (!this.#told) this.#tell();
  }

  /** Returns the error that waits, and removes it. */
  takeError(): OSError | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  /** Hands over a batch. @returns whether more is there. @throws the error that waits. */
  receive(sink: Sink): boolean {
    // As in the kernel: an error that waits comes before the datagrams that wait.
    if (this.#error) throw this.takeError() as OSError;
    const until = Math.min(this.#first + receiveBatch, this.#end);
    for (let index = this.#first; index < until; index++) {
      const data = this.#data[index] as Buffer;
      this.#queuedBytes -= sizeOf(data) + overheadBytes;
      sink.push(data, this.#sources[index] as Endpoint, 0);
      this.#data[index] = this.#sources[index] = undefined;
    }
    this.#first = until;
    if (this.#first < this.#end) {
      if (this.#first >= maxEmptyPlaces) this.#shorten();
      return true;
    }
    this.#first = this.#end = 0;
    this.#told = false;
    return false;
  }

  /** Returns the datagrams that nobody took. */
  close(): Traffic {
    this.#closed = true;
    const datagrams = this.#end - this.#first;
    const bytes = this.#queuedBytes - datagrams * overheadBytes;
    this.#data.length = this.#sources.length = this.#first = this.#end = this.#queuedBytes = 0;
    return { datagrams, bytes };
  }

  #shorten(): void {
    this.#data.splice(0, this.#first);
    this.#sources.splice(0, this.#first);
    this.#end -= this.#first;
    this.#first = 0;
  }

  /**
   * Tells the socket that there are datagrams, once until it has taken all. A datagram that arrives alone is reported inside
   * Node's callback, which saves a turn of the loop. A burst is reported as one batch, after the pass of the loop that reads
   * it. In a worker everything is reported after the pass: Node 20 aborts if a worker is terminated while the program runs
   * inside that callback.
   */
  #tell(): void {
    this.#told = true;
    if (!this.#alone) {
      this.#arrivalsBefore = this.#arrivals;
      setImmediate(this.#tellBatch);
      return;
    }
    if (++this.#sinceLook === lookEvery) {
      this.#sinceLook = 0;
      this.#arrivalsBefore = this.#arrivals;
      setImmediate(this.#look);
    }
    this.#events.readable();
  }

  readonly #tellBatch = (): void => {
    this.#look();
    if (!this.#closed) this.#events.readable();
  };

  readonly #look = (): void => {
    this.#alone = isMainThread && this.#arrivals === this.#arrivalsBefore;
  };
}
