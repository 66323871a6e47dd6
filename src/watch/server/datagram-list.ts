import type { DatagramRing, KeptDatagram } from "../model/datagram-ring.js";
import { lookOf } from "../model/payload-look.js";
import type { DatagramRow, DatagramRows, List } from "../protocol.js";

/** Rows of one message. */
const maxRows = 200;
/** Datagrams that are looked at for one message. */
const maxLookedAt = 2000;

/** The datagrams that one page lists. */
export class DatagramList {
  readonly #ring: DatagramRing;
  #filter: List | undefined;
  /** The position of the first datagram that was not considered yet. */
  #next = 0;
  /** Datagrams that were left out while the page was too slow. */
  #skipped = 0;
  /** Datagrams that the ring had left out when it was looked at last. */
  #leftOut = 0;

  constructor(ring: DatagramRing) {
    this.#ring = ring;
  }

  /** Begins a list. @returns the last datagrams that match. */
  begin(filter: List): DatagramRows {
    this.#filter = filter;
    this.#skipped = 0;
    this.#next = this.#ring.count;
    this.#leftOut = this.#ring.leftOut;
    const { request } = filter;
    return { type: "datagrams", request, rows: this.#rows(this.#ring.oldest).rows, skipped: 0 };
  }

  /** The new datagrams that match; `undefined` if there are none. */
  take(): DatagramRows | undefined {
    const { count, leftOut } = this.#ring;
    if (this.#filter?.live !== true || (this.#next === count && this.#leftOut === leftOut)) return undefined;
    const { rows, skipped } = this.#rows(this.#next);
    this.#next = count;
    const all = skipped + this.#skipped + leftOut - this.#leftOut;
    this.#leftOut = leftOut;
    this.#skipped = 0;
    if (rows.length === 0 && all === 0) return undefined;
    return { type: "datagrams", request: this.#filter.request, rows, skipped: all };
  }

  /** Leaves out the new datagrams: the page is too slow. */
  skip(): void {
    if (this.#filter?.live !== true) return;
    this.#skipped += this.#ring.count - this.#next;
    this.#next = this.#ring.count;
  }

  /** The newest datagrams from a position on that match, the oldest of them first. */
  #rows(from: number): { rows: DatagramRow[]; skipped: number } {
    const rows: DatagramRow[] = [];
    const last = this.#ring.count - 1;
    let position = last;
    for (; position >= from && rows.length < maxRows && last - position < maxLookedAt; position--) {
      const kept = this.#ring.at(position);
      if (!kept) break;
      const row = this.#rowOf(kept);
      if (row) rows.push(row);
    }
    return { rows: rows.reverse(), skipped: position - from + 1 };
  }

  /** The row of a datagram; `undefined` if it does not match. */
  #rowOf(kept: KeptDatagram): DatagramRow | undefined {
    const { text, peer, source, direction, minSize = 0, maxSize = Infinity } = this.#filter as List;
    if (peer !== undefined && kept.peer.id !== peer) return undefined;
    if (source !== undefined && kept.peer.source !== source) return undefined;
    if (direction !== undefined && kept.direction !== direction) return undefined;
    if (kept.size < minSize || kept.size > maxSize) return undefined;
    const look = lookOf(kept.data);
    const [from, to] =
      kept.direction === "in"
        ? [kept.peer.address, String(kept.local)]
        : [String(kept.local), kept.peer.address];
    const words = text.toLowerCase();
    const matches = (part: string): boolean => part.toLowerCase().includes(words);
    if (words !== "" && !matches(look.preview) && !matches(from) && !matches(to)) return undefined;
    const { id, size, lostBefore } = kept;
    return {
      ...{ id, source: kept.peer.source, peer: kept.peer.id, timestamp: String(kept.timestamp) },
      ...{ direction: kept.direction, from, to, size, truncated: false, lostBefore, ...look },
    };
  }
}
