import { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import type { Metadata } from "../driver/metadata.js";
import type { Sink } from "../driver/driver.js";
import { sizeOf } from "../driver/payload.js";

/** A datagram as it was read, whole. */
export interface Arrival {
  readonly data: Buffer;
  readonly source: Endpoint;
  readonly metadata: Metadata | undefined;
}

/** Makes a view of memory as `Buffer.from` does, in less time. */
type ViewConstructor = new (memory: ArrayBufferLike, start: number, bytes: number) => Buffer;
const { [Symbol.species]: View } = Buffer as unknown as { readonly [Symbol.species]: ViewConstructor };

/**
 * What was read ahead and not handed out yet: datagrams, and runs of them. A run is taken apart as its datagrams are
 * handed out, so that one which nobody takes costs nothing.
 */
export class Inbox implements Sink {
  /** From `#first` to `#end`; the places before and after are empty. */
  readonly #data: (Buffer | undefined)[] = [];
  readonly #sources: (Endpoint | undefined)[] = [];
  readonly #segments: number[] = [];
  readonly #metadata: (Metadata | undefined)[] = [];
  /** Bytes of the datagram that was handed out last. */
  bytes = 0;
  #first = 0;
  #end = 0;
  /** The run at the front: its memory, where its next datagram starts there, where the last one ends, the bytes of each. */
  #memory: ArrayBufferLike | undefined;
  #at = 0;
  #until = 0;
  #segment = 0;

  push(data: Buffer, source: Endpoint, segment: number, metadata?: Metadata): void {
    this.#data[this.#end] = data;
    this.#sources[this.#end] = source;
    this.#metadata[this.#end] = metadata;
    this.#segments[this.#end++] = segment;
  }

  /** Whether nothing is there. */
  get empty(): boolean {
    return this.#first === this.#end;
  }

  /** The sender of the next datagram, which there is. */
  get source(): Endpoint {
    return this.#sources[this.#first] as Endpoint;
  }

  /** How the next datagram came, which there is. To be asked before it is handed out. */
  get metadata(): Metadata | undefined {
    return this.#metadata[this.#first];
  }

  /** Hands out the payload of the next datagram, which there is. */
  next(): Buffer {
    if (this.#memory === undefined) {
      const data = this.#data[this.#first] as Buffer;
      const segment = this.#segments[this.#first] as number;
      if (segment === 0) {
        this.#drop();
        this.bytes = sizeOf(data);
        return data;
      }
      this.#memory = data.buffer;
      this.#at = data.byteOffset;
      this.#until = data.byteOffset + data.length;
      this.#segment = segment;
      this.#metadata[this.#first] = this.metadata?.withoutLoss;
    }
    const start = this.#at;
    this.bytes = Math.min(this.#segment, this.#until - start);
    const view = new View(this.#memory, start, this.bytes);
    this.#at = start + this.#segment;
    if (this.#at >= this.#until) this.#drop();
    return view;
  }

  /** What is there, left where it is. */
  *arrivals(): Generator<Arrival, void, undefined> {
    for (let index = this.#first; index < this.#end; index++) {
      const data = this.#data[index] as Buffer;
      const source = this.#sources[index] as Endpoint;
      const run = this.#segments[index] as number;
      const segment = run === 0 ? data.length : run;
      const begun = index === this.#first && this.#memory !== undefined;
      let start = begun ? this.#at - data.byteOffset : 0;
      const metadata = this.#metadata[index];
      do yield { data: data.subarray(start, start + segment), source, metadata };
      while ((start += segment) < data.length);
    }
  }

  clear(): void {
    this.#data.length = this.#sources.length = this.#segments.length = this.#metadata.length = 0;
    this.#first = this.#end = 0;
    this.#memory = undefined;
  }

  #drop(): void {
    this.#memory = undefined;
    this.#data[this.#first] = this.#sources[this.#first] = this.#metadata[this.#first] = undefined;
    if (++this.#first === this.#end) this.#first = this.#end = 0;
  }
}
