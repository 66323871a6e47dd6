import type { PeerRow } from "../protocol.js";

/** Seconds of the history of a peer. */
const historySeconds = 60;
/** Payloads above this many bytes may not fit in one packet on every path. */
const largeBytes = 1400;
/** Datagrams after which the usual pauses of a peer are known. */
const knownFrom = 10;
/** A pause is a gap if it is this many times as long as the longest usual one, and at least this many milliseconds. */
const gap = { times: 3, leastMs: 200 } as const;
/** A peer is silent if it pauses for this many times its longest usual pause, and for at least this many milliseconds. */
const silence = { times: 3, leastMs: 2000 } as const;
/** Milliseconds for which the longest pause is kept: up to two such windows. */
const windowMs = 5000;

/** The counts of one address at one source. */
export class Peer {
  readonly id: number;
  readonly source: number;
  readonly address: string;
  readonly firstMs: number;
  lastMs: number;
  datagrams = 0;
  bytes = 0;
  sent = 0;
  sentBytes = 0;
  minSize = 0;
  maxSize = 0;
  large = 0;
  gaps = 0;
  truncated = 0;
  lostBefore = 0;
  icmp = 0;
  silent = false;
  picture: PeerRow["picture"] = undefined;
  /** Whether it changed since the last row was made. */
  changed = false;
  /** Whether a page may know of it. */
  shown = false;
  /** Whether its place was given to another peer. */
  forgotten = false;
  /** Datagrams of each second, by the second modulo 60. Most strangers send only once, and need none: see `#count`. */
  #history: Uint32Array | undefined;
  /** The second of the newest datagram. */
  #second: number;
  /** The longest pauses of this window and of the one before, in milliseconds. */
  #pauseMs = 0;
  #pauseBeforeMs = 0;
  #windowFromMs: number;
  #windowDatagrams = 0;

  constructor(id: number, source: number, address: string, nowMs: number) {
    this.id = id;
    this.source = source;
    this.address = address;
    this.firstMs = this.lastMs = this.#windowFromMs = nowMs;
    this.#second = Math.floor(nowMs / 1000);
  }

  /**
   * Counts datagrams that arrived together.
   *
   * @param bytes of all of them.
   * @param size bytes of each one but the last, which may be shorter.
   * @returns whether they are the first ones of their second.
   */
  arrived(bytes: number, size: number, lostBefore: number, nowMs: number): boolean {
    const isFirst = this.datagrams === 0;
    const datagrams = size === 0 ? 1 : Math.ceil(bytes / size);
    const last = bytes - (datagrams - 1) * size;
    this.bytes += bytes;
    if (size > this.maxSize) this.maxSize = size;
    if (isFirst || last < this.minSize) this.minSize = last;
    if (size > largeBytes) this.large += datagrams - (last > largeBytes ? 0 : 1);
    if (lostBefore > 0) this.lostBefore += lostBefore;
    if (!isFirst && nowMs - this.lastMs > 0) this.#paused(nowMs - this.lastMs);
    this.#windowDatagrams += datagrams;
    this.lastMs = nowMs;
    this.silent = false;
    return this.#count(datagrams, nowMs);
  }

  /** Marks the peer as silent if it is. @returns whether it just became silent. */
  checkSilence(nowMs: number): boolean {
    if (this.silent || this.datagrams < knownFrom) return false;
    if (nowMs - this.lastMs <= Math.max(silence.times * this.#usualPauseMs, silence.leastMs)) return false;
    // A peer that sent one burst never sent regularly.
    if (this.lastMs - this.firstMs < silence.leastMs) return false;
    this.silent = true;
    return true;
  }

  /** @param withHistory whether to add the datagrams of the last 60 seconds. */
  row(withHistory: boolean, nowMs: number): PeerRow {
    const { id, source, address, firstMs, lastMs, datagrams, bytes, sent, sentBytes, minSize, maxSize } =
      this;
    const { large, gaps, truncated, lostBefore, icmp, silent, picture } = this;
    return {
      ...{ id, source, address, firstMs, lastMs, datagrams, bytes, sent, sentBytes },
      history: withHistory ? this.#lastSeconds(nowMs) : undefined,
      ...{ minSize, maxSize, large, gaps, truncated, lostBefore, icmp, silent, picture },
    };
  }

  get #usualPauseMs(): number {
    return Math.max(this.#pauseMs, this.#pauseBeforeMs);
  }

  #paused(pauseMs: number): void {
    const usualMs = this.#usualPauseMs;
    const isKnown = this.datagrams > knownFrom && usualMs > 0;
    const isGap = isKnown && pauseMs >= gap.leastMs && pauseMs > gap.times * usualMs;
    if (isGap) this.gaps++;
    const nowMs = this.lastMs + pauseMs;
    if (nowMs - this.#windowFromMs > windowMs && this.#windowDatagrams >= knownFrom) {
      this.#pauseBeforeMs = this.#pauseMs;
      this.#pauseMs = 0;
      this.#windowFromMs = nowMs;
      this.#windowDatagrams = 0;
    }
    // A peer that became slower for good has a gap a few times, not for ever.
    this.#pauseMs = Math.max(this.#pauseMs, isGap ? Math.min(pauseMs, 1.5 * usualMs) : pauseMs);
  }

  #count(datagrams: number, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    const before = this.datagrams;
    const isNew = second > this.#second || before < 3;
    this.datagrams += datagrams;
    if (!this.#history && this.datagrams > 1) {
      this.#history = new Uint32Array(historySeconds);
      this.#history[this.#second % historySeconds] = before;
    }
    if (second > this.#second) {
      const history = this.#history;
      const passed = Math.min(second - this.#second, historySeconds);
      if (history) for (let each = 0; each < passed; each++) history[(second - each) % historySeconds] = 0;
      this.#second = second;
    }
    if (this.#history) (this.#history[this.#second % historySeconds] as number) += datagrams;
    return isNew;
  }

  #lastSeconds(nowMs: number): number[] {
    const now = Math.floor(nowMs / 1000);
    return Array.from({ length: historySeconds }, (_, index) => {
      const second = now - historySeconds + 1 + index;
      if (second > this.#second || second <= this.#second - historySeconds) return 0;
      if (this.#history) return this.#history[second % historySeconds] ?? 0;
      return second === this.#second ? this.datagrams : 0;
    });
  }
}
