import type { Endpoint } from "../core/address/address.js";

/**
 * Tokens that prove an address: only a peer that receives there knows the token of the address. A token is a hash of the address
 * with two secret numbers, so that nothing is kept for addresses that never answer.
 */
export class Tokens {
  readonly #secret: readonly [number, number];

  /** @param random returns a random uint32. */
  constructor(random: () => number) {
    this.#secret = [random(), random()];
  }

  /** The token of an address, a uint32. */
  of({ host, port }: Endpoint): number {
    const [first, second] = this.#secret;
    // MurmurHash3's steps, over the characters of the address.
    let hash = first;
    const mix = (word: number): void => {
      let k = Math.imul(word ^ second, 0xcc9e2d51);
      k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
      hash ^= k;
      hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
    };
    for (let at = 0; at < host.length; at++) mix(host.charCodeAt(at));
    mix(port);
    hash ^= hash >>> 16;
    hash = Math.imul(hash, 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}
