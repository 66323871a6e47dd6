import { Buffer } from "node:buffer";

/** Memory for what was received, in pieces that lie in shared chunks. */
export class Chunks {
  readonly #size: number;
  readonly #pin: (memory: object) => void;
  #chunk: Buffer = Buffer.alloc(0);
  #used = 0;

  /**
   * @param size bytes of a chunk: what one small piece, kept for long, keeps with it.
   * @param pin is `markAsUntransferable` of `node:worker_threads`: whoever transferred one datagram away would empty its
   *   neighbours.
   */
  constructor(size: number, pin: (memory: object) => void) {
    this.#size = size;
    this.#pin = pin;
  }

  /** A piece of memory; of its own where a chunk would not hold two of them. */
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
