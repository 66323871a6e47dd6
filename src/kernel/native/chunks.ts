import { Buffer } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";

/** Memory for what was received, in pieces that lie in shared chunks. */
export class Chunks {
  readonly #size: number;
  #chunk: Buffer = Buffer.alloc(0);
  #used = 0;

  /** @param size bytes of a chunk: what one small piece, kept for long, keeps with it. */
  constructor(size: number) {
    this.#size = size;
  }

  /** A piece of memory; of its own where a chunk would not hold two of them. */
  take(bytes: number): Buffer {
    if (bytes * 2 > this.#size) return fresh(bytes);
    if (this.#used + bytes > this.#chunk.length) {
      this.#chunk = fresh(this.#size);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += bytes;
    return this.#chunk.subarray(start, this.#used);
  }
}

function fresh(bytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(bytes);
  // Whoever transferred one datagram away would empty its neighbours.
  markAsUntransferable(memory.buffer);
  return memory;
}
