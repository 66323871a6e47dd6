import { type Frame, frameFlag, frameKind, isOrdered } from "../wire/message-frame.js";
import { partialKey } from "./delivered.js";
import type { DueReports } from "./due-reports.js";
import type { Incoming } from "./incoming.js";
import type { LossCause, Message } from "./message.js";
import { PartialMemory } from "./partial-memory.js";
import type { Peer } from "./peers.js";
import type { ReceiverHost, ReceiverLimits } from "./receiver-host.js";

/** Missing chunks that an event names. */
const maxMissing = 1024;

/**
 * Keeps the messages that are not complete, of all sources, and the ordered messages that wait for them. Makes room for them within
 * the limits, and tells which of them are lost.
 */
export class Partials {
  readonly lost: Map<LossCause, number> = new Map<LossCause, number>();
  readonly memory: PartialMemory;
  /** Sources of messages that are not complete. */
  sources = 0;
  readonly #host: ReceiverHost;
  readonly #reports: DueReports;
  readonly #drop: (cause: string) => void;
  /** The sources of messages that are not complete, by `partialKey`. */
  readonly #owners = new Map<number, Peer>();

  /** @param drop counts a datagram that was dropped. */
  constructor(
    host: ReceiverHost,
    limits: ReceiverLimits,
    reports: DueReports,
    drop: (cause: string) => void,
  ) {
    this.#host = host;
    this.memory = new PartialMemory(limits);
    this.#reports = reports;
    this.#drop = drop;
  }

  /** The source of the message that has the id and the CRC of a frame, if the message is not complete. */
  ownerOf(frame: Readonly<Frame>): Peer | undefined {
    return this.#owners.get(partialKey(frame));
  }

  /** Keeps a message of a source. */
  keep(peer: Peer, partial: Incoming): void {
    if (peer.partials.size === 0) this.sources++;
    const key = partialKey(partial.frame);
    peer.partials.set(key, partial);
    this.#owners.set(key, peer);
    this.memory.take(peer, partial.bytes);
  }

  /**
   * Makes room for so many bytes of a message: first among the messages of the same source, then among those of sources that
   * have not proven their address.
   */
  hasRoom(peer: Peer, partial: Incoming, bytes: number): boolean {
    while (this.memory.isSourceFull(peer, bytes)) {
      if (!this.loseOldest(peer, partial, "source")) {
        this.#drop("source");
        return false;
      }
    }
    while (this.memory.isFull(peer, bytes)) {
      const other = this.loseOldest(peer, partial, "memory") ? peer : this.memory.unprovenBeside(peer);
      if (!other) {
        this.#drop("memory");
        return false;
      }
      if (other !== peer && !this.loseOldest(other, undefined, "memory")) this.#passHeld(other);
    }
    // The order may have gone on without a message that made room, and so past this message.
    if (!isOrdered(partial.frame) || !peer.isPast(partial.frame)) return true;
    this.#drop("superseded");
    return false;
  }

  /** Drops the first message of a source that is not `except`. Returns `false` if there is none. */
  loseOldest(peer: Peer, except: Incoming | undefined, cause: LossCause): boolean {
    for (const partial of peer.partials.values()) {
      if (partial === except) continue;
      this.lose(peer, partial, cause);
      return true;
    }
    return false;
  }

  /** A message is lost: the ordered messages that waited for it are passed on. */
  lose(peer: Peer, partial: Incoming, cause: LossCause): void {
    this.remove(peer, partial);
    this.tellLost(peer, partial, cause);
    const { channel, id } = partial.frame;
    if (!isOrdered(partial.frame) || !peer.ordering) return;
    this.passOrdered(peer, peer.ordering.lost(channel, id));
  }

  /** Passes ordered messages to the program. */
  passOrdered(peer: Peer, messages: readonly Message[]): void {
    for (const message of messages) {
      this.#host.arrived({ message, peer, kind: frameKind.data, flags: frameFlag.ordered, id: 0, crc: 0 });
    }
    this.countHeld(peer);
    this.dropPast(peer);
  }

  /** The order of a channel has gone on: drops the messages that are now too late. Another message may have had their id. */
  dropPast(peer: Peer): void {
    for (const partial of peer.partials.values()) {
      if (isOrdered(partial.frame) && peer.isPast(partial.frame)) this.lose(peer, partial, "superseded");
    }
  }

  /** Counts and tells a message that was lost. */
  tellLost(peer: Peer, partial: Incoming, cause: LossCause): void {
    this.lost.set(cause, (this.lost.get(cause) ?? 0) + 1);
    const { channel, id, length } = partial.frame;
    const { chunks, received } = partial;
    const missing = partial.missing(maxMissing);
    this.#host.lost({ source: peer.address, channel, id, length, chunks, received, missing, cause });
  }

  /** Forgets a message of a source, if it is there. */
  remove(peer: Peer, partial: Incoming): void {
    if (!peer.removePartial(partial)) return;
    if (this.#owners.get(partialKey(partial.frame)) === peer) this.#owners.delete(partialKey(partial.frame));
    if (peer.partials.size === 0) this.sources--;
    this.#reports.delete(partial);
    this.memory.take(peer, -partial.bytes);
  }

  /** Counts the memory of the ordered messages of a source that wait. */
  countHeld(peer: Peer): void {
    const bytes = peer.ordering?.bytes ?? 0;
    this.memory.take(peer, bytes - peer.heldBytes);
    peer.heldBytes = bytes;
  }

  /** Passes all ordered messages of a peer that wait, without those that they wait for. */
  #passHeld(peer: Peer): void {
    const now = this.#host.clock.now();
    if (peer.ordering)
      this.passOrdered(
        peer,
        peer.ordering.release(0, () => false, now),
      );
  }
}
