import { Buffer } from "node:buffer";

import type { Address } from "../../core/address/address.js";
import type { Peer } from "./peer.js";

/** How many datagrams are kept, and how many bytes of their payloads. */
const ringLimits = { datagrams: 16_384, bytes: 16_777_216 } as const;

/** Bytes of payloads that are kept in a time: to copy more would take a busy socket the time to receive. */
const rateLimit = { bytes: 4_194_304, ms: 250 } as const;

/** A datagram that is kept. */
export interface KeptDatagram {
  /** Its number, a uint32 that begins again at 0. */
  readonly id: number;
  readonly peer: Peer;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  readonly direction: "in" | "out";
  /** The other end than the peer. */
  readonly local: Address;
  /** Bytes of the payload. */
  readonly size: number;
  readonly lostBefore: number;
  /** The payload. It is valid until the next datagram is added. */
  readonly data: Buffer;
}

/**
 * The last datagrams. Their payloads are copied into one piece of memory: the memory of a received datagram is shared by others, and
 * one small datagram would keep all of it. Adding a datagram makes no object.
 */
export class DatagramRing {
  readonly #memory = Buffer.allocUnsafeSlow(ringLimits.bytes);
  readonly #peers = new Array<Peer | undefined>(ringLimits.datagrams);
  readonly #locals = new Array<Address | undefined>(ringLimits.datagrams);
  readonly #timestamps = new BigInt64Array(ringLimits.datagrams);
  /** Where each payload begins, counted from the first byte ever written. */
  readonly #starts = new Float64Array(ringLimits.datagrams);
  readonly #sizes = new Uint32Array(ringLimits.datagrams);
  readonly #lostBefore = new Uint32Array(ringLimits.datagrams);
  readonly #isOut = new Uint8Array(ringLimits.datagrams);
  /** Which datagrams begin a picture. */
  readonly #begins = new Uint8Array(ringLimits.datagrams);
  #count = 0;
  #written = 0;
  #leftOut = 0;
  /** The bytes since the beginning of the time that `rateLimit` counts. */
  #recentBytes = 0;
  #recentFromMs = 0;

  /** The number of datagrams that were ever added. */
  get count(): number {
    return this.#count;
  }

  /** The number of datagrams that were left out because too many bytes came at once. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Whether a payload, or a run of them, is to be kept. If not, its datagrams are left out. */
  takes(bytes: number, datagrams: number, nowMs: number): boolean {
    if (Math.abs(nowMs - this.#recentFromMs) >= rateLimit.ms) {
      this.#recentFromMs = nowMs;
      this.#recentBytes = 0;
    }
    this.#recentBytes += bytes;
    if (this.#recentBytes <= rateLimit.bytes) return true;
    this.#leftOut += datagrams;
    return false;
  }

  /** Copies a payload, or a run of them end to end. @returns where they begin, for `add`. */
  copy(data: Uint8Array): number {
    const { length } = data;
    // It is never in two parts: it begins again at the start of the memory if the end has no room.
    const offset = this.#written % ringLimits.bytes;
    if (offset + length > ringLimits.bytes) this.#written += ringLimits.bytes - offset;
    const start = this.#written;
    this.#memory.set(data, start % ringLimits.bytes);
    this.#written += length;
    return start;
  }

  /** Adds a datagram whose payload was copied. @returns its position: `count` before the call. */
  add(
    peer: Peer,
    isOut: boolean,
    start: number,
    size: number,
    local: Address,
    timestamp: bigint,
    lostBefore: number,
  ): number {
    const position = this.#count++;
    const at = position % ringLimits.datagrams;
    this.#peers[at] = peer;
    this.#locals[at] = local;
    this.#timestamps[at] = timestamp;
    this.#starts[at] = start;
    this.#sizes[at] = size;
    this.#lostBefore[at] = lostBefore;
    this.#isOut[at] = isOut ? 1 : 0;
    this.#begins[at] = 0;
    return position;
  }

  /** The oldest position that may still be kept. */
  get oldest(): number {
    return Math.max(0, this.#count - ringLimits.datagrams);
  }

  /** The datagram at a position; `undefined` if it is no longer kept. */
  at(position: number): KeptDatagram | undefined {
    if (position < this.oldest || position >= this.#count) return undefined;
    const at = position % ringLimits.datagrams;
    const start = this.#starts[at] as number;
    // Later payloads may have taken its memory.
    if (start < this.#written - ringLimits.bytes) return undefined;
    const size = this.#sizes[at] as number;
    const offset = start % ringLimits.bytes;
    return {
      id: position >>> 0,
      peer: this.#peers[at] as Peer,
      timestamp: this.#timestamps[at] as bigint,
      direction: this.#isOut[at] === 1 ? "out" : "in",
      local: this.#locals[at] as Address,
      size,
      lostBefore: this.#lostBefore[at] as number,
      data: this.#memory.subarray(offset, offset + size),
    };
  }

  /** The peer of the datagram at a position from `oldest` on. Its payload may no longer be kept. */
  peerAt(position: number): Peer | undefined {
    return this.#peers[position % ringLimits.datagrams];
  }

  /** Notes that the datagram that was added last begins a picture. */
  markPicture(): void {
    this.#begins[(this.#count - 1) % ringLimits.datagrams] = 1;
  }

  /** Whether the datagram at a position from `oldest` on begins a picture. */
  beginsPicture(position: number): boolean {
    return this.#begins[position % ringLimits.datagrams] === 1;
  }

  /** As `at`, for the number of a datagram. */
  find(id: number): KeptDatagram | undefined {
    // The newest position with this number.
    const round = 2 ** 32;
    const position = Math.floor((this.#count - 1 - id) / round) * round + id;
    return Number.isSafeInteger(position) ? this.at(position) : undefined;
  }

  /** Forgets all datagrams. Positions count on. */
  clear(): void {
    this.#written += 2 * ringLimits.bytes;
    this.#peers.fill(undefined);
    this.#locals.fill(undefined);
    this.#recentBytes = 0;
    this.#recentFromMs = 0;
  }
}
