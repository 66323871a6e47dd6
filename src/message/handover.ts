import type { Buffer } from "node:buffer";

import { type Frame, frameFlag, frameKind, isFleeting, isOrdered } from "../wire/message-frame.js";
import { Confirmations } from "./confirmations.js";
import { Delivered } from "./delivered.js";
import type { DueReports } from "./due-reports.js";
import type { Incoming } from "./incoming.js";
import type { Message } from "./message.js";
import { Ordering } from "./ordering.js";
import type { Partials } from "./partials.js";
import type { Peer } from "./peers.js";
import type { ReceiverHost, ReceiverLimits } from "./receiver-host.js";
import { isOfData } from "./same-message.js";
import { PeerMessage } from "./shown.js";

/** Messages that are remembered whatever their source: at least so many, or for so long. */
const maxRecent = 65_536;
const keepMs = 30_000;

/** What a handover needs of the receiver. */
export interface HandoverOwner {
  /** Sends the reports that are due. */
  flush(now: number): void;
  /** Sets the alarm of a peer. */
  watch(peer: Peer, now: number): void;
}

/**
 * Hands complete messages to the program: each of them once, and ordered ones in their turn. Reports them to their senders, unless the
 * program confirms them.
 */
export class Handover {
  readonly #host: ReceiverHost;
  readonly #limits: ReceiverLimits;
  readonly #reports: DueReports;
  readonly #partials: Partials;
  readonly #owner: HandoverOwner;
  /** Messages of all sources. */
  readonly #recent: Delivered;
  readonly #confirmations: Confirmations;

  constructor(
    host: ReceiverHost,
    limits: ReceiverLimits,
    reports: DueReports,
    partials: Partials,
    owner: HandoverOwner,
  ) {
    this.#host = host;
    this.#limits = limits;
    this.#reports = reports;
    this.#partials = partials;
    this.#owner = owner;
    this.#recent = new Delivered(host.clock.now(), keepMs, maxRecent);
    this.#confirmations = new Confirmations(host.clock, reports, limits.confirmMs);
  }

  /** Messages that the program can confirm. */
  get unconfirmed(): number {
    return this.#confirmations.size;
  }

  /** Messages that the program did not confirm in time, or that it has released. */
  get released(): number {
    return this.#confirmations.released;
  }

  /** Whether the program confirms a message. A request is confirmed by its reply, and nobody waits for a fleeting message. */
  isForProgram(frame: Readonly<Frame>): boolean {
    return this.#limits.confirm === "program" && isOfData(frame) && !isFleeting(frame);
  }

  /** Whether the program confirms a message, and its source can have no further one that waits for that. */
  isFullFor(peer: Peer, frame: Readonly<Frame>): boolean {
    return this.isForProgram(frame) && this.#confirmations.isFull(peer);
  }

  /**
   * Whether a message was handed over. Its sender may have a new port or address since then, because a NAT gave it one: a chunk that was
   * sent again tells nothing else.
   */
  has(peer: Peer, frame: Readonly<Frame>, now: number): boolean {
    if (peer.wasDelivered(frame.id, frame.crc, now)) return true;
    return frame.attempt > 0 && !isFleeting(frame) && this.#recent.has(frame.id, frame.crc, now);
  }

  /** A chunk came of a message that was handed over: its sender does not know yet. */
  again(peer: Peer, frame: Readonly<Frame>): void {
    if (frame.kind === frameKind.request) this.#host.again(peer, frame);
    if (this.isForProgram(frame) && this.#confirmations.holds(peer, frame)) return;
    if (!isFleeting(frame) || (frame.flags & frameFlag.now) !== 0) this.#reports.complete(peer, frame, 1);
  }

  /** Hands over a message of one chunk, whose CRC is right. */
  single(peer: Peer, frame: Readonly<Frame>, data: Buffer, now: number): void {
    const repaired = frame.attempt > 0 && !isFleeting(frame) ? 1 : 0;
    this.#deliver(peer, frame, data, { chunks: 1, repaired, ...this.#complete(peer, frame, 1) }, now);
  }

  /** Hands over a message of several chunks, unless its CRC is wrong. @param frame of the chunk that completed it. */
  joined(peer: Peer, partial: Incoming, frame: Readonly<Frame>, now: number): void {
    this.#partials.remove(peer, partial);
    const data = partial.join();
    if (!data) {
      this.#partials.tellLost(peer, partial, "crc");
      return;
    }
    peer.longestBytes = Math.max(peer.longestBytes, data.length);
    const { chunks, resent, byParity } = partial;
    const completed = this.#complete(peer, frame, resent > 0 ? 2 : 1);
    this.#deliver(peer, partial.frame, data, { chunks, repaired: resent + byParity, ...completed }, now);
  }

  /** Nothing can be confirmed any more. */
  close(): void {
    this.#confirmations.close();
  }

  /** Reports a complete message, or returns how the program does it. */
  #complete(peer: Peer, frame: Readonly<Frame>, copies: number): Pick<Message, "confirm" | "release"> {
    if (!this.isForProgram(frame)) {
      this.#reports.complete(peer, frame, copies);
      return {};
    }
    const { confirm, release } = this.#confirmations.add(peer, frame, copies);
    return {
      confirm: () => {
        if (confirm()) this.#owner.flush(this.#host.clock.now());
      },
      release,
    };
  }

  #deliver(
    peer: Peer,
    { kind, flags, id, crc, channel }: Readonly<Frame>,
    data: Buffer,
    counts: Pick<Message, "chunks" | "repaired" | "confirm" | "release">,
    now: number,
  ): void {
    peer.delivered(id, crc, now);
    this.#recent.add(id, crc, now);
    peer.receivedMessages++;
    const message = new PeerMessage(data, peer.address, channel, counts);
    const pass = (each: Message): void => this.#host.arrived({ message: each, peer, kind, flags, id, crc });
    if (isFleeting({ flags, kind })) this.#supersede(peer, channel, id);
    if (!isOrdered({ kind, flags })) {
      pass(message);
      return;
    }
    peer.ordering ??= new Ordering();
    for (const each of peer.ordering.arrived(id, message, now)) pass(each);
    this.#partials.countHeld(peer);
    this.#partials.dropPast(peer);
    this.#owner.watch(peer, now);
  }

  /** A newer fleeting message arrived: those before it are dropped. */
  #supersede(peer: Peer, channel: number, id: number): void {
    peer.newest(channel, id);
    for (const partial of peer.partials.values()) {
      const isOlder = (id - partial.frame.id) >>> 0 < 0x8000_0000 && partial.frame.id !== id;
      if (partial.fleeting && partial.frame.channel === channel && isOlder)
        this.#partials.lose(peer, partial, "superseded");
    }
  }
}
