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

/** The arenas that no call uses. */
export class Arenas {
  readonly #free: Arena[] = [];
  readonly #max: number;

  /** @param max the largest number that is kept. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Memory for so many datagrams or more. */
  take(bytesEach: number, datagrams: number): Arena {
    const last = this.#free.pop();
    if (last?.datagramBytes === bytesEach && last.datagrams >= datagrams) return last;
    return new Arena(bytesEach, datagrams);
  }

  /** No call uses an arena any more. */
  put(arena: Arena): void {
    if (this.#free.length < this.#max) this.#free.push(arena);
  }

  clear(): void {
    this.#free.length = 0;
  }
}
