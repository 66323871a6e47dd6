import type { Endpoint } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import { assert } from "../core/assert.js";
import { type Frame, isOrdered } from "../wire/message-frame.js";
import type { Alarm } from "./alarm.js";
import { Delivered, partialKey } from "./delivered.js";
import type { Incoming } from "./incoming.js";
import type { Ordering } from "./ordering.js";
import type { Replies } from "./replies.js";
import type { Sender } from "./sender.js";

/** How long a message counts as delivered: longer than a sender goes on without progress. */
const keepMs = 30_000;
/** Delivered messages that are remembered of a peer: of a proven one, and of another. */
const maxDelivered = { proven: 65_536, unproven: 256 };
/** Peers that have not proven their address. Above it, the oldest is forgotten. */
const maxUnproven = 16_384;
/** A peer without messages is forgotten after this time. */
const forgetMs = 2 * keepMs;
/** Messages by which a fleeting one may be older than the newest. */
const maxBehind = 65_536;
/** Bytes that may be sent to an unproven address, for each byte from it: RFC 9000, section 8. */
const amplification = 3;

/** The ids of an ordered channel. */
export interface OrderedIds {
  next: number;
  /** Whether the peer has the first message, and so knows where the order begins. */
  isKnown: boolean;
  /** Whether a message has failed, for which the peer may wait: a new order begins when the others have ended. */
  isBroken: boolean;
  /** Messages that are being sent. */
  active: number;
}

/** What is known of one address. */
export class Peer {
  readonly address: Endpoint;
  readonly key: string;
  isProven = false;
  /**
   * The route of an answer to its last datagram: from the address that the datagram was sent to. `undefined` leaves the route to the
   * kernel.
   */
  route: Ancillary | undefined;
  lastSeen: number | undefined;
  /** Bytes that came, and that were answered. Counted until the address is proven. */
  receivedBytes = 0;
  answeredBytes = 0;
  receivedChunks = 0;
  receivedMessages = 0;
  /** Bytes of the longest message of several chunks that arrived. */
  longestBytes = 0;
  probedAt: number = Number.NEGATIVE_INFINITY;
  /** Messages that have not arrived completely, by `partialKey`. */
  readonly partials: Map<number, Incoming> = new Map<number, Incoming>();
  /** Bytes of memory of these messages, and of the ordered messages that are held back; and of the latter alone. */
  partialBytes = 0;
  heldBytes = 0;
  /** For reports and limits of these messages. */
  alarm: Alarm | undefined;
  sender: Sender | undefined;
  ordering: Ordering | undefined;
  replies: Replies | undefined;
  /** The id of the next message to this peer; of ordered ones, for each channel. */
  nextId: number | undefined;
  orderedIds: Map<number, OrderedIds> | undefined;
  /** The one that was looked for last. */
  #lastPartial: Incoming | undefined;
  #delivered: Delivered | undefined;
  /** The id of the newest fleeting message of each channel that arrived. */
  #newest: Map<number, number> | undefined;

  constructor(address: Endpoint, key: string) {
    this.address = address;
    this.key = key;
  }

  /** Whether so many bytes may be sent in answer. If so, they are counted. */
  mayAnswer(bytes: number): boolean {
    if (this.isProven) return true;
    if (this.answeredBytes + bytes > amplification * this.receivedBytes) return false;
    this.answeredBytes += bytes;
    return true;
  }

  /** The incomplete message with an id and, most likely, a CRC. */
  partialOf(frame: Readonly<Frame>): Incoming | undefined {
    const last = this.#lastPartial;
    if (last?.frame.id === frame.id && last.frame.crc === frame.crc) return last;
    return (this.#lastPartial = this.partials.get(partialKey(frame)));
  }

  /** Returns `false` if the message is not there. */
  removePartial(partial: Incoming): boolean {
    if (this.#lastPartial === partial) this.#lastPartial = undefined;
    return this.partials.delete(partialKey(partial.frame));
  }

  /** Whether the order of a message has gone on without it. */
  isPast({ channel, id }: Readonly<Frame>): boolean {
    return this.ordering?.isPast(channel, id) === true;
  }

  wasDelivered(id: number, crc: number, now: number): boolean {
    return this.#delivered?.has(id, crc, now) === true;
  }

  delivered(id: number, crc: number, now: number): void {
    const max = this.isProven ? maxDelivered.proven : maxDelivered.unproven;
    (this.#delivered ??= new Delivered(now, keepMs, max)).add(id, crc, now);
  }

  /** A fleeting message arrived. */
  newest(channel: number, id: number): void {
    (this.#newest ??= new Map<number, number>()).set(channel, id);
  }

  /** Whether a newer fleeting message of the channel arrived. An id far away is of a sender that has started again. */
  hasNewer(channel: number, id: number): boolean {
    const newest = this.#newest?.get(channel);
    if (newest === undefined) return false;
    const behind = (newest - id) >>> 0;
    return behind > 0 && behind < maxBehind;
  }

  /** Whether nothing is under way from or to the peer. */
  get isIdle(): boolean {
    return this.partials.size === 0 && this.sender?.isIdle !== false && this.replies?.isBusy !== true;
  }
}

/** Returns a function that tells whether a message of an ordered channel has begun to arrive. */
export function isArriving({ partials }: Peer): (channel: number, id: number) => boolean {
  return (channel, id) => {
    for (const { frame } of partials.values())
      if (frame.id === id && frame.channel === channel && isOrdered(frame)) return true;
    return false;
  };
}

/** The peers by address. Those that have not proven their address are limited in number. */
export class Peers {
  readonly #proven = new Map<string, Peer>();
  readonly #unproven = new Map<string, Peer>();
  readonly #forget: (peer: Peer) => void;
  #last: Peer | undefined;

  /** @param forget is called with a peer that is removed. */
  constructor(forget: (peer: Peer) => void) {
    this.#forget = forget;
  }

  get size(): number {
    return this.#proven.size + this.#unproven.size;
  }

  find(address: Endpoint): Peer | undefined {
    if (this.#last?.address === address) return this.#last;
    const key = keyOf(address);
    return this.#proven.get(key) ?? this.#unproven.get(key);
  }

  /** Returns the peer of an address, and makes it if needed. */
  get(address: Endpoint): Peer {
    const peer = this.find(address) ?? this.#make(address);
    this.#last = peer;
    return peer;
  }

  /** The peer receives at its address. */
  proven(peer: Peer): void {
    if (peer.isProven) return;
    peer.isProven = true;
    this.#unproven.delete(peer.key);
    this.#proven.set(peer.key, peer);
  }

  /** Forgets peers that were idle for long. */
  sweep(now: number): void {
    for (const map of [this.#proven, this.#unproven]) {
      for (const peer of map.values()) {
        if (peer.isIdle && now - (peer.lastSeen ?? now) >= forgetMs) this.#drop(map, peer);
        else peer.lastSeen ??= now;
      }
    }
  }

  *[Symbol.iterator](): Generator<Peer, void, undefined> {
    yield* this.#proven.values();
    yield* this.#unproven.values();
  }

  #make(address: Endpoint): Peer {
    if (this.#unproven.size >= maxUnproven) {
      for (const oldest of this.#unproven.values()) {
        if (oldest.sender?.isIdle === false) continue;
        this.#drop(this.#unproven, oldest);
        break;
      }
    }
    const peer = new Peer(address, keyOf(address));
    this.#unproven.set(peer.key, peer);
    return peer;
  }

  #drop(map: Map<string, Peer>, peer: Peer): void {
    assert(map.delete(peer.key), "a peer is in the table of its kind");
    if (this.#last === peer) this.#last = undefined;
    this.#forget(peer);
  }
}

function keyOf({ host, port }: Endpoint): string {
  return `${host} ${port}`;
}
