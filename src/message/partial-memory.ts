import { type Incoming, messageBytes } from "./incoming.js";
import type { Peer } from "./peers.js";
import type { ReceiverLimits } from "./receiver-host.js";

/** The share of `maxBytes` that sources have together which have not proven their address. */
const unprovenShare = 0.25;
/** A message reserves at most so many times the memory of what has arrived. */
const wholeFactor = 4;

/** Counts the memory of the messages that are not complete or held back, and knows its limits. */
export class PartialMemory {
  /** Bytes of all sources. */
  bytes = 0;
  /** Bytes of the sources that have not proven their address. */
  #unprovenBytes = 0;
  /** These sources, the oldest first. */
  readonly #unproven = new Set<Peer>();
  readonly #limits: ReceiverLimits;

  constructor(limits: ReceiverLimits) {
    this.#limits = limits;
  }

  /** A source takes so many more bytes, or fewer if negative. */
  take(peer: Peer, bytes: number): void {
    if (bytes === 0) return;
    peer.partialBytes += bytes;
    this.bytes += bytes;
    if (peer.isProven) return;
    this.#unprovenBytes += bytes;
    if (peer.partialBytes > 0) this.#unproven.add(peer);
    else this.#unproven.delete(peer);
  }

  /** The address of a source is about to be proven. */
  proven(peer: Peer): void {
    if (!peer.isProven) this.#unprovenBytes -= peer.partialBytes;
    this.#unproven.delete(peer);
  }

  /** Whether so many more bytes are too many for a source. */
  isSourceFull(peer: Peer, bytes: number): boolean {
    const { maxSourceBytes, maxPartials } = this.#limits;
    return peer.partialBytes + bytes > maxSourceBytes + (maxSourceBytes >> 3) + maxPartials * messageBytes;
  }

  /** Whether so many more bytes are too many for all sources, or for those that have not proven their address. */
  isFull(peer: Peer, bytes: number): boolean {
    const { maxBytes } = this.#limits;
    if (this.bytes + bytes > maxBytes) return true;
    return !peer.isProven && this.#unprovenBytes + bytes > maxBytes * unprovenShare;
  }

  /**
   * Whether to reserve the memory of the whole message, so that it need not be joined from parts. Only for a source that has proven
   * its address, after a part of the message or an earlier message of this length has arrived, and if no other message has to make
   * room.
   */
  mayReserveAll(peer: Peer, { frame: { length }, receivedBytes }: Incoming): boolean {
    const { maxSourceBytes, maxBytes } = this.#limits;
    return (
      peer.isProven &&
      (receivedBytes * wholeFactor >= length || peer.longestBytes >= length) &&
      peer.partialBytes + length <= maxSourceBytes &&
      this.bytes + length <= maxBytes / 2
    );
  }

  /** The oldest source beside `peer` that has not proven its address. */
  unprovenBeside(peer: Peer): Peer | undefined {
    for (const other of this.#unproven) if (other !== peer) return other;
    return undefined;
  }
}
