import type { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import type { Ancillary } from "../core/driver/ancillary.js";
import {
  type Frame,
  type Payload,
  frameFlag,
  frameKind,
  isFleeting,
  isOrdered,
  newFrame,
} from "../wire/message-frame.js";
import { Alarm } from "./alarm.js";
import { Delivered, partialKey } from "./delivered.js";
import { DueReports } from "./due-reports.js";
import { belongs, isDividedAnew } from "./same-message.js";
import { Handover } from "./handover.js";
import { Incoming, type Series, messageBytes } from "./incoming.js";
import type { LossCause } from "./message.js";
import type { PartialMemory } from "./partial-memory.js";
import { Partials } from "./partials.js";
import { type Peer, isArriving } from "./peers.js";
import { endAt, endOf, repeatAt, reportMs } from "./partial-times.js";
import type { ReceiverHost, ReceiverLimits } from "./receiver-host.js";

/** Chunks after which a report is sent. */
const reportChunks = 64;
/** Messages that were refused are remembered: at least so many, or for so long. */
const maxRefused = 65_536;
const keepMs = 30_000;

/** Joins the chunks that arrive to messages, within limits, and reports them to their senders. */
export class Receiver {
  /** Datagrams that were dropped, by cause. */
  readonly dropped: Map<string, number> = new Map<string, number>();
  readonly #host: ReceiverHost;
  readonly #limits: ReceiverLimits;
  readonly #reports: DueReports;
  readonly #partials: Partials;
  readonly #memory: PartialMemory;
  readonly #handover: Handover;
  /** Messages that were refused because of their length. A sender has several chunks of them under way. */
  readonly #tooLong: Delivered;
  /** Their number. */
  refused = 0;
  /** The chunks that were taken together last, and the frame of the last of them. */
  readonly #series: Series = { last: 0, gap: false, isNow: false };
  readonly #last = newFrame();

  constructor(host: ReceiverHost, limits: ReceiverLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#reports = new DueReports(host);
    this.#partials = new Partials(host, limits, this.#reports, (cause) => this.drop(cause));
    this.#memory = this.#partials.memory;
    this.#handover = new Handover(host, limits, this.#reports, this.#partials, {
      flush: (now) => this.flush(now),
      watch: (peer, now) => this.#watch(peer, now),
    });
    this.#tooLong = new Delivered(host.clock.now(), keepMs, maxRefused);
  }

  /** Messages that were lost, by cause. */
  get lost(): ReadonlyMap<LossCause, number> {
    return this.#partials.lost;
  }

  /** Messages that the program can confirm. */
  get unconfirmed(): number {
    return this.#handover.unconfirmed;
  }

  /** Messages that the program did not confirm in time, or that it has released. */
  get released(): number {
    return this.#handover.released;
  }

  /** Bytes of memory of the messages that are not complete or held back. */
  get bytes(): number {
    return this.#memory.bytes;
  }

  /** Counts datagrams that were dropped. */
  drop(cause: string, datagrams = 1): void {
    this.dropped.set(cause, (this.dropped.get(cause) ?? 0) + datagrams);
  }

  /** A chunk or a parity arrived, whose frame was checked. */
  chunk(peer: Peer, frame: Readonly<Frame>, payload: Payload<Buffer>, now: number): void {
    const { id, crc } = frame;
    peer.receivedChunks++;
    let partial = peer.partialOf(frame);
    if (partial?.frame.crc === crc) {
      const { isDetached } = partial;
      if (!isDetached && !isDividedAnew(partial.frame, frame)) {
        if (partial.mayComplete && this.#handover.isFullFor(peer, frame)) this.drop("unconfirmed");
        else this.#add(peer, partial, frame, payload, now);
        return;
      }
      // Without a chunk, a parity had arrived.
      this.drop(isDetached ? "memory" : "divided", Math.max(1, partial.received));
      this.#partials.remove(peer, partial);
      partial = undefined;
    }
    if (this.#handover.has(peer, frame, now)) {
      this.drop("duplicate");
      this.#handover.again(peer, frame);
      return;
    }
    if (partial) {
      this.drop("mismatch");
      return;
    }
    if (isFleeting(frame) ? peer.hasNewer(frame.channel, id) : isOrdered(frame) && peer.isPast(frame)) {
      this.drop("superseded");
      return;
    }
    const isWhole = frame.kind !== frameKind.parity && payload.bytes.length === frame.length;
    // Before what may have room later: this message never has.
    if (!isWhole && frame.length > this.#limits.maxSourceBytes) {
      this.#refuse(peer, frame, now);
      return;
    }
    if (this.#host.unreadBytes + frame.length > this.#limits.maxUnreadBytes) {
      this.drop("unread");
      return;
    }
    if (this.#handover.isFullFor(peer, frame)) {
      this.drop("unconfirmed");
      return;
    }
    if (isWhole) {
      this.#whole(peer, frame, payload.bytes, payload.crc, now);
      return;
    }
    const begun = this.#move(peer, frame) ?? this.#begin(peer, frame, now);
    if (begun) this.#add(peer, begun, frame, payload, now);
  }

  /**
   * As `chunk`, for chunks of a message that follow each other in one run. Their checksums need not be checked before.
   *
   * @param partial the message that the first of them seems to be of. Its peer is proven.
   * @param start where the first chunk begins, of at most `max`.
   * @returns the number of chunks that it took; 0 if `chunk` must take the first one.
   */
  series(
    peer: Peer,
    partial: Incoming,
    datagrams: Buffer,
    start: number,
    segment: number,
    max: number,
    route: Ancillary | undefined,
    now: number,
  ): number {
    const { takeChunks } = this.#host;
    if (!takeChunks) return 0;
    const { frame } = partial;
    // Such a message may have to wait for its place: `chunk` knows when.
    const most = this.#handover.isForProgram(frame) ? partial.chunks - partial.received - 2 : max;
    const series = this.#series;
    const chunks = partial.takeSeries(takeChunks, datagrams, start, segment, Math.min(most, max), series);
    if (chunks === 0) return 0;
    peer.receivedChunks += chunks;
    peer.lastSeen = now;
    peer.route = partial.route = route;
    const last = Object.assign(this.#last, frame);
    last.index = series.last;
    if (!partial.fleeting) last.attempt = 0;
    partial.echo(last, now);
    partial.repeats = 0;
    if (partial.complete) {
      this.#handover.joined(peer, partial, last, now);
      return chunks;
    }
    if (partial.unreported === 0) partial.unreportedAt = now;
    partial.unreported += chunks;
    this.#reportSoon(peer, partial, series.gap || series.isNow);
    return chunks;
  }

  /** Sends the reports that are due, after datagrams that were read together. */
  flush(now: number): void {
    this.#reports.send(this.#partials.sources, now);
  }

  /** Nothing can be confirmed any more. */
  close(): void {
    this.#handover.close();
  }

  /** Everything ends: the messages of a peer are dropped. */
  end(peer: Peer): void {
    peer.alarm?.close();
    for (const partial of peer.partials.values()) this.#partials.remove(peer, partial);
    this.#memory.take(peer, -peer.heldBytes);
  }

  /** A peer is forgotten: its messages are lost, and those that wait for their turn are passed on. */
  forget(peer: Peer): void {
    for (const partial of peer.partials.values()) this.#partials.lose(peer, partial, "memory");
    if (peer.ordering) this.#partials.passOrdered(peer, peer.ordering.end());
    this.end(peer);
  }

  /** The address of a peer is proven. */
  proven(peer: Peer): void {
    this.#memory.proven(peer);
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
      const isFull = this.#memory.isSourceFull(peer, bytes);
      if (isFull || this.#memory.isFull(peer, bytes)) {
        this.drop(isFull ? "source" : "memory");
        return;
      }
    }
    this.#handover.single(peer, frame, data, now);
  }

  #add(
    peer: Peer,
    partial: Incoming,
    frame: Readonly<Frame>,
    { bytes: payload, crc }: Payload<Buffer>,
    now: number,
  ): void {
    if (!belongs(frame, partial.frame)) {
      this.drop("mismatch");
      return;
    }
    partial.route = peer.route;
    const before = partial.bytes;
    if (frame.kind === frameKind.parity) {
      if (!this.#partials.hasRoom(peer, partial, payload.length)) return;
      if (!partial.addParity(frame, payload)) {
        this.drop("duplicate");
        return;
      }
      this.#memory.take(peer, partial.bytes - before);
      if (this.#repair(peer, partial, frame.index) && partial.complete)
        this.#handover.joined(peer, partial, frame, now);
      return;
    }
    const isNow = (frame.flags & frameFlag.now) !== 0;
    const isAgain = frame.attempt > 0 && !partial.fleeting;
    let gap = false;
    partial.echo(frame, now);
    if (partial.has(frame.index)) this.drop("duplicate");
    else {
      if (partial.lacksMemory(frame.index)) {
        const all = this.#memory.mayReserveAll(peer, partial);
        if (!this.#partials.hasRoom(peer, partial, partial.growth(frame.index, all))) return;
        partial.reserve(frame.index, all, this.#host.spare);
      }
      gap = partial.add(frame, payload, crc ?? crc32(payload));
      // After a parity, the first chunk of a fleeting message says when it ends.
      if (partial.received === 1) peer.alarm?.setEarlier(endAt(partial, this.#limits));
      if (isAgain) partial.resent++;
      partial.repeats = 0;
      if (partial.bytes !== before) this.#memory.take(peer, partial.bytes - before);
      if (partial.hasParities && !this.#repair(peer, partial, frame.index)) return;
      if (partial.complete) {
        this.#handover.joined(peer, partial, frame, now);
        return;
      }
    }
    if (partial.unreported++ === 0) partial.unreportedAt = now;
    this.#reportSoon(peer, partial, isNow || gap || isAgain);
  }

  #reportSoon(peer: Peer, partial: Incoming, isNow: boolean): void {
    if (isNow || partial.unreported >= reportChunks) this.#reports.add(partial, peer);
    else peer.alarm?.setEarlier(partial.unreportedAt + reportMs);
  }

  /** Repairs the chunk that a parity of a chunk's group repairs, if there is one. Returns `false` if there is no room for it. */
  #repair(peer: Peer, partial: Incoming, index: number): boolean {
    const lost = partial.repairable(index);
    if (lost < 0) return true;
    if (partial.lacksMemory(lost)) {
      const bytes = partial.growth(lost, false);
      if (!this.#partials.hasRoom(peer, partial, bytes)) return false;
      partial.reserve(lost, false);
      this.#memory.take(peer, bytes);
    }
    partial.repair(lost);
    return true;
  }

  /** A message is longer than it may be: its sender gets a report of that, and nothing of it is kept. */
  #refuse(peer: Peer, frame: Readonly<Frame>, now: number): void {
    this.drop("tooLong");
    if (!this.#tooLong.has(frame.id, frame.crc, now)) {
      this.#tooLong.add(frame.id, frame.crc, now);
      this.refused++;
    }
    this.#reports.refuse(peer, frame, this.#limits.maxSourceBytes);
  }

  /** Makes room for a new message. Returns `undefined` if it is refused. */
  #begin(peer: Peer, frame: Readonly<Frame>, now: number): Incoming | undefined {
    if (peer.partials.size >= this.#limits.maxPartials) this.#partials.loseOldest(peer, undefined, "source");
    const partial = new Incoming(frame, now);
    if (!this.#partials.hasRoom(peer, partial, partial.bytes)) return undefined;
    this.#partials.keep(peer, partial);
    if (isOrdered(frame)) peer.ordering?.began(frame.channel, frame.id);
    peer.alarm ??= new Alarm(this.#host.clock, () => this.#wake(peer));
    peer.alarm.setEarlier(Math.min(endAt(partial, this.#limits), repeatAt(partial)));
    return partial;
  }

  /**
   * The sender of a message has a new port or address, because a NAT gave it one: its message moves along. Nobody else knows the id
   * and the CRC.
   */
  #move(peer: Peer, frame: Readonly<Frame>): Incoming | undefined {
    const owner = this.#partials.ownerOf(frame);
    const partial = owner?.partials.get(partialKey(frame));
    if (!owner || !partial || owner === peer) return undefined;
    const { id, crc } = partial.frame;
    if (id !== frame.id || crc !== frame.crc || !belongs(frame, partial.frame)) return undefined;
    if (peer.partials.size >= this.#limits.maxPartials) this.#partials.loseOldest(peer, undefined, "source");
    this.#partials.remove(owner, partial);
    if (!this.#partials.hasRoom(peer, partial, partial.bytes)) {
      this.#partials.tellLost(peer, partial, "memory");
      return undefined;
    }
    this.#partials.keep(peer, partial);
    this.#watch(peer, partial.lastAt);
    return partial;
  }

  #wake(peer: Peer): void {
    const now = this.#host.clock.now();
    for (const partial of peer.partials.values()) {
      const cause = endOf(partial, this.#limits, now);
      if (cause) this.#partials.lose(peer, partial, cause);
      // The same sum as in `#watch`: another one may be rounded to another number, and the alarm would ring without an end.
      else if (partial.unreported > 0 && partial.unreportedAt + reportMs <= now)
        this.#reports.add(partial, peer);
      else if (repeatAt(partial) <= now) {
        partial.repeats++;
        this.#reports.add(partial, peer);
      }
    }
    if (peer.ordering) {
      this.#partials.passOrdered(peer, peer.ordering.release(this.#limits.idleMs, isArriving(peer), now));
    }
    this.flush(now);
    this.#watch(peer, now);
  }

  /** Sets the alarm of a peer. */
  #watch(peer: Peer, now: number): void {
    const { idleMs } = this.#limits;
    let at = peer.ordering?.releaseAt(idleMs, isArriving(peer)) ?? Infinity;
    for (const partial of peer.partials.values()) {
      at = Math.min(at, endAt(partial, this.#limits), repeatAt(partial));
      if (partial.unreported > 0) at = Math.min(at, partial.unreportedAt + reportMs);
    }
    if (at === Infinity) return;
    peer.alarm ??= new Alarm(this.#host.clock, () => this.#wake(peer));
    peer.alarm.set(Math.max(at, now));
  }
}
