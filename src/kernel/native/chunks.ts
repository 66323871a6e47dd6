import { Buffer } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";

/** Bytes of memory that the datagrams of merged runs share: what one of them, kept for long, keeps with it. */
export const chunkBytes = 32_768;
/** What is left of a chunk may be wasted up to here. */
const crumbBytes = 4096;

/** Memory for what was received, in pieces that lie in shared chunks. */
export class Chunks {
  #chunk: Buffer = Buffer.alloc(0);
  #used = 0;

  /** @param bytes at most `chunkBytes`. */
  take(bytes: number): Buffer {
    const left = this.#chunk.length - this.#used;
    if (bytes > left) {
      if (left > crumbBytes) return fresh(bytes);
      this.#chunk = fresh(chunkBytes);
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
