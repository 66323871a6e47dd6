import type { Endpoint } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";

/** A peer is moved to the end of the list at most once in this time, so that a datagram usually changes one number. */
const moveEveryMs = 1000;
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
  address: Endpoint;
  route: Ancillary | undefined;
  seenMs: number;
  /** When it was moved to the end of the list. */
  movedMs: number;
}

/** The peers that have sent something within a time, in bounded memory: the least recently seen peer is forgotten first. */
export class SeenPeers {
  readonly #maxPeers: number;
  readonly #withinMs: number;
  /** By token, in the order of `movedMs`. */
  readonly #entries = new Map<string, Entry>();
  #forgotten = 0;

  constructor(maxPeers: number, withinMs: number) {
    this.#maxPeers = maxPeers;
    this.#withinMs = withinMs;
  }

  /** The number of peers. */
  get size(): number {
    return this.#entries.size;
  }

  /** Peers that were forgotten before their time, because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Notes a datagram of a peer. */
  see(token: string, address: Endpoint, route: Ancillary | undefined, nowMs: number): void {
    const entry = this.#entries.get(token);
    if (!entry) {
      this.#entries.set(token, { address, route, seenMs: nowMs, movedMs: nowMs });
      if (this.#entries.size > this.#maxPeers) this.#forgetFirst(nowMs);
      return;
    }
    entry.address = address;
    entry.route = route;
    entry.seenMs = nowMs;
    if (nowMs - entry.movedMs < moveEveryMs) return;
    entry.movedMs = nowMs;
    this.#entries.delete(token);
    this.#entries.set(token, entry);
  }

  /** Returns a peer that was seen within the time. */
  find(token: string, nowMs: number): SeenPeer | undefined {
    const entry = this.#entries.get(token);
    return entry && this.#isRecent(entry, nowMs) ? entry : undefined;
  }

  /** Removes peers whose time is over. To be called regularly. */
  prune(nowMs: number): void {
    let count = 0;
    for (const [token, entry] of this.#entries) {
      if (this.#isRecent(entry, nowMs) || count++ === maxPruned) return;
      this.#entries.delete(token);
    }
  }

  #forgetFirst(nowMs: number): void {
    for (const [token, entry] of this.#entries) {
      this.#entries.delete(token);
      if (this.#isRecent(entry, nowMs)) this.#forgotten++;
      return;
    }
  }

  #isRecent({ seenMs }: Entry, nowMs: number): boolean {
    return nowMs - seenMs <= this.#withinMs;
  }
}
