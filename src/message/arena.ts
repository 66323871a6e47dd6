import { Buffer } from "node:buffer";

/** Memory for the datagrams of one burst. Later bursts use it again, with the views of its datagrams. */
export class Arena {
  /** Bytes of each datagram but those of last chunks, which may be shorter. */
  readonly datagramBytes: number;
  readonly datagrams: number;
  readonly #memory: Buffer;
  readonly #views: Buffer[] = [];

  constructor(datagramBytes: number, datagrams: number) {
    this.datagramBytes = datagramBytes;
    this.datagrams = datagrams;
    this.#memory = Buffer.allocUnsafeSlow(datagramBytes * datagrams);
  }

  /** The memory of datagram `index`, if it has so many bytes. */
  datagram(index: number, bytes: number): Buffer {
    const start = index * this.datagramBytes;
    if (bytes < this.datagramBytes) return this.#memory.subarray(start, start + bytes);
    return (this.#views[index] ??= this.#memory.subarray(start, start + bytes));
  }
}
