/** Streams of random numbers that are the same on every machine: sfc32 (Doty-Humphrey, PractRand), seeded by name. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * @param seed of the network, a uint32.
   * @param name of the stream. Each name gives a different stream, and a new stream changes no other.
   */
  constructor(seed: number, name: string) {
    let hash = 0x811c_9dc5 ^ seed;
    const next = (code: number): number => {
      hash = Math.imul(hash ^ code, 0x0100_0193);
      hash ^= hash >>> 15;
      return hash | 0;
    };
    for (let index = 0; index < name.length; index++) next(name.charCodeAt(index));
    this.#a = next(seed & 0xffff);
    this.#b = next(seed >>> 16);
    this.#c = next(name.length);
    // After these rounds, a difference in one bit of the seed has changed all bits.
    for (let round = 0; round < 15; round++) this.uint32();
  }

  /** A uniformly random uint32. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  /** A uniformly random number from 0 to below 1, in steps of 2^-32. */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** Returns `true` with this probability. Draws no number for 0. */
  happens(ratio: number): boolean {
    return ratio > 0 && this.uint32() < ratio * 0x1_0000_0000;
  }

  /** A uniformly random whole number below `limit`, which is at most 2^32. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }
}
