import { IdSet } from "./id-set.js";

/**
 * Messages that were delivered, or that were sent without a report, by id and CRC: in two generations, of which the older one is
 * dropped. An id alone is not enough: a peer's replies have the ids of our requests, which may be the ids of its own messages too.
 */
export class Delivered {
  #current = new IdSet();
  #before: IdSet | undefined;
  #since: number;
  readonly #keepMs: number;
  readonly #max: number;

  /** @param max messages of a generation. Above it, the older generation is dropped early. */
  constructor(now: number, keepMs: number, max: number) {
    this.#since = now;
    this.#keepMs = keepMs;
    this.#max = max;
  }

  has(id: number, crc: number, now: number): boolean {
    this.#rotate(now);
    return this.#current.has(id, crc) || this.#before?.has(id, crc) === true;
  }

  add(id: number, crc: number, now: number): void {
    this.#rotate(now);
    this.#current.add(id, crc);
  }

  #rotate(now: number): void {
    if (now - this.#since < this.#keepMs && this.#current.size < this.#max) return;
    this.#before = this.#current;
    this.#current = new IdSet();
    this.#since = now;
  }
}

/** A number for a message by its id and 20 bits of its CRC. */
export function partialKey({ id, crc }: { readonly id: number; readonly crc: number }): number {
  return id * 0x10_0000 + (crc & 0xf_ffff);
}
