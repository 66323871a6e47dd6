import type { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import { type Frame, type Payload, frameFlag, frameKind, isFleeting } from "../wire/message-frame.js";
import { Alarm } from "./alarm.js";
import { Delivered } from "./delivered.js";
import { Incoming, messageBytes } from "./incoming.js";
import type { LossCause, Message } from "./message.js";
import { Ordering } from "./ordering.js";
import { type Peer, partialKey } from "./peers.js";
import type { ReceiverHost, ReceiverLimits } from "./receiver-host.js";
import { ReportWriter } from "./reports.js";

/** Milliseconds after which a chunk is reported, and chunks after which it is. */
const reportMs = 5;
const reportChunks = 64;
/** The first wait before a report is repeated, the factor of the next ones, and their number. */
const repeatMs = 100;
const repeatFactor = 1.5;
const maxRepeats = 8;
/** The smallest and the largest number of chunks that a report gives leave to send. */
const minCredit = 4;
const maxCredit = 65_535;
/** Missing chunks that an event names. */
const maxMissing = 1024;
/** Delivered messages that are remembered whatever their source: at least so many, or for so long. */
const maxRecent = 65_536;
const keepMs = 30_000;
/** A message reserves at most so many times the memory of what has arrived. */
const wholeFactor = 4;
/** The share of `maxBytes` that sources have together which have not proven their address. */
const unprovenShare = 0.25;

/** Joins the chunks that arrive to messages, within limits, and reports them to their senders. */
export class Receiver {
  /** Datagrams that were dropped, by cause. */
  readonly dropped: Map<string, number> = new Map<string, number>();
  readonly lost: Map<LossCause, number> = new Map<LossCause, number>();
  /** Bytes of messages that are not complete or held back: of all, and of sources that have not proven their address. */
  bytes = 0;
  #unprovenBytes = 0;
  readonly #host: ReceiverHost;
  readonly #limits: ReceiverLimits;
  /** What is to be reported when the datagrams that were read together are handled. */
  readonly #reports = new Map<Incoming, Peer>();
  /** The sources of such bytes that have not proven their address, the oldest first. */
  readonly #unproven = new Set<Peer>();
  /** Sources of messages that are not complete. */
  #sources = 0;
  readonly #completed: { readonly peer: Peer; readonly frame: Frame; readonly copies: number }[] = [];
  readonly #writer = new ReportWriter();
  /** The sources of messages that are not complete, by `partialKey`. */
  readonly #owners = new Map<number, Peer>();
  /** Messages that were delivered, of all sources. */
  readonly #recent: Delivered;

  constructor(host: ReceiverHost, limits: ReceiverLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#recent = new Delivered(host.clock.now(), keepMs, maxRecent);
  }

  /** Counts a datagram that was dropped. */
  drop(cause: string): void {
    this.dropped.set(cause, (this.dropped.get(cause) ?? 0) + 1);
  }

  /** A chunk or a parity arrived, whose frame was checked. */
  chunk(peer: Peer, frame: Readonly<Frame>, payload: Payload<Buffer>, now: number): void {
    const { id, crc } = frame;
    peer.receivedChunks++;
    const partial = peer.partialOf(frame);
    if (partial?.frame.crc === crc) {
      this.#add(peer, partial, frame, payload, now);
      return;
    }
    if (peer.wasDelivered(id, crc, now) || this.#wasMoved(frame, now)) {
      this.#duplicate(peer, frame);
      return;
    }
    if (partial) {
      this.drop("mismatch");
      return;
    }
    if (isFleeting(frame) ? peer.hasNewer(frame.channel, id) : isOrdered(frame) && isPast(peer, frame)) {
      this.drop("superseded");
      return;
    }
    if (this.#host.unreadBytes + frame.length > this.#limits.maxUnreadBytes) {
      this.drop("unread");
      return;
    }
    const { length, kind } = frame;
    const { bytes } = payload;
    if (kind !== frameKind.parity && bytes.length === length) {
      this.#whole(peer, frame, bytes, payload.crc, now);
      return;
    }
    const begun = this.#move(peer, frame) ?? this.#begin(peer, frame, now);
    if (begun) this.#add(peer, begun, frame, payload, now);
  }

  /** Sends the reports that are due, after datagrams that were read together. */
  flush(now: number): void {
    for (const [partial, peer] of this.#reports) {
      partial.unreported = 0;
      partial.reportedAt = now;
      this.#host.answer(peer, this.#writer.partial(partial, this.#credit, now));
    }
    this.#reports.clear();
    for (const { peer, frame, copies } of this.#completed) {
      const report = this.#writer.complete(frame, this.#credit);
      for (let copy = 0; copy < copies; copy++) this.#host.answer(peer, report);
    }
    this.#completed.length = 0;
  }

  /** Everything ends: the messages of a peer are dropped. */
  end(peer: Peer): void {
    peer.alarm?.close();
    for (const partial of peer.partials.values()) this.#remove(peer, partial);
    this.#took(peer, -peer.heldBytes);
  }

  /** A peer is forgotten: its messages are lost, and those that wait for their turn are passed on. */
  forget(peer: Peer): void {
    for (const partial of peer.partials.values()) this.#lose(peer, partial, "memory");
    if (peer.ordering) this.#passOrdered(peer, peer.ordering.end());
    this.end(peer);
  }

  /** The address of a peer is proven. */
  proven(peer: Peer): void {
    if (!peer.isProven) this.#unprovenBytes -= peer.partialBytes;
    this.#unproven.delete(peer);
    this.#host.peers.proven(peer);
  }

  /** A message of one chunk needs no memory of its own. */
  #whole(peer: Peer, frame: Readonly<Frame>, data: Buffer, crc: number | undefined, now: number): void {
    if ((crc ?? crc32(data)) >>> 0 !== frame.crc) {
      this.drop("crc");
      return;
    }
    const { channel, id } = frame;
    if (isOrdered(frame) && peer.ordering?.mustWait(channel, id) === true) {
      const bytes = messageBytes + data.length;
      const isFull = this.#isSourceFull(peer, bytes);
      if (isFull || this.#isFull(peer, bytes)) {
        this.drop(isFull ? "source" : "memory");
        return;
      }
    }
    this.#deliver(
      peer,
      frame,
      data,
      { chunks: 1, repaired: frame.attempt > 0 && !isFleeting(frame) ? 1 : 0 },
      now,
    );
    this.#report1(peer, frame, 1);
  }

  #add(
    peer: Peer,
    partial: Incoming,
    frame: Readonly<Frame>,
    { bytes: payload, crc }: Payload<Buffer>,
    now: number,
  ): void {
    const { frame: first } = partial;
    if (frame.length !== first.length || frame.size !== first.size || frame.channel !== first.channel) {
      this.drop("mismatch");
      return;
    }
    const before = partial.bytes;
    if (frame.kind === frameKind.parity) {
      if (!this.#hasRoom(peer, partial, payload.length)) return;
      if (!partial.addParity(frame, payload)) {
        this.drop("duplicate");
        return;
      }
      this.#took(peer, partial.bytes - before);
      if (partial.complete) this.#finish(peer, partial, frame, now);
      return;
    }
    const isNow = (frame.flags & frameFlag.now) !== 0;
    const isAgain = frame.attempt > 0 && !partial.fleeting;
    let gap = false;
    partial.echo(frame, now);
    if (partial.has(frame.index)) this.drop("duplicate");
    else {
      if (partial.lacksMemory(frame.index)) {
        const all = this.#mayReserveAll(peer, partial);
        if (!this.#hasRoom(peer, partial, partial.growth(frame.index, all))) return;
        partial.reserve(frame.index, all);
      }
      gap = partial.add(frame, payload, crc ?? crc32(payload));
      if (isAgain) partial.resent++;
      partial.repeats = 0;
      if (partial.bytes !== before) this.#took(peer, partial.bytes - before);
      if (partial.complete) {
        this.#finish(peer, partial, frame, now);
        return;
      }
    }
    if (partial.unreported++ === 0) partial.unreportedAt = now;
    if (isNow || gap || isAgain || partial.unreported >= reportChunks) this.#reports.set(partial, peer);
    else peer.alarm?.setEarlier(partial.unreportedAt + reportMs);
  }

  /** All chunks are there. */
  #finish(peer: Peer, partial: Incoming, frame: Readonly<Frame>, now: number): void {
    this.#remove(peer, partial);
    const data = partial.join();
    if (!data) {
      this.#tellLost(peer, partial, "crc");
      return;
    }
    const { chunks, resent, byParity } = partial;
    this.#deliver(peer, partial.frame, data, { chunks, repaired: resent + byParity }, now);
    this.#report1(peer, frame, resent > 0 ? 2 : 1);
  }

  #deliver(
    peer: Peer,
    { kind: sentKind, flags, id, crc, channel }: Readonly<Frame>,
    data: Buffer,
    counts: Pick<Message, "chunks" | "repaired">,
    now: number,
  ): void {
    peer.delivered(id, crc, now);
    this.#recent.add(partialKey({ id, crc }), crc, now);
    peer.receivedMessages++;
    // A parity belongs to a DATA message.
    const kind = sentKind === frameKind.parity ? frameKind.data : sentKind;
    const message: Message = { data, source: peer.address, channel, ...counts, verified: true };
    const pass = (each: Message): void => this.#host.arrived({ message: each, peer, kind, flags, id, crc });
    if (isFleeting({ flags, kind })) this.#supersede(peer, channel, id);
    if (!isOrdered({ kind, flags })) {
      pass(message);
      return;
    }
    peer.ordering ??= new Ordering();
    for (const each of peer.ordering.arrived(id, message, now)) pass(each);
    this.#countHeld(peer);
    for (const partial of peer.partials.values()) {
      if (isOrdered(partial.frame) && isPast(peer, partial.frame)) this.#lose(peer, partial, "superseded");
    }
    this.#watch(peer, now);
  }

  /** A newer fleeting message arrived: those before it are dropped. */
  #supersede(peer: Peer, channel: number, id: number): void {
    peer.newest(channel, id);
    for (const partial of peer.partials.values()) {
      const isOlder = (id - partial.frame.id) >>> 0 < 0x8000_0000 && partial.frame.id !== id;
      if (partial.fleeting && partial.frame.channel === channel && isOlder)
        this.#lose(peer, partial, "superseded");
    }
  }

  /** A chunk of a message that was delivered: its sender does not know yet. */
  #duplicate(peer: Peer, frame: Readonly<Frame>): void {
    this.drop("duplicate");
    if (frame.kind === frameKind.request) this.#host.again(peer, frame);
    if (!isFleeting(frame) || (frame.flags & frameFlag.now) !== 0) this.#report1(peer, frame, 1);
  }

  /** Will report that a message is complete. */
  #report1(peer: Peer, frame: Readonly<Frame>, copies: number): void {
    const last = this.#completed.at(-1);
    if (last?.peer === peer && last.frame.id === frame.id && last.frame.crc === frame.crc) {
      last.frame.index = frame.index;
      last.frame.attempt = frame.attempt;
      return;
    }
    this.#completed.push({ peer, frame: { ...frame }, copies });
  }

  /** Makes room for a new message. Returns `undefined` if it is refused. */
  #begin(peer: Peer, frame: Readonly<Frame>, now: number): Incoming | undefined {
    const { maxPartials, maxSourceBytes, idleMs, totalMs } = this.#limits;
    if (frame.length > maxSourceBytes) {
      this.drop("tooLong");
      this.#host.answer(peer, this.#writer.refused(frame, maxSourceBytes));
      return undefined;
    }
    if (peer.partials.size >= maxPartials) this.#loseOldest(peer, undefined, "source");
    const partial = new Incoming(frame, now);
    if (!this.#hasRoom(peer, partial, partial.bytes)) return undefined;
    this.#keep(peer, partial);
    if (isOrdered(frame)) peer.ordering?.began(frame.channel, frame.id);
    peer.alarm ??= new Alarm(this.#host.clock, () => this.#wake(peer));
    const waitMs = partial.fleeting && frame.attempt > 0 ? Math.min(frame.attempt * 10, totalMs) : idleMs;
    peer.alarm.setEarlier(now + Math.min(waitMs, partial.fleeting ? waitMs : repeatMs));
    return partial;
  }

  #keep(peer: Peer, partial: Incoming): void {
    if (peer.partials.size === 0) this.#sources++;
    const key = partialKey(partial.frame);
    peer.partials.set(key, partial);
    this.#owners.set(key, peer);
    this.#took(peer, partial.bytes);
  }

  /**
   * The sender of a message has a new port or address, because a NAT gave it one: its message moves along. Nobody else knows the id
   * and the CRC.
   */
  #move(peer: Peer, frame: Readonly<Frame>): Incoming | undefined {
    const key = partialKey(frame);
    const owner = this.#owners.get(key);
    const partial = owner?.partials.get(key);
    if (!owner || !partial || owner === peer) return undefined;
    const { id, crc, length } = partial.frame;
    if (id !== frame.id || crc !== frame.crc || length !== frame.length) return undefined;
    if (peer.partials.size >= this.#limits.maxPartials) this.#loseOldest(peer, undefined, "source");
    this.#remove(owner, partial);
    if (!this.#hasRoom(peer, partial, partial.bytes)) return undefined;
    this.#keep(peer, partial);
    this.#watch(peer, partial.lastAt);
    return partial;
  }

  /** Whether a chunk that was sent again belongs to a message that was delivered, from another port or address. */
  #wasMoved(frame: Readonly<Frame>, now: number): boolean {
    return frame.attempt > 0 && !isFleeting(frame) && this.#recent.has(partialKey(frame), frame.crc, now);
  }

  /**
   * Makes room for so many bytes of a message: first among the messages of the same source, then among those of sources that
   * have not proven their address.
   */
  #hasRoom(peer: Peer, partial: Incoming, bytes: number): boolean {
    while (this.#isSourceFull(peer, bytes)) {
      if (!this.#loseOldest(peer, partial, "source")) {
        this.drop("source");
        return false;
      }
    }
    while (this.#isFull(peer, bytes)) {
      const other = this.#loseOldest(peer, partial, "memory") ? peer : this.#unprovenBeside(peer);
      if (!other) {
        this.drop("memory");
        return false;
      }
      if (other !== peer && !this.#loseOldest(other, undefined, "memory")) this.#passHeld(other);
    }
    return true;
  }

  /** Whether so many more bytes are too many for a source. */
  #isSourceFull(peer: Peer, bytes: number): boolean {
    const { maxSourceBytes, maxPartials } = this.#limits;
    return peer.partialBytes + bytes > maxSourceBytes + (maxSourceBytes >> 3) + maxPartials * messageBytes;
  }

  /** Whether so many more bytes are too many for all sources, or for those that have not proven their address. */
  #isFull(peer: Peer, bytes: number): boolean {
    const { maxBytes } = this.#limits;
    if (this.bytes + bytes > maxBytes) return true;
    return !peer.isProven && this.#unprovenBytes + bytes > maxBytes * unprovenShare;
  }

  /**
   * Whether to reserve the memory of the whole message, so that it need not be joined from parts. Only for a source that has proven
   * its address, after a part of the message has arrived, and if no other message has to make room.
   */
  #mayReserveAll(peer: Peer, partial: Incoming): boolean {
    const { maxSourceBytes, maxBytes } = this.#limits;
    const { length } = partial.frame;
    return (
      peer.isProven &&
      partial.receivedBytes * wholeFactor >= length &&
      peer.partialBytes + length <= maxSourceBytes &&
      this.bytes + length <= maxBytes / 2
    );
  }

  #unprovenBeside(peer: Peer): Peer | undefined {
    for (const other of this.#unproven) if (other !== peer) return other;
    return undefined;
  }

  /** Drops the first message of a source that is not `except`. Returns `false` if there is none. */
  #loseOldest(peer: Peer, except: Incoming | undefined, cause: LossCause): boolean {
    for (const partial of peer.partials.values()) {
      if (partial === except) continue;
      this.#lose(peer, partial, cause);
      return true;
    }
    return false;
  }

  #lose(peer: Peer, partial: Incoming, cause: LossCause): void {
    this.#remove(peer, partial);
    this.#tellLost(peer, partial, cause);
    const { channel, id } = partial.frame;
    if (!isOrdered(partial.frame) || !peer.ordering) return;
    this.#passOrdered(peer, peer.ordering.lost(channel, id));
  }

  #passOrdered(peer: Peer, messages: readonly Message[]): void {
    for (const message of messages) {
      this.#host.arrived({ message, peer, kind: frameKind.data, flags: frameFlag.ordered, id: 0, crc: 0 });
    }
    this.#countHeld(peer);
  }

  /** Passes all ordered messages of a peer that wait, without those that they wait for. */
  #passHeld(peer: Peer): void {
    const now = this.#host.clock.now();
    if (peer.ordering)
      this.#passOrdered(
        peer,
        peer.ordering.release(0, () => false, now),
      );
  }

  #tellLost(peer: Peer, partial: Incoming, cause: LossCause): void {
    this.lost.set(cause, (this.lost.get(cause) ?? 0) + 1);
    const { channel, id, length } = partial.frame;
    const { chunks, received } = partial;
    const missing = partial.missing(maxMissing);
    this.#host.lost({ source: peer.address, channel, id, length, chunks, received, missing, cause });
  }

  #remove(peer: Peer, partial: Incoming): void {
    if (!peer.removePartial(partial)) return;
    if (this.#owners.get(partialKey(partial.frame)) === peer) this.#owners.delete(partialKey(partial.frame));
    if (peer.partials.size === 0) this.#sources--;
    this.#reports.delete(partial);
    this.#took(peer, -partial.bytes);
  }

  #countHeld(peer: Peer): void {
    const bytes = peer.ordering?.bytes ?? 0;
    this.#took(peer, bytes - peer.heldBytes);
    peer.heldBytes = bytes;
  }

  #took(peer: Peer, bytes: number): void {
    if (bytes === 0) return;
    peer.partialBytes += bytes;
    this.bytes += bytes;
    if (peer.isProven) return;
    this.#unprovenBytes += bytes;
    if (peer.partialBytes > 0) this.#unproven.add(peer);
    else this.#unproven.delete(peer);
  }

  #wake(peer: Peer): void {
    const now = this.#host.clock.now();
    for (const partial of peer.partials.values()) {
      const cause = this.#endOf(partial, now);
      if (cause) this.#lose(peer, partial, cause);
      // The same sum as in `#watch`: another one may be rounded to another number, and the alarm would ring without an end.
      else if (partial.unreported > 0 && partial.unreportedAt + reportMs <= now)
        this.#reports.set(partial, peer);
      else if (this.#repeatAt(partial) <= now) {
        partial.repeats++;
        this.#reports.set(partial, peer);
      }
    }
    if (peer.ordering) {
      this.#passOrdered(peer, peer.ordering.release(this.#limits.idleMs, isArriving(peer), now));
    }
    this.flush(now);
    this.#watch(peer, now);
  }

  /** Sets the alarm of a peer. */
  #watch(peer: Peer, now: number): void {
    const { idleMs } = this.#limits;
    let at = peer.ordering?.releaseAt(idleMs, isArriving(peer)) ?? Infinity;
    for (const partial of peer.partials.values()) {
      at = Math.min(at, this.#endAt(partial), this.#repeatAt(partial));
      if (partial.unreported > 0) at = Math.min(at, partial.unreportedAt + reportMs);
    }
    if (at === Infinity) return;
    peer.alarm ??= new Alarm(this.#host.clock, () => this.#wake(peer));
    peer.alarm.set(Math.max(at, now));
  }

  #endOf(partial: Incoming, now: number): LossCause | undefined {
    if (now < this.#endAt(partial)) return undefined;
    return now - partial.lastAt >= this.#limits.idleMs ? "idle" : "late";
  }

  #endAt(partial: Incoming): number {
    const { idleMs, totalMs } = this.#limits;
    const { fleeting, frame, startedAt, lastAt } = partial;
    const ms = fleeting && frame.attempt > 0 ? Math.min(totalMs, frame.attempt * 10) : totalMs;
    return Math.min(lastAt + idleMs, startedAt + ms);
  }

  #repeatAt({ fleeting, repeats, reportedAt, lastAt }: Incoming): number {
    if (fleeting || repeats >= maxRepeats) return Infinity;
    return Math.max(reportedAt, lastAt) + repeatMs * repeatFactor ** repeats;
  }

  /** The share of the receive buffer that a peer may use. */
  get #credit(): number {
    const share = Math.floor(this.#host.bufferChunks / Math.max(1, this.#sources));
    return Math.max(minCredit, Math.min(maxCredit, share));
  }
}

function isOrdered({ kind, flags }: Pick<Frame, "kind" | "flags">): boolean {
  return (kind === frameKind.data || kind === frameKind.parity) && (flags & frameFlag.ordered) !== 0;
}

/** Whether the peer's order has gone on without this message. */
function isPast({ ordering }: Peer, { channel, id }: Readonly<Frame>): boolean {
  return ordering?.isPast(channel, id) === true;
}

/** Returns a function that tells whether a message of an ordered channel has begun to arrive. */
function isArriving({ partials }: Peer): (channel: number, id: number) => boolean {
  return (channel, id) => {
    for (const { frame } of partials.values())
      if (frame.id === id && frame.channel === channel && isOrdered(frame)) return true;
    return false;
  };
}
