import { Buffer } from "node:buffer";

import { View } from "../core/driver/view.js";

/** Messages whose memory is kept. Two of one peer may be arriving while the program has a third one. */
const maxSpare = 4;

/**
 * The memory of messages that the program has read and does not keep, for later messages of about the same size (option `reuseMemory`).
 * V8 counts the memory of each new message, and for each dozen megabytes it may look for garbage in its whole heap.
 */
export class SpareMemory {
  /** Memory that a message has, and that may come back. */
  readonly #lent = new WeakSet<ArrayBufferLike>();
  /** The oldest first. */
  readonly #spare: Buffer[] = [];

  /** Returns memory for a message: what is in it is of an earlier one. At most an eighth of its array buffer is not used. */
  take(bytes: number): Buffer {
    const at = this.#spare.findIndex(({ length }) => length >= bytes && length - (length >> 3) <= bytes);
    const [memory = Buffer.allocUnsafeSlow(bytes)] = at < 0 ? [] : this.#spare.splice(at, 1);
    this.#lent.add(memory.buffer);
    return memory.length === bytes ? memory : new View(memory.buffer, 0, bytes);
  }

  /** The program does not use a message any more. Keeps its memory, if it came from here and the program has not transferred it. */
  give({ buffer }: Buffer): void {
    if (!this.#lent.delete(buffer) || buffer.byteLength === 0) return;
    if (this.#spare.length >= maxSpare) this.#spare.shift();
    this.#spare.push(new View(buffer, 0, buffer.byteLength));
  }
}
