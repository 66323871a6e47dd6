import type { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import type { Metadata } from "../driver/metadata.js";
import type { Sink } from "../driver/driver.js";
import { sizeOf } from "../driver/payload.js";
import { View } from "../driver/view.js";
import { assert } from "../assert.js";

/** A whole datagram, as the driver received it. */
export interface Arrival {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly metadata: Metadata | undefined;
}

/** One datagram, or a run of datagrams end to end, as the driver handed it over. */
export interface Run {
  readonly data: Buffer;
  readonly source: Endpoint;
  /** Bytes of each datagram but the last, which may be shorter; 0 if the run is one datagram. */
  readonly segment: number;
  readonly metadata: Metadata | undefined;
  /** Whether nothing else is in the memory of `data`. */
  readonly isAlone: boolean;
}

/**
 * The datagrams that were read from the driver and not yet handed out. A run is split into datagrams one by one, as they
 * are handed out. What can be done once per run is done when the run comes to the front.
 */
export class Inbox implements Sink {
  /** The sender of the next datagram; meaningless if the inbox is empty. */
  source!: Endpoint;
  /** The metadata of the next datagram; meaningless if the inbox is empty. */
  metadata: Metadata | undefined;
  /** Bytes of the datagram that was handed out last. */
  bytes = 0;
  /** Whether no datagram is there. */
  empty = true;
  /** The runs from `#first` to `#count`; the other places are empty. The run at `#first` is the front run. */
  readonly #runs: (Run | undefined)[] = [];
  #first = 0;
  #count = 0;
  /** The metadata of the datagrams after the first one of the front run. */
  #metadataOfRest: Metadata | undefined;
  /** The memory of the front run; `undefined` if it is one datagram. */
  #memory: ArrayBufferLike | undefined;
  /** In that memory, where the next datagram starts and where the run ends. */
  #start = 0;
  #end = 0;
  #segment = 0;

  push(data: Buffer, source: Endpoint, segment: number, metadata?: Metadata, isAlone = false): void {
    this.#runs[this.#count++] = { data, source, segment, metadata, isAlone };
    if (this.empty) this.#load();
  }

  /** Hands out the payload of the next datagram. The inbox is not empty. */
  next(): Buffer {
    const memory = this.#memory;
    if (memory === undefined) return this.#nextWhole();
    const start = this.#start;
    const end = start + this.#segment;
    if (end < this.#end) {
      this.#start = end;
      this.bytes = this.#segment;
      this.metadata = this.#metadataOfRest;
      return new View(memory, start, this.#segment);
    }
    this.bytes = this.#end - start;
    this.#drop();
    return new View(memory, start, this.bytes);
  }

  /** Hands out what is left of the front run, as a whole. The inbox is not empty. */
  nextRun(): Run {
    const run = this.#runs[this.#first] as Run;
    const done = this.#memory === undefined ? 0 : this.#start - run.data.byteOffset;
    const { metadata } = this;
    this.#drop();
    return done === 0 ? run : { ...run, data: run.data.subarray(done), metadata, isAlone: false };
  }

  /** A copy of the list of runs. No part of the front run was handed out yet. */
  runs(): Run[] {
    return this.#runs.slice(this.#first, this.#count) as Run[];
  }

  /** The datagrams that are there, without handing them out. */
  *arrivals(): Generator<Arrival, void, undefined> {
    for (let index = this.#first; index < this.#count; index++) {
      const { data, source, segment, metadata } = this.#runs[index] as Run;
      const isFront = index === this.#first;
      const step = segment === 0 ? data.length : segment;
      let start = isFront && this.#memory !== undefined ? this.#start - data.byteOffset : 0;
      let own = isFront ? this.metadata : metadata;
      do {
        yield { data: data.subarray(start, start + step), source, metadata: own };
        own = own?.withoutLoss;
      } while ((start += step) < data.length);
    }
  }

  /**
   * Removes the empty places. The inbox of a socket whose calls find it empty before each read has none.
   *
   * @returns the count of datagrams that are there, and their bytes. The front run counts as a whole.
   */
  compact(): { datagrams: number; bytes: number } {
    this.#runs.splice(0, this.#first);
    this.#count -= this.#first;
    this.#first = 0;
    const waiting = { datagrams: 0, bytes: 0 };
    for (let index = 0; index < this.#count; index++) {
      const run = this.#runs[index] as Run;
      waiting.datagrams += datagramsIn(run);
      waiting.bytes += run.data.length;
    }
    return waiting;
  }

  clear(): void {
    this.#runs.length = 0;
    this.#becomeEmpty();
  }

  #nextWhole(): Buffer {
    const { data } = this.#runs[this.#first] as Run;
    this.bytes = sizeOf(data);
    this.#drop();
    return data;
  }

  /** Drops the front run, which is handed out. */
  #drop(): void {
    this.#runs[this.#first++] = undefined;
    if (this.#first < this.#count) this.#load();
    else this.#becomeEmpty();
  }

  #becomeEmpty(): void {
    this.#first = this.#count = 0;
    this.#memory = this.metadata = this.#metadataOfRest = undefined;
    this.empty = true;
  }

  /** Brings the run at `#first` to the front. */
  #load(): void {
    const { data, source, segment, metadata } = this.#runs[this.#first] as Run;
    this.source = source;
    this.metadata = metadata;
    this.#metadataOfRest = metadata?.withoutLoss;
    this.empty = false;
    this.#memory = undefined;
    if (segment === 0) return;
    assert(data.length > 0 && segment > 0, "a run has datagrams");
    this.#memory = data.buffer;
    this.#start = data.byteOffset;
    this.#end = this.#start + data.length;
    this.#segment = segment;
  }
}

/** The number of datagrams in a run. */
export function datagramsIn({ data, segment }: Pick<Run, "data" | "segment">): number {
  return segment === 0 ? 1 : Math.ceil(data.length / segment);
}
