import { frameOverheadBytes } from "../wire/message-frame.js";

/** Above this many chunks a millisecond, bursts are not spread: timers are not finer. */
const maxPace = 64;
/** The largest and the smallest number of chunks that may leave together after a pause. */
const maxTokens = 64;
const minTokens = 4;
/** The shortest wait: a shorter one may be too short to change the time, a number with 53 bits. */
const minWaitMs = 0.001;

/** Bytes of the IP and UDP headers of a datagram, for `rateBps`. */
const packetBytes = 28;

/** Spreads chunks over time: a bucket of chunks that may leave now. A pace is in chunks per millisecond. */
export class Pacer {
  #tokens = maxTokens;
  #refilledAt = 0;

  /** Chunks that may leave now: a number with a fraction, or `Infinity`. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Chunks leave. */
  take(chunks: number): void {
    this.#tokens -= chunks;
  }

  /** Adds what was earned at a pace since the last call. */
  refill(pace: number, now: number): void {
    const max = pace >= maxPace ? Infinity : Math.min(maxTokens, Math.max(minTokens, pace * 2));
    const earned = pace === Infinity ? Infinity : pace * (now - this.#refilledAt);
    this.#tokens = Math.min(max, this.#tokens + earned);
    this.#refilledAt = now;
  }

  /** Milliseconds until a chunk may leave. */
  waitMs(pace: number): number {
    return Math.max(minWaitMs, (1 - this.#tokens) / pace);
  }

  /**
   * The lower one of a pace and `rateBps`. `Infinity` if timers cannot keep the pace.
   *
   * @param chunkBytes of each chunk.
   */
  static limited(pace: number, rateBps: number, chunkBytes: number): number {
    const own = pace >= maxPace ? Infinity : pace;
    if (rateBps === Infinity) return own;
    return Math.min(own, rateBps / 8000 / (chunkBytes + frameOverheadBytes + packetBytes));
  }
}
