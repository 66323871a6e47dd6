import type { Address } from "../../core/address/address.js";
import { Peer } from "./peer.js";

/** The largest number of peers that are kept, of all sources. Source addresses can be forged, and memory is limited. */
export const maxPeers = 10_000;
/** A peer that sent fewer datagrams is a stranger, whose place is taken first. */
const strangerBelow = 3;
/** The largest number of addresses of one source that are found without their text. */
const maxFound = 4096;

/**
 * The peers of all sources. If there are too many, a new one takes the place of the stranger that was silent for longest, or, if there
 * is none, of the peer that was silent for longest.
 */
export class PeerTable {
  /** By number, the one that was silent for longest first, to within a second. */
  readonly #strangers = new Map<number, Peer>();
  readonly #known = new Map<number, Peer>();
  /** For each source, its peers by address. */
  readonly #byText = new Map<number, Map<string, Peer>>();
  readonly #found = new Map<Address, Peer>();
  #lastSource = -1;
  #lastAddress: Address | undefined;
  #last: Peer | undefined;
  #count = 0;
  /** Those that changed since `takeChanged`, in the order of their first change. */
  #changed: Peer[] = [];
  /** The numbers of peers that were shown and are forgotten now. */
  #forgotten: number[] = [];

  /** The number of peers that ever were. */
  get total(): number {
    return this.#count;
  }

  /** The peer with a number, if it is kept. */
  get(id: number): Peer | undefined {
    return this.#known.get(id) ?? this.#strangers.get(id);
  }

  /** All peers that are kept. */
  *[Symbol.iterator](): Generator<Peer, void, undefined> {
    yield* this.#known.values();
    yield* this.#strangers.values();
  }

  /** Returns the peer with an address, a new one if there is none. */
  of(source: number, address: Address, nowMs: number): Peer {
    // One peer often sends several datagrams one after the other, and the driver uses one object for its address.
    if (address === this.#lastAddress && source === this.#lastSource && this.#last?.forgotten === false)
      return this.#last;
    let peer = this.#found.get(address);
    if (peer?.source !== source || peer.forgotten) {
      peer = this.#byAddress(source, String(address), nowMs);
      if (this.#found.size >= maxFound) this.#found.clear();
      this.#found.set(address, peer);
    }
    this.#lastSource = source;
    this.#lastAddress = address;
    this.#last = peer;
    return peer;
  }

  /** The peer with an address, if there is one. */
  find(source: number, address: string): Peer | undefined {
    return this.#byText.get(source)?.get(address);
  }

  /** To be called when a peer was heard of, at least once a second: it is the last whose place is taken. */
  refresh(peer: Peer): void {
    if (peer.forgotten) return;
    if (this.#strangers.delete(peer.id)) {
      const isKnown = peer.datagrams + peer.sent >= strangerBelow;
      (isKnown ? this.#known : this.#strangers).set(peer.id, peer);
    } else if (this.#known.delete(peer.id)) this.#known.set(peer.id, peer);
  }

  /** To be called when a count of a peer changed. */
  change(peer: Peer): void {
    if (peer.changed) return;
    peer.changed = true;
    // Without a page nobody takes them, and strangers come and go.
    if (this.#changed.length >= 2 * maxPeers)
      this.#changed = this.#changed.filter(({ forgotten }) => !forgotten);
    this.#changed.push(peer);
  }

  /** Takes up to `max` peers that changed, those that changed first. They count as shown. */
  takeChanged(max: number): Peer[] {
    const kept = this.#changed.filter(({ forgotten }) => !forgotten);
    const taken = kept.slice(0, max);
    this.#changed = kept.slice(max);
    for (const peer of taken) {
      peer.changed = false;
      peer.shown = true;
    }
    return taken;
  }

  /** Takes the numbers of the peers that were shown and have been forgotten. */
  takeForgotten(): number[] {
    const forgotten = this.#forgotten;
    this.#forgotten = [];
    return forgotten;
  }

  /** Forgets all peers. */
  clear(): void {
    for (const peer of this) peer.forgotten = true;
    for (const map of [this.#strangers, this.#known, this.#byText, this.#found]) map.clear();
    this.#last = this.#lastAddress = undefined;
    this.#changed = [];
    this.#forgotten = [];
  }

  #byAddress(source: number, text: string, nowMs: number): Peer {
    let ofSource = this.#byText.get(source);
    if (!ofSource) {
      ofSource = new Map<string, Peer>();
      this.#byText.set(source, ofSource);
    }
    const known = ofSource.get(text);
    if (known) return known;
    if (this.#strangers.size + this.#known.size >= maxPeers) this.#forgetOne();
    const peer = new Peer(this.#count++, source, text, nowMs);
    ofSource.set(text, peer);
    this.#strangers.set(peer.id, peer);
    return peer;
  }

  #forgetOne(): void {
    const [oldest] = this.#strangers.size > 0 ? this.#strangers.values() : this.#known.values();
    if (!oldest) return;
    oldest.forgotten = true;
    this.#strangers.delete(oldest.id);
    this.#known.delete(oldest.id);
    this.#byText.get(oldest.source)?.delete(oldest.address);
    if (oldest.shown) this.#forgotten.push(oldest.id);
  }
}
