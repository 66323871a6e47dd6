import type { Endpoint } from "../core/address/address.js";
import { assert } from "../core/assert.js";
import { OSError } from "../core/errors/errors.js";
import { type Frame, frameOverheadBytes, frameKind } from "../wire/message-frame.js";
import type { Report } from "../wire/message-report.js";
import { Alarm } from "./alarm.js";
import { Arena } from "./arena.js";
import { datagramBytes, parityDatagram, writeChunk } from "./chunk-datagrams.js";
import { Congestion } from "./congestion.js";
import { Delivered, partialKey } from "./delivered.js";
import type { Job, Outcome, SenderHost, SenderLimits } from "./job.js";
import type { Outgoing } from "./outgoing.js";
import { Pacer } from "./pacer.js";

/** Messages to one peer that are sent at a time. A receiver keeps 8. */
const maxActive = 6;
/** Bytes of these messages; one message may be longer. A receiver keeps 2 MiB of a source. */
const maxActiveBytes = 3 << 19;
/** Chunks that leave in one call, and bytes of their datagrams: one segmented send. */
const maxBurst = 64;
const maxBurstBytes = 65_507;
/** Calls that may wait for the socket. */
const maxCalls = 2;
/** At least every so many chunks, a report is asked for. */
const reportEvery = 64;
/** The share of the messages that may fail to arrive because all copies of a chunk are lost. */
const tolerated = 0.02;
const maxCopies = 3;
/** Missing chunks of a message up to which each is sent several times. */
const maxTail = 32;
/** The longest wait between two probes. */
const maxProbeMs = 2000;
/** Unanswered probes after which the window is halved. */
const stalledProbes = 2;
/**
 * Chunks of fleeting messages that leave before the first report, as Chromium's QUIC does. A lost report would hold up the rest of
 * a picture for a second.
 */
const firstFleeting = 32;
/** How long such a chunk counts as under way without a report, in milliseconds. */
const firstFleetingMs = 100;
/** How long messages without a report are remembered, in milliseconds, and how many of them. */
const keepMs = 30_000;
const maxUnreported = 4096;
/** Bytes of the IP and UDP headers of a datagram, for `rateBps`. */
const packetBytes = 28;

/** Sends messages to one peer, within its window and at its pace. */
export class Sender {
  readonly congestion: Congestion;
  /** Chunks that the peer takes before its next report. */
  credit: number = Number.POSITIVE_INFINITY;
  /** Chunks sent, and those of them that were sent again. */
  sentChunks = 0;
  resentChunks = 0;
  readonly #host: SenderHost;
  readonly #to: Endpoint;
  readonly #limits: SenderLimits;
  readonly #alarm: Alarm;
  readonly #waiting: Job[] = [];
  /** The messages that are being sent, the oldest first. */
  readonly #active: Job[] = [];
  /** Messages that ended without a report of the whole message: their chunks may still be sent back. */
  #unreported: Delivered | undefined;
  #calls = 0;
  /** Memory for bursts that no call uses. */
  readonly #arenas: Arena[] = [];
  #sinceReport = 0;
  readonly #pacer = new Pacer();

  constructor(host: SenderHost, to: Endpoint, limits: SenderLimits) {
    this.#host = host;
    this.#to = to;
    this.#limits = limits;
    this.congestion = new Congestion(limits.windowChunks);
    this.#alarm = new Alarm(host.clock, () => this.#wake());
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#active.length === 0;
  }

  /** The messages that are not sent to the end. */
  get pending(): number {
    return this.#waiting.length + this.#active.length;
  }

  /** Adds a message. */
  add(job: Job): void {
    if (job.outgoing.fleeting) this.#supersede(job.outgoing.frame);
    this.#waiting.push(job);
    this.#pump();
  }

  /** Ends a message, if it has not ended. */
  withdraw(job: Job, outcome: Outcome): void {
    this.#settle(job, outcome);
    this.#remove(job);
    this.#pump();
  }

  /** Ends all messages. */
  close(outcome: Outcome): void {
    this.#alarm.close();
    for (const job of [...this.#active, ...this.#waiting]) {
      this.#settle(job, outcome);
      job.outgoing.abandon(this.congestion);
    }
    this.#active.length = this.#waiting.length = 0;
  }

  /** A report of the peer. Returns `false` if it is about no message that is being sent. */
  reported(frame: Readonly<Frame>, report: Readonly<Report>): boolean {
    const job = this.#find(frame);
    if (!job) return false;
    const { outgoing } = job;
    if (frame.index > outgoing.sentChunks || report.upto > outgoing.sentChunks) return false;
    const now = this.#host.clock.now();
    this.credit = report.credit;
    const { complete, isNew } = outgoing.reported(frame, report, this.congestion, now);
    if (outgoing.ackedChunks > outgoing.mostAcked) {
      outgoing.mostAcked = outgoing.ackedChunks;
      outgoing.progressAt = now;
    }
    if (isNew) {
      outgoing.probes = 0;
      outgoing.probeAt = now + this.congestion.probeMs;
    }
    if (complete) {
      this.#settle(job, "complete");
      this.#remove(job, true);
    }
    this.#pump();
    return true;
  }

  /** The peer refused a message, because it is longer than it takes. Returns `false` if there is no such message. */
  refused(frame: Readonly<Frame>, error: (limit: number) => Error, limit: number): boolean {
    const job = this.#find(frame);
    if (job) this.withdraw(job, error(limit));
    return job !== undefined;
  }

  /**
   * Whether a chunk that came from the peer is one that was sent to it. Then the peer sends all datagrams back, and the message of
   * the chunk fails. Messages of the peer itself have other ids, because ids begin at random.
   */
  returned(frame: Readonly<Frame>): boolean {
    const kind = frame.kind === frameKind.parity ? frameKind.data : frame.kind;
    const job = this.#active.find(
      ({ outgoing }) => outgoing.frame.kind === kind && isSame(outgoing.frame, frame),
    );
    if (job) {
      const text = "the peer sends all datagrams back, and does not read messages";
      this.withdraw(job, new OSError("EPROTONOSUPPORT", { text }));
      return true;
    }
    if (!this.#unreported || kind === frameKind.reply) return false;
    return this.#unreported.has(partialKey(frame), frame.crc, this.#host.clock.now());
  }

  /** The address of the peer is proven, or a limit has changed. */
  resume(): void {
    this.#pump();
  }

  #find(frame: Readonly<Frame>): Job | undefined {
    return this.#active.find(({ outgoing }) => isSame(outgoing.frame, frame));
  }

  #supersede({ channel }: Frame): void {
    for (const job of [...this.#active, ...this.#waiting]) {
      const { outgoing } = job;
      if (!outgoing.fleeting || outgoing.frame.channel !== channel || job.isSettled) continue;
      this.#settle(job, "superseded");
      this.#remove(job);
    }
  }

  #wake(): void {
    const now = this.#host.clock.now();
    for (const job of [...this.#active, ...this.#waiting]) {
      const { outgoing } = job;
      if (now >= job.deadline) this.#expire(job, "expired");
      else if (now >= this.#giveUpAt(outgoing)) this.#expire(job, "silent");
      else if (outgoing.probeAt <= now) this.#probe(job, now);
    }
    this.#pump();
  }

  #expire(job: Job, outcome: Outcome): void {
    this.#settle(job, outcome);
    this.#remove(job);
  }

  /**
   * When a message fails because it makes no progress. A message that waits for the chunks of others does not fail, but a reply
   * waits for the proof of an address.
   */
  #giveUpAt({ fleeting, frame, sentChunks, progressAt }: Outgoing): number {
    const isWaiting = sentChunks === 0 && frame.kind !== frameKind.reply;
    return fleeting || isWaiting ? Infinity : progressAt + this.#limits.giveUpMs;
  }

  /** No report came for a while: sends chunks that ask for one. */
  #probe(job: Job, now: number): void {
    const { outgoing } = job;
    const { congestion } = this;
    if (outgoing.fleeting) {
      const waitMs = this.#probeMs(outgoing);
      outgoing.expire(congestion, waitMs, now);
      if (outgoing.allSent) this.#remove(job);
      else outgoing.probeAt = now + waitMs;
      return;
    }
    outgoing.probes++;
    if (outgoing.probes === stalledProbes) congestion.stalled(now);
    const wait = Math.min(
      congestion.probeMs * 2 ** outgoing.probes,
      Math.max(maxProbeMs, congestion.probeMs),
    );
    outgoing.probeAt = now + wait;
    const copies = 1 + this.#extraCopies();
    const missing = outgoing.missing(copies).filter((index) => this.#mayLeave(outgoing, index));
    if (missing.length === 0) return;
    const payloads = missing.map((index, at) => {
      const datagram = new Uint8Array(datagramBytes(outgoing.frame, index));
      this.#write(outgoing, index, at === missing.length - 1, now, datagram);
      return datagram;
    });
    for (let copy = missing.length; copy < copies; copy++) payloads.push(...payloads.slice(-1));
    this.#countCopies(outgoing, payloads.length - missing.length);
    this.#send(payloads, outgoing);
  }

  /** How long to wait for the first report. Nothing of a fleeting message is sent again, so a short wait does no harm. */
  #probeMs({ fleeting }: Outgoing): number {
    const { srttMs, probeMs } = this.congestion;
    return fleeting && srttMs === undefined ? firstFleetingMs : probeMs;
  }

  /** Sends what may leave now. */
  #pump(): void {
    const now = this.#host.clock.now();
    this.#start(now);
    this.#pacer.refill(this.#pace, now);
    while (this.#calls < maxCalls && this.#burst(now));
    this.#setAlarm(now);
  }

  /** Moves messages from those that wait to those that are sent. */
  #start(now: number): void {
    let unsettled = 0;
    let bytes = 0;
    for (const { outgoing, isSettled } of this.#active) {
      if (isSettled) continue;
      unsettled++;
      bytes += outgoing.frame.length;
    }
    for (let at = 0; at < this.#waiting.length && unsettled < maxActive;) {
      const job = this.#waiting[at] as Job;
      const { length } = job.outgoing.frame;
      if (bytes > 0 && bytes + length > maxActiveBytes) return;
      if (job.mayStart?.() === false) {
        at++;
        continue;
      }
      this.#waiting.splice(at, 1);
      this.#active.push(job);
      unsettled++;
      bytes += length;
      job.outgoing.progressAt = now;
      job.outgoing.probeAt = now + this.#probeMs(job.outgoing);
      job.started?.();
    }
  }

  /** Sends chunks of one message. Returns whether there may be more to send. */
  #burst(now: number): boolean {
    const job =
      this.#active.find(({ outgoing }) => outgoing.hasLost) ??
      this.#active.find(({ outgoing, isSettled }) => !isSettled && !outgoing.allSent);
    if (!job) return false;
    const { outgoing } = job;
    const { congestion } = this;
    const isFirst = outgoing.fleeting && congestion.srttMs === undefined;
    const window = Math.max(1, Math.min(isFirst ? firstFleeting : congestion.window, this.credit));
    const stride = outgoing.frame.size + frameOverheadBytes;
    const room = Math.min(
      maxBurst,
      Math.max(1, Math.floor(maxBurstBytes / stride)),
      Math.ceil(window - congestion.inFlight),
      Math.floor(this.#pacer.tokens),
    );
    if (room <= 0) {
      if (congestion.inFlight >= window) congestion.limited();
      return false;
    }
    const payloads: Uint8Array[] = [];
    const arena = this.#arena(stride, Math.min(room, outgoing.chunks));
    const every = Math.max(1, Math.min(reportEvery, Math.floor(window / 4)));
    const resent: number[] = [];
    while (payloads.length < room) {
      const index = outgoing.next();
      if (index < 0) break;
      const isAgain = index < outgoing.sentChunks;
      const isLast = !outgoing.hasLost && outgoing.sentChunks + 1 >= outgoing.chunks && !isAgain;
      const fills = congestion.inFlight + 1 >= window;
      const isNow = isAgain || isLast || fills || ++this.#sinceReport >= every;
      if (!this.#mayLeave(outgoing, index)) {
        if (payloads.length > 0) break;
        this.#arenas.push(arena);
        return false;
      }
      if (isNow) this.#sinceReport = 0;
      const datagram = arena.datagram(payloads.length, datagramBytes(outgoing.frame, index));
      this.#write(outgoing, index, isNow, now, datagram);
      payloads.push(datagram);
      if (isAgain || isLast) resent.push(payloads.length - 1);
    }
    if (outgoing.sentChunks === outgoing.chunks) {
      while (outgoing.sentParities < outgoing.parity)
        payloads.push(
          parityDatagram(outgoing.frame, outgoing.data, outgoing.sentParities++, outgoing.parity),
        );
      this.#addCopies(outgoing, payloads, resent);
      if (outgoing.fleeting) this.#settle(job, "sent");
    }
    this.#pacer.take(payloads.length);
    this.#send(payloads, outgoing, arena);
    return true;
  }

  /** Memory for so many datagrams or more, which no call uses. */
  #arena(bytesEach: number, datagrams: number): Arena {
    const last = this.#arenas.pop();
    if (last?.datagramBytes === bytesEach && last.datagrams >= datagrams) return last;
    return new Arena(bytesEach, datagrams);
  }

  /** At the end of a message, a repair that is lost costs a round trip: on a bad path, each is sent several times. */
  #addCopies(outgoing: Outgoing, payloads: Uint8Array[], of: readonly number[]): void {
    if (outgoing.fleeting || of.length > maxTail) return;
    const extra = this.#extraCopies();
    const originals = of.map((at) => payloads[at] as Uint8Array);
    for (let copy = 0; copy < extra; copy++) payloads.push(...originals);
    this.#countCopies(outgoing, extra * originals.length);
  }

  #countCopies(outgoing: Outgoing, copies: number): void {
    outgoing.resent += copies;
    this.sentChunks += copies;
    this.resentChunks += copies;
  }

  /** How often to repeat a chunk, so that hardly ever all copies are lost. */
  #extraCopies(): number {
    const { lossRatio } = this.congestion;
    if (lossRatio < 0.04) return 0;
    return Math.min(maxCopies, Math.ceil(Math.log(tolerated) / Math.log(lossRatio)) - 1);
  }

  /** Writes the datagram of a chunk, and counts it as sent. */
  #write(outgoing: Outgoing, index: number, isNow: boolean, now: number, datagram: Uint8Array): void {
    const attempt = outgoing.fleeting ? outgoing.frame.attempt : outgoing.attemptOf(index);
    writeChunk(outgoing, index, attempt, isNow, datagram);
    this.sentChunks++;
    if (outgoing.sentChunks === 0) outgoing.progressAt = now;
    if (index < outgoing.sentChunks) this.resentChunks++;
    outgoing.sent(index, this.congestion, now);
  }

  #mayLeave({ frame }: Outgoing, index: number): boolean {
    return frame.kind !== frameKind.reply || this.#host.mayReply(datagramBytes(frame, index));
  }

  /** @param arena the memory of the payloads, which later bursts may use after the call. */
  #send(payloads: readonly Uint8Array[], outgoing: Outgoing, arena?: Arena): void {
    assert(payloads.length > 0, "a burst has chunks");
    this.#calls++;
    this.#host.transmit(payloads, this.#to, outgoing.route).then(
      () => this.#left(arena),
      (error: unknown) => {
        const job = this.#active.find((each) => each.outgoing === outgoing);
        if (job && error instanceof Error) this.#expire(job, error);
        this.#left(arena);
      },
    );
  }

  #left(arena?: Arena): void {
    if (arena && this.#arenas.length < maxCalls && !this.isIdle) this.#arenas.push(arena);
    if (this.#calls-- === maxCalls) this.#pump();
  }

  get #pace(): number {
    const { rateBps } = this.#limits;
    const own = Pacer.kept(this.congestion.pace);
    if (rateBps === Infinity) return own;
    const size = this.#active[0]?.outgoing.frame.size ?? 1200;
    return Math.min(own, rateBps / 8000 / (size + frameOverheadBytes + packetBytes));
  }

  #setAlarm(now: number): void {
    let at = Infinity;
    for (const { outgoing, deadline } of this.#active)
      at = Math.min(at, outgoing.probeAt, deadline, this.#giveUpAt(outgoing));
    for (const { deadline } of this.#waiting) at = Math.min(at, deadline);
    const paced = this.#pacer.tokens < 1 && this.#active.some(({ outgoing }) => outgoing.next() >= 0);
    if (paced) at = Math.min(at, now + this.#pacer.waitMs(this.#pace));
    this.#alarm.set(at);
  }

  #settle(job: Job, outcome: Outcome): void {
    if (job.isSettled) return;
    job.isSettled = true;
    job.ended(outcome);
  }

  /** @param isReported whether the peer has reported the whole message. */
  #remove(job: Job, isReported = false): void {
    for (const list of [this.#active, this.#waiting]) {
      const at = list.indexOf(job);
      if (at < 0) continue;
      list.splice(at, 1);
      job.outgoing.abandon(this.congestion);
    }
    const { sentChunks, frame } = job.outgoing;
    if (!isReported && sentChunks > 0 && frame.kind !== frameKind.reply) {
      const now = this.#host.clock.now();
      this.#unreported ??= new Delivered(now, keepMs, maxUnreported);
      this.#unreported.add(partialKey(frame), frame.crc, now);
    }
    // A program may have many peers that are idle.
    if (this.isIdle) this.#arenas.length = 0;
  }
}

/** Whether two headers belong to the same message. */
function isSame(one: Readonly<Frame>, other: Readonly<Frame>): boolean {
  return (
    one.id === other.id &&
    one.crc === other.crc &&
    one.length === other.length &&
    one.size === other.size &&
    one.channel === other.channel
  );
}
