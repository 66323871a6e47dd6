import { assert } from "../core/assert.js";

/** An item of a `FairQueue`, with the links that the queue needs. It is in one queue at a time. */
export abstract class Queued {
  /** Names the peer that the item is from. */
  abstract readonly peer: string;
  /** The places in the whole queue, and among the items of the peer. */
  before: Queued | undefined;
  after: Queued | undefined;
  peerBefore: Queued | undefined;
  peerAfter: Queued | undefined;
}

/** The items of one peer. */
class Peer {
  readonly name: string;
  count = 0;
  first: Queued | undefined;
  last: Queued | undefined;
  /** The neighbours in the list of peers that have the same count. */
  left: Peer | undefined;
  right: Peer | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * A queue in the order of arrival that knows which peer has the most items in it. Each call takes constant time, whatever the
 * number of peers is. Peers without items use no memory.
 */
export class FairQueue<Item extends Queued> {
  readonly #peers = new Map<string, Peer>();
  /** The first peer of each list of peers with the same count, by the count. */
  readonly #byCount: (Peer | undefined)[] = [];
  #max = 0;
  #size = 0;
  #first: Queued | undefined;
  #last: Queued | undefined;

  get size(): number {
    return this.#size;
  }

  /** Adds an item at the end. */
  push(item: Item): void {
    let peer = this.#peers.get(item.peer);
    if (!peer) this.#peers.set(item.peer, (peer = new Peer(item.peer)));
    item.before = this.#last;
    if (this.#last) this.#last.after = item;
    else this.#first = item;
    this.#last = item;
    item.peerBefore = peer.last;
    if (peer.last) peer.last.peerAfter = item;
    else peer.first = item;
    peer.last = item;
    this.#size++;
    this.#recount(peer, 1);
  }

  /** Removes the first item. */
  shift(): Item | undefined {
    const item = this.#first as Item | undefined;
    if (item) this.#remove(item);
    return item;
  }

  /** Whether a further item of a peer would be the one that `shed(peer, "newest")` removes. */
  wouldShed(peer: string): boolean {
    return (this.#peers.get(peer)?.count ?? 0) + 1 >= this.#max;
  }

  /**
   * Removes the newest or the oldest item of the peer with the most items. If `peer` has as many as any other, it is that peer.
   */
  shed(peer: string, end: "newest" | "oldest"): Item {
    const own = this.#peers.get(peer);
    const from = own?.count === this.#max ? own : this.#byCount[this.#max];
    const item = (end === "newest" ? from?.last : from?.first) as Item | undefined;
    assert(item !== undefined, "an item is shed from a queue that has one");
    this.#remove(item);
    return item;
  }

  #remove(item: Item): void {
    const { before, after, peerBefore, peerAfter } = item;
    const peer = this.#peers.get(item.peer);
    assert(peer !== undefined, "the peer of a queued item is known");
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    if (peerBefore) peerBefore.peerAfter = peerAfter;
    else peer.first = peerAfter;
    if (peerAfter) peerAfter.peerBefore = peerBefore;
    else peer.last = peerBefore;
    item.before = item.after = item.peerBefore = item.peerAfter = undefined;
    this.#size--;
    this.#recount(peer, -1);
    if (peer.count === 0) this.#peers.delete(peer.name);
  }

  /** Moves a peer to the list of its new count. */
  #recount(peer: Peer, change: 1 | -1): void {
    const { count, left, right } = peer;
    if (count > 0) {
      if (left) left.right = right;
      else this.#byCount[count] = right;
      if (right) right.left = left;
    }
    peer.count += change;
    const next = peer.count > 0 ? this.#byCount[peer.count] : undefined;
    peer.left = undefined;
    peer.right = next;
    if (next) next.left = peer;
    if (peer.count > 0) this.#byCount[peer.count] = peer;
    if (peer.count > this.#max) this.#max = peer.count;
    // The peer itself has one less, so the largest count goes down by one at most.
    else if (count === this.#max && !this.#byCount[count]) this.#max = peer.count;
  }
}
