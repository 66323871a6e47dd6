/**
 * Messages that were delivered, or that were sent without a report, by `partialKey` and CRC: in two generations, of which the older one is dropped. An id alone is not
 * enough: a peer's replies have the ids of our requests, which may be the ids of its own messages too.
 */
export class Delivered {
  #current = new Map<number, number>();
  #before = new Map<number, number>();
  #since: number;
  readonly #keepMs: number;
  readonly #max: number;

  /** @param max messages of a generation. Above it, the older generation is dropped early. */
  constructor(now: number, keepMs: number, max: number) {
    this.#since = now;
    this.#keepMs = keepMs;
    this.#max = max;
  }

  has(key: number, crc: number, now: number): boolean {
    this.#rotate(now);
    return this.#current.get(key) === crc || this.#before.get(key) === crc;
  }

  add(key: number, crc: number, now: number): void {
    this.#rotate(now);
    this.#current.set(key, crc);
  }

  #rotate(now: number): void {
    if (now - this.#since < this.#keepMs && this.#current.size < this.#max) return;
    this.#before = this.#current;
    this.#current = new Map();
    this.#since = now;
  }
}

/** A number for a message by its id and 20 bits of its CRC. */
export function partialKey({ id, crc }: { readonly id: number; readonly crc: number }): number {
  return id * 0x10_0000 + (crc & 0xf_ffff);
}
