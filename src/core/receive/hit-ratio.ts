/** Weight of the last try in the ratio. */
const weight = 1 / 8;
/** Waits between two tries while tries do not pay. */
const retryWaits = 64;

/** Decides whether a receive call tries something before it waits, from how often tries found a datagram lately. */
export class HitRatio {
  readonly #least: number;
  #ratio = 1;
  #waitsSinceTry = 0;

  /** @param least tries pay if at least this share of them finds a datagram, 0 to 1. Otherwise one wait in 64 tries. */
  constructor(least: number) {
    this.#least = least;
  }

  /** Whether the next wait tries. To be asked once for each wait. */
  pays(): boolean {
    return this.#ratio >= this.#least || ++this.#waitsSinceTry >= retryWaits;
  }

  /** To be called after each try. */
  tried(found: boolean): void {
    this.#waitsSinceTry = 0;
    this.#ratio += ((found ? 1 : 0) - this.#ratio) * weight;
  }
}
