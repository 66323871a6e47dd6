import type { Endpoint } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";

/** Peers that one `prune` removes at most, so that it takes a few milliseconds. */
const maxPruned = 10_000;

/** A peer that has sent something, and how an answer gets to it. */
export interface SeenPeer {
  readonly address: Endpoint;
  /** How an answer leaves from the address that the peer sent to; `undefined` if the system chooses. */
  readonly route: Ancillary | undefined;
  /** When its last datagram was read, on the clock of the socket. */
  readonly seenMs: number;
}

interface Entry extends SeenPeer {
  readonly token: string;
  address: Endpoint;
  route: Ancillary | undefined;
  seenMs: number;
  /** The neighbours in the list. */
  before: Entry | undefined;
  after: Entry | undefined;
}

/**
 * The peers that have sent something within a time, in bounded memory: the least recently seen peer is forgotten first.
 *
 * The order is a list and not that of the map: to find the first entry of a `Map`, V8 walks over all entries that were deleted since
 * it last made the table anew. With 100,000 peers, each forged source would cost tens of microseconds.
 */
export class SeenPeers {
  readonly #maxPeers: number;
  readonly #withinMs: number;
  readonly #byToken = new Map<string, Entry>();
  /** The least recently seen peer. */
  #first: Entry | undefined;
  #last: Entry | undefined;
  #forgotten = 0;

  constructor(maxPeers: number, withinMs: number) {
    this.#maxPeers = maxPeers;
    this.#withinMs = withinMs;
  }

  /** The number of peers. */
  get size(): number {
    return this.#byToken.size;
  }

  /** Peers that were forgotten before their time, because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Notes a datagram of a peer. */
  see(token: string, address: Endpoint, route: Ancillary | undefined, nowMs: number): void {
    let entry = this.#byToken.get(token);
    if (entry) {
      entry.address = address;
      entry.route = route;
      entry.seenMs = nowMs;
      if (entry === this.#last) return;
      this.#unlink(entry);
    } else {
      entry = { token, address, route, seenMs: nowMs, before: undefined, after: undefined };
      this.#byToken.set(token, entry);
    }
    entry.before = this.#last;
    if (this.#last) this.#last.after = entry;
    else this.#first = entry;
    this.#last = entry;
    if (this.#byToken.size <= this.#maxPeers || !this.#first) return;
    if (this.#isRecent(this.#first, nowMs)) this.#forgotten++;
    this.#forget(this.#first);
  }

  /** Returns a peer that was seen within the time. */
  find(token: string, nowMs: number): SeenPeer | undefined {
    const entry = this.#byToken.get(token);
    return entry && this.#isRecent(entry, nowMs) ? entry : undefined;
  }

  /** Removes peers whose time is over. To be called regularly. */
  prune(nowMs: number): void {
    for (let count = 0; count < maxPruned; count++) {
      if (!this.#first || this.#isRecent(this.#first, nowMs)) return;
      this.#forget(this.#first);
    }
  }

  #forget(entry: Entry): void {
    this.#unlink(entry);
    this.#byToken.delete(entry.token);
  }

  #unlink(entry: Entry): void {
    const { before, after } = entry;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    entry.before = entry.after = undefined;
  }

  #isRecent({ seenMs }: Entry, nowMs: number): boolean {
    return nowMs - seenMs <= this.#withinMs;
  }
}
