/** Messages that were delivered, by id and CRC: in two generations, of which the older one is dropped. */
export class Delivered {
  #current = new Map<number, number>();
  #before = new Map<number, number>();
  #since: number;
  readonly #keepMs: number;
  readonly #max: number;

  /** @param max ids of a generation. Above it, the older generation is dropped early. */
  constructor(now: number, keepMs: number, max: number) {
    this.#since = now;
    this.#keepMs = keepMs;
    this.#max = max;
  }

  has(id: number, crc: number, now: number): boolean {
    this.#rotate(now);
    return this.#current.get(id) === crc || this.#before.get(id) === crc;
  }

  add(id: number, crc: number, now: number): void {
    this.#rotate(now);
    this.#current.set(id, crc);
  }

  #rotate(now: number): void {
    if (now - this.#since < this.#keepMs && this.#current.size < this.#max) return;
    this.#before = this.#current;
    this.#current = new Map();
    this.#since = now;
  }
}
