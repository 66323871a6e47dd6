import { Buffer } from "node:buffer";

import type { Address, Endpoint } from "../address/address.js";
import { assert } from "../assert.js";
import type { OSError } from "../errors/errors.js";
import type { Ancillary } from "./ancillary.js";
import { placesByPeer, placesOf } from "./grouping.js";
import { copyTo, sizeOf } from "./payload.js";

/** The room of one batch. */
interface Capacity {
  readonly bytes: number;
  readonly datagrams: number;
}

/** Holds any single datagram, or as many small datagrams as one system call takes. */
export const ordinary: Capacity = { bytes: 65_536, datagrams: 1024 };
/** For datagrams to many peers in turn. A larger batch has more datagrams to the same peer, which are sent as one run. */
const large: Capacity = { bytes: 1 << 20, datagrams: 16_384 };

/** Is told whether the datagrams of one call were sent. */
export interface Completion {
  /** @param tag the tag of the datagram, or of the first of `count`. */
  sent(tag: number, count: number): void;
  failed(tag: number, error: OSError): void;
}

/** Datagrams with payloads that belong to the caller. They are copied into batches later. */
export interface Borrowed {
  readonly count: number;
  readonly payloads: readonly Uint8Array[];
  /** The destination of each datagram; `null` is the connected peer. If `undefined`, all go to `peer`. */
  readonly peers: readonly (Address | null)[] | undefined;
  readonly peer: Address | null;
  /** The ancillary data of each datagram, if any has some. */
  readonly ancillaries: readonly (Ancillary | undefined)[] | undefined;
  /** The length that each payload had at the call; -1 for a datagram that is not to be sent. */
  readonly lengths: Int32Array;
  /** Whether no datagram goes to a name, and none may be too big. */
  readonly ready: boolean;
}

/** The destination of borrowed datagram `index`. */
export function destinationOf({ peers, peer }: Borrowed, index: number): Address | null {
  return peers ? (peers[index] ?? null) : peer;
}

/** The index of the first borrowed datagram for the connected peer; -1 if there is none. */
export function indexWithoutAddress({ count, peers, peer }: Borrowed): number {
  if (peers) return peers.indexOf(null);
  return peer === null && count > 0 ? 0 : -1;
}

/** Empty batches that the sockets of this thread use again: at most `maxIdle`. The garbage collector frees the others. */
const idle: Outbound[] = [];
const maxIdle = 16;
/** The number of batches in use. From `scarceFrom` on, new batches save memory (`Outbound.scarce`). */
let inUse = 0;
const scarceFrom = 64;
const idleLarge: Outbound[] = [];
const maxIdleLarge = 2;

/**
 * A batch of datagrams to send. All payloads are in one arena; each datagram has a start, a length and a peer. A driver sends
 * from index `settled` on, and changes the batch only by `fail` and `postpone`.
 */
export class Outbound {
  /** The payloads. */
  readonly arena: Buffer;
  /** Where each payload starts in the arena. */
  readonly starts: Int32Array;
  /** Bytes of each payload. */
  readonly lengths: Int32Array;
  /** Datagrams in the batch. */
  count = 0;
  /** Bytes of all payloads. */
  bytes = 0;
  /** Datagrams from the front that are sent or have failed. */
  settled = 0;
  /** Bytes of the longest payload. */
  longest = 0;
  /** Whether the datagrams go to several peers. */
  mixed = false;
  /** The owner of all datagrams; `undefined` if they have several owners. */
  owner: Completion | undefined;

  readonly #capacity: Capacity;
  /** The destination of each datagram. If the batch is not `mixed`, only the first entry counts. */
  readonly #peers: (Endpoint | null)[] = [];
  /** The ancillary data of each datagram, if any has some. */
  #ancillaries: (Ancillary | undefined)[] | undefined;
  /** The owner of each datagram. Not used if `owner` owns all datagrams. */
  readonly #owners: (Completion | undefined)[] = [];
  readonly #tags: Int32Array;
  /** Whether `fill` or `address` was called: later datagrams go into another batch. */
  #filled = false;
  #errors: Map<number, OSError> | undefined;
  #firstView: Buffer | undefined;

  constructor(capacity: Capacity = ordinary) {
    this.#capacity = capacity;
    this.arena = Buffer.allocUnsafeSlow(capacity.bytes);
    this.starts = new Int32Array(capacity.datagrams);
    this.lengths = new Int32Array(capacity.datagrams);
    this.#tags = new Int32Array(capacity.datagrams);
  }

  /** An empty batch, for use until `release`. */
  static take(): Outbound {
    inUse++;
    return idle.pop() ?? new Outbound();
  }

  /** Whether so many batches are in use that each one should use only the memory that it needs. */
  static get scarce(): boolean {
    return inUse >= scarceFrom;
  }

  /** An empty large batch, for datagrams to many peers in turn. */
  static takeLarge(): Outbound {
    return idleLarge.pop() ?? new Outbound(large);
  }

  /** @param reusable `false` if a driver may still use the batch. */
  release(reusable = true): void {
    // Entries are cleared one by one: shorter arrays would lose their memory each time.
    // After `fill` or `address`, only the first entry has a peer, unless the batch is mixed.
    const entries = this.#filled && !this.mixed ? Math.min(1, this.count) : this.count;
    for (let index = 0; index < entries; index++) {
      this.#peers[index] = null;
      this.#owners[index] = undefined;
    }
    this.count = this.bytes = this.settled = this.longest = 0;
    this.mixed = this.#filled = false;
    this.owner = this.#errors = this.#ancillaries = undefined;
    if (this.#capacity === ordinary) {
      inUse--;
      if (reusable && idle.length < maxIdle) idle.push(this);
    } else if (reusable && this.#capacity === large && idleLarge.length < maxIdleLarge) idleLarge.push(this);
  }

  /** Copies a payload of `length` bytes into the batch. Returns `false` if there is no room, or after `fill`. */
  add(
    payload: Uint8Array,
    length: number,
    peer: Endpoint | null,
    owner: Completion,
    tag: number,
    ancillary?: Ancillary,
  ): boolean {
    const { count, bytes } = this;
    const end = bytes + length;
    if (this.#filled || count === this.#capacity.datagrams || end > this.#capacity.bytes) return false;
    if (length > 0) copyTo(this.arena, payload, bytes);
    this.starts[count] = bytes;
    this.lengths[count] = length;
    this.#peers[count] = peer;
    this.#owners[count] = owner;
    this.#tags[count] = tag;
    if (ancillary) (this.#ancillaries ??= [])[count] = ancillary;
    if (length > this.longest) this.longest = length;
    this.bytes = end;
    this.count = count + 1;
    if (count === 0) this.owner = owner;
    else {
      if (owner !== this.owner) this.owner = undefined;
      if (peer !== this.#peers[0]) this.mixed = true;
    }
    return true;
  }

  /** Whether the batch takes no more datagrams. */
  get isFilled(): boolean {
    return this.#filled;
  }

  /**
   * Adds datagrams of one length to a batch that one caller fills. The caller writes their payloads to `arena`, one after another. The
   * tag of each datagram is its index.
   *
   * @returns where the first payload starts. There must be room for all.
   */
  reserve(bytes: number, datagrams = 1): number {
    const { count, bytes: start, starts, lengths } = this;
    const tags = this.#tags;
    const end = count + datagrams;
    assert(end <= lengths.length && start + bytes * datagrams <= this.arena.length, "a batch has room");
    for (let index = count, at = start; index < end; index++, at += bytes) {
      starts[index] = at;
      lengths[index] = bytes;
      tags[index] = index;
    }
    if (bytes > this.longest) this.longest = bytes;
    this.bytes = start + bytes * datagrams;
    this.count = end;
    return start;
  }

  /** Addresses all datagrams that were added by `reserve`. The batch takes no more of them. */
  address(peer: Endpoint, owner: Completion, ancillary: Ancillary | undefined): void {
    this.#peers[0] = peer;
    this.owner = owner;
    if (ancillary) this.#ancillaries = new Array<Ancillary>(this.count).fill(ancillary);
    this.#filled = true;
  }

  /**
   * Copies payloads into an empty batch, from index `from` on. It stops if there is no room for a payload, or if a payload
   * has changed its length. The tag of each datagram is its index.
   *
   * @returns the index of the first datagram that was not copied.
   */
  fill(borrowed: Borrowed, from: number, owner: Completion): number {
    const { count: ends, payloads, lengths, peers, ancillaries } = borrowed;
    const { arena } = this;
    const [ownStarts, ownLengths, tags] = [this.starts, this.lengths, this.#tags];
    const { bytes: room, datagrams } = this.#capacity;
    let [count, bytes, longest, index] = [0, 0, 0, from];
    for (; index < ends && count < datagrams; index++) {
      const length = lengths[index] as number;
      if (length === -1) continue;
      const payload = payloads[index] as Uint8Array;
      if (bytes + length > room || sizeOf(payload) !== length) break;
      if (length > 0) copyTo(arena, payload, bytes);
      ownStarts[count] = bytes;
      ownLengths[count] = length;
      tags[count] = index;
      if (length > longest) longest = length;
      bytes += length;
      count++;
    }
    // What only some batches have is copied after the loop, which is faster without it.
    if (!peers) this.#peers[0] = borrowed.peer as Endpoint | null;
    for (let own = 0; peers && own < count; own++)
      this.#peers[own] = peers[tags[own] as number] as Endpoint | null;
    for (let own = 0; ancillaries && own < count; own++) {
      const ancillary = ancillaries[tags[own] as number];
      if (ancillary) (this.#ancillaries ??= [])[own] = ancillary;
    }
    this.#filled = true;
    this.count = count;
    this.bytes = bytes;
    this.longest = longest;
    this.owner = owner;
    this.mixed = peers !== undefined;
    return index;
  }

  /**
   * Groups the datagrams by peer. Datagrams to one peer keep their order. Called before any datagram is settled.
   *
   * @param connected the peer that `null` stands for.
   */
  group(connected: Endpoint | null): void {
    const places = placesByPeer(this.#peers, this.count, connected);
    if (places) this.#permute(places);
  }

  /**
   * Takes the destination of the next datagram, and moves all datagrams to it after the datagrams to other destinations.
   *
   * @param connected the peer that `null` stands for.
   * @returns whether there are other destinations.
   */
  postpone(connected: Endpoint | null): boolean {
    const { count, settled } = this;
    if (!this.mixed) return false;
    const destination = this.peer(settled) ?? connected;
    const groupOf = new Int32Array(count);
    for (let index = settled; index < count; index++) {
      const peer = this.peer(index) ?? connected;
      groupOf[index] = peer === destination || (peer && destination?.equals(peer)) ? 2 : 1;
    }
    if (!groupOf.includes(1)) return false;
    this.#permute(placesOf(groupOf, 3));
    return true;
  }

  /** The destination of datagram `index`; `null` is the connected peer. */
  peer(index: number): Endpoint | null {
    return this.#peers[this.mixed ? index : 0] ?? null;
  }

  /** The ancillary data of datagram `index`; `undefined` if it has none. */
  ancillary(index: number): Ancillary | undefined {
    return this.#ancillaries?.[index];
  }

  /** Whether any datagram has ancillary data. */
  get hasAncillary(): boolean {
    return this.#ancillaries !== undefined;
  }

  /** The payload of datagram `index`. Valid until the batch is released. */
  view(index: number): Buffer {
    const start = this.starts[index] ?? 0;
    const end = start + this.length(index);
    if (start > 0) return this.arena.subarray(start, end);
    // Datagrams that are sent one by one mostly have the same size, and a new view costs more than the copy of the payload.
    if (this.#firstView?.length !== end) this.#firstView = this.arena.subarray(0, end);
    return this.#firstView;
  }

  /** Bytes of the payload of datagram `index`. */
  length(index: number): number {
    return this.lengths[index] ?? 0;
  }

  /** Sets the error of datagram `index`, which could not be sent. The datagram is settled after the datagrams before it. */
  fail(index: number, error: OSError): void {
    (this.#errors ??= new Map()).set(index, error);
  }

  /** Whether `fail` was called for datagram `index`. */
  failed(index: number): boolean {
    return this.#errors?.has(index) === true;
  }

  /** Whether `fail` was called for any datagram. */
  get anyFailed(): boolean {
    return this.#errors !== undefined;
  }

  /** Settles the next datagram and tells its owner. Returns its error; `undefined` if it was sent. */
  settleNext(forced?: OSError): OSError | undefined {
    const index = this.settled++;
    assert(index < this.count, "a batch settles no more datagrams than it has");
    const error = forced ?? this.#errors?.get(index);
    const tag = this.#tags[index] ?? 0;
    const owner = this.owner ?? this.#owners[index];
    if (error) owner?.failed(tag, error);
    else owner?.sent(tag, 1);
    return error;
  }

  /** Settles the next `count` datagrams, which were sent, and tells their owners. Returns their bytes. */
  settleSent(count: number): number {
    const first = this.settled;
    const end = first + count;
    let bytes = count === this.count ? this.bytes : 0;
    if (count < this.count) {
      for (let index = first; index < end; index++) bytes += this.length(index);
    }
    assert(end <= this.count, "a batch settles no more datagrams than it has");
    this.settled = end;
    const { owner } = this;
    if (owner) {
      owner.sent(this.#tags[first] ?? 0, count);
      return bytes;
    }
    const [owners, tags] = [this.#owners, this.#tags];
    for (let index = first; index < end; index++) owners[index]?.sent(tags[index] ?? 0, 1);
    return bytes;
  }

  #permute(places: Int32Array): void {
    const { count } = this;
    const [starts, lengths, tags] = [
      this.starts.slice(0, count),
      this.lengths.slice(0, count),
      this.#tags.slice(0, count),
    ];
    const [peers, owners] = [this.#peers.slice(0, count), this.#owners.slice(0, count)];
    const ancillaries = this.#ancillaries?.slice(0, count);
    for (let index = 0; index < count; index++) {
      const place = places[index] ?? 0;
      this.starts[place] = starts[index] ?? 0;
      this.lengths[place] = lengths[index] ?? 0;
      this.#tags[place] = tags[index] ?? 0;
      this.#peers[place] = peers[index] ?? null;
      this.#owners[place] = owners[index];
      if (this.#ancillaries) this.#ancillaries[place] = ancillaries?.[index];
    }
  }
}
