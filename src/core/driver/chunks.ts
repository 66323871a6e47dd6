import { Buffer } from "node:buffer";

/** Memory for received datagrams: pieces of shared chunks. */
export class Chunks {
  readonly #size: number;
  readonly #pin: (memory: object) => void;
  #chunk: Buffer = Buffer.alloc(0);
  #used = 0;

  /**
   * @param size bytes of a chunk. A small piece that the program keeps holds the memory of its whole chunk.
   * @param pin is `markAsUntransferable` of `node:worker_threads`. Transferring the memory of one datagram would empty the
   *   other datagrams of its chunk.
   */
  constructor(size: number, pin: (memory: object) => void) {
    this.#size = size;
    this.#pin = pin;
  }

  /** Returns a piece of memory. If a chunk has no room for two such pieces, the piece is memory of its own. */
  take(bytes: number): Buffer {
    if (bytes * 2 > this.#size) return this.#fresh(bytes);
    if (this.#used + bytes > this.#chunk.length) {
      this.#chunk = this.#fresh(this.#size);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += bytes;
    return this.#chunk.subarray(start, this.#used);
  }

  #fresh(bytes: number): Buffer {
    const memory = Buffer.allocUnsafeSlow(bytes);
    this.#pin(memory.buffer);
    return memory;
  }
}
