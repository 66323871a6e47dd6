import type { Endpoint } from "../core/address/address.js";
import { assert } from "../core/assert.js";
import { OSError } from "../core/errors/errors.js";
import { type Frame, frameOverheadBytes, frameKind } from "../wire/message-frame.js";
import type { Report } from "../wire/message-report.js";
import { Alarm } from "./alarm.js";
import { Batches, Burst, datagramBytes } from "./burst.js";
import { ChunkSize, isDivisible, safeChunkBytes } from "./chunk-size.js";
import { Congestion } from "./congestion.js";
import { extraCopies, maxCopies, maxTail, tailCopies } from "./copies.js";
import type { Job, Outcome, SenderHost, SenderLimits } from "./job.js";
import { Jobs } from "./jobs.js";
import type { Outgoing } from "./outgoing.js";
import { Pacer } from "./pacer.js";
import { type Obstacle, obstacleToSend } from "./unreachable.js";
import { Unreported } from "./unreported.js";

/** Chunks that leave in one call, and bytes of their datagrams: one segmented send, which Linux splits if it is longer. */
const maxBurst = 64;
const maxBurstBytes = 65_473;
/** Calls that may wait for the socket. */
const maxCalls = 2;
/** At least every so many chunks, a report is asked for. */
const reportEvery = 64;
/** Unanswered probes after which the window is halved. */
const stalledProbes = 2;
/**
 * Chunks of fleeting messages that leave before the first report, as Chromium's QUIC does. A lost report would hold up the rest of
 * a picture for a second.
 */
const firstFleeting = 32;

/** Sends messages to one peer, within its window and at its pace. */
export class Sender {
  readonly congestion: Congestion;
  readonly chunkSize: ChunkSize;
  /** Chunks that the peer takes before its next report. */
  credit: number = Number.POSITIVE_INFINITY;
  /** Chunks sent, and those of them that were sent again. */
  sentChunks = 0;
  resentChunks = 0;
  /** Why the last datagrams may not have arrived, if something said so. */
  obstacle: Obstacle | undefined;
  readonly #host: SenderHost;
  readonly #to: Endpoint;
  readonly #limits: SenderLimits;
  readonly #alarm: Alarm;
  readonly #jobs = new Jobs();
  readonly #unreported = new Unreported();
  #calls = 0;
  /** Whether a datagram has left. */
  #hasSent = false;
  readonly #batches = new Batches(maxCalls);
  #sinceReport = 0;
  readonly #pacer = new Pacer();

  constructor(host: SenderHost, to: Endpoint, limits: SenderLimits) {
    this.#host = host;
    this.#to = to;
    this.#limits = limits;
    this.congestion = new Congestion(limits.windowChunks);
    this.chunkSize = new ChunkSize(limits.chunkBytes);
    this.#alarm = new Alarm(host.clock, () => this.#wake());
  }

  /** The sending of a message begins. */
  readonly #begin = (job: Job): void => {
    const now = this.#host.clock.now();
    const size = this.chunkSize.at(now);
    if (job.outgoing.frame.size > size && isDivisible(job.outgoing)) job.outgoing = job.divide(size);
    this.#await(job.outgoing, now);
    job.started?.();
  };

  #await(outgoing: Outgoing, now: number): void {
    outgoing.progressAt = now;
    outgoing.probeAt = now + this.congestion.firstProbeMs(outgoing.fleeting);
  }

  get isIdle(): boolean {
    return this.#jobs.size === 0;
  }

  /** The messages that are not sent to the end. */
  get pending(): number {
    return this.#jobs.size;
  }

  /** Adds a message. */
  add(job: Job): void {
    if (job.outgoing.fleeting) this.#supersede(job.outgoing.frame);
    this.#jobs.add(job);
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
    for (const job of this.#jobs) {
      this.#settle(job, outcome);
      job.outgoing.abandon(this.congestion);
    }
    this.#jobs.clear();
  }

  /** A report of the peer. Returns `false` if it is about no message that is being sent. */
  reported(frame: Readonly<Frame>, report: Readonly<Report>): boolean {
    const job = this.#jobs.find(frame);
    if (!job) return false;
    const { outgoing } = job;
    const { fullAcked } = outgoing;
    if (frame.index > outgoing.sentChunks || report.upto > outgoing.sentChunks) return false;
    const now = this.#host.clock.now();
    this.credit = report.credit;
    const { complete, isNew } = outgoing.reported(frame, report, this.congestion, now);
    if (outgoing.frame.size > safeChunkBytes && outgoing.fullAcked > fullAcked)
      this.chunkSize.reported(outgoing.fullAcked - fullAcked);
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
    const job = this.#jobs.find(frame);
    if (job) this.withdraw(job, error(limit));
    return job !== undefined;
  }

  /**
   * Whether a chunk that came from the peer is one that was sent to it. Then the peer sends all datagrams back, and the message of
   * the chunk fails. Messages of the peer itself have other ids, because ids begin at random.
   */
  returned(frame: Readonly<Frame>): boolean {
    const job = this.#jobs.findOfKind(frame.kind, frame);
    if (job) {
      const text = "the peer sends all datagrams back, and does not read messages";
      this.withdraw(job, new OSError("EPROTONOSUPPORT", { text }));
      return true;
    }
    return this.#unreported.has(frame, this.#host.clock.now());
  }

  /** The peer answered a small datagram. If no round trip is known yet, the next probes need not wait for seconds. */
  answered(): void {
    const now = this.#host.clock.now();
    const rttMs = this.chunkSize.answered(now);
    const { congestion } = this;
    if (rttMs === undefined || congestion.srttMs !== undefined) return;
    congestion.measured(rttMs, now);
    for (const { outgoing } of this.#jobs.active)
      outgoing.probeAt = Math.min(outgoing.probeAt, now + congestion.waitMs(outgoing.probes));
    this.#setAlarm(now);
  }

  /**
   * A request came again. If its reply left at least a round trip ago, and the peer has reported nothing of it, its first chunk
   * leaves again: the next probe may be a second away, and the peer may not ask again in time.
   */
  requestedAgain(id: number): void {
    const now = this.#host.clock.now();
    const { srttMs = 0 } = this.congestion;
    const job = this.#jobs.active.find(
      ({ outgoing: { frame, ackedChunks } }) =>
        frame.kind === frameKind.reply && frame.id === id && ackedChunks === 0,
    );
    const sentAt = job?.outgoing.lastSentAt(0);
    if (job && sentAt !== undefined && now - sentAt >= srttMs) this.#sendMissing(job.outgoing, 1, now);
  }

  /** The address of the peer is proven, or a limit has changed. */
  resume(): void {
    this.#pump();
  }

  #supersede({ channel }: Frame): void {
    for (const job of this.#jobs) {
      const { outgoing } = job;
      if (!outgoing.fleeting || outgoing.frame.channel !== channel || job.isSettled) continue;
      this.#settle(job, "superseded");
      this.#remove(job);
    }
  }

  #wake(): void {
    const now = this.#host.clock.now();
    for (const job of this.#jobs) {
      const { outgoing } = job;
      if (now >= job.deadline) this.#expire(job, "expired");
      else if (now >= outgoing.giveUpAt(this.#limits.giveUpMs)) this.#expire(job, "silent");
      else if (outgoing.probeAt <= now) this.#probe(job, now);
    }
    this.#pump();
  }

  #expire(job: Job, outcome: Outcome): void {
    this.#settle(job, outcome);
    this.#remove(job);
  }

  /** No report came for a while: sends chunks that ask for one. */
  #probe(job: Job, now: number): void {
    const { outgoing } = job;
    const { congestion } = this;
    if (outgoing.fleeting) {
      const waitMs = congestion.firstProbeMs(outgoing.fleeting);
      outgoing.expire(congestion, waitMs, now);
      if (outgoing.allSent) this.#remove(job);
      else outgoing.probeAt = now + waitMs;
      if (!isDivisible(outgoing) || outgoing.fullAcked > 0) return;
      if (this.chunkSize.isFleetingBlackHole) {
        this.#blackHole(now);
        return;
      }
      this.chunkSize.asked(now);
      this.#host.ask();
      return;
    }
    outgoing.probes++;
    const maySplit = isDivisible(outgoing);
    if (maySplit && this.chunkSize.isBlackHole(outgoing)) {
      this.#blackHole(now);
      return;
    }
    if (outgoing.probes === stalledProbes) congestion.stalled(now);
    outgoing.probeAt = now + congestion.waitMs(outgoing.probes);
    // Without an answer to the last probe, several datagrams show that they are not lost by chance.
    const extra = outgoing.probes > 1 ? maxCopies : extraCopies(congestion.lossRatio);
    if (!this.#sendMissing(outgoing, 1 + extra, now)) return;
    if (maySplit && this.#mayLeave(outgoing, frameOverheadBytes)) {
      this.chunkSize.asked(now);
      this.#host.ask();
    }
  }

  /** Large chunks vanish on the path. */
  #blackHole(now: number): void {
    this.chunkSize.blackHoles++;
    this.#host.blackHole();
    this.#divide(now);
  }

  /** Sends so many missing chunks, or copies of the last one if fewer are missing. Returns whether any may leave. */
  #sendMissing(outgoing: Outgoing, datagrams: number, now: number): boolean {
    const missing = outgoing
      .missing(datagrams)
      .filter((index) => this.#mayLeave(outgoing, datagramBytes(outgoing.frame, index)));
    if (missing.length === 0) return false;
    const burst = this.#newBurst(outgoing, datagrams);
    missing.forEach((index, at) => this.#write(outgoing, index, at === missing.length - 1, now, burst));
    const last = datagramBytes(outgoing.frame, missing.at(-1) as number);
    let copies = 0;
    for (; burst.datagrams < datagrams && this.#mayLeave(outgoing, last); copies++)
      burst.repeat(missing.length - 1);
    this.#countCopies(outgoing, copies);
    this.#send(burst, outgoing);
    return true;
  }

  /**
   * The path does not carry chunks above 1,200 bytes: divides the messages under way into smaller chunks. Their ids stay, so a
   * message that had arrived in large chunks after all is not delivered again, and an ordered one keeps its place.
   */
  #divide(now: number): void {
    this.chunkSize.fall(now);
    for (const job of this.#jobs.active) {
      const { outgoing, isSettled } = job;
      if (isSettled || !isDivisible(outgoing)) continue;
      outgoing.abandon(this.congestion);
      job.outgoing = job.divide(safeChunkBytes);
      job.outgoing.frame.id = outgoing.frame.id;
      this.#await(job.outgoing, now);
    }
  }

  /** Sends what may leave now. */
  #pump(): void {
    const now = this.#host.clock.now();
    this.#jobs.start(this.#begin);
    for (let gone; (gone = this.#jobs.active.find(({ outgoing }) => outgoing.isGone));) {
      const text = "the message was resized or transferred away before all of it arrived";
      this.#expire(gone, new OSError("EFAULT", { text }));
    }
    this.#pacer.refill(this.#pace, now);
    while (this.#calls < maxCalls && this.#burst(now));
    this.#setAlarm(now);
  }

  /** Sends chunks of one message. Returns whether there may be more to send. */
  #burst(now: number): boolean {
    const job =
      this.#jobs.active.find(({ outgoing }) => outgoing.hasLost) ??
      this.#jobs.active.find(({ outgoing, isSettled }) => !isSettled && !outgoing.allSent);
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
    const burst = this.#newBurst(outgoing, this.#maxDatagrams(outgoing, room));
    const every = Math.max(1, Math.min(reportEvery, Math.floor(window / 4)));
    const resent: number[] = [];
    while (burst.datagrams < room) {
      const index = outgoing.next();
      if (index < 0) break;
      const isAgain = index < outgoing.sentChunks;
      const isLast = !outgoing.hasLost && outgoing.sentChunks + 1 >= outgoing.chunks && !isAgain;
      const fills = congestion.inFlight + 1 >= window;
      const isNow = isAgain || isLast || fills || ++this.#sinceReport >= every;
      if (!this.#mayLeave(outgoing, datagramBytes(outgoing.frame, index))) {
        if (burst.datagrams > 0) break;
        this.#batches.put(burst.batch);
        return false;
      }
      if (isNow) this.#sinceReport = 0;
      if (isAgain || isLast) resent.push(burst.datagrams);
      this.#write(outgoing, index, isNow, now, burst);
    }
    if (outgoing.sentChunks === outgoing.chunks) {
      while (outgoing.sentParities < outgoing.parity) burst.parity(outgoing.sentParities++, outgoing.parity);
      if (outgoing.fleeting) this.#settle(job, "sent");
      else {
        const copies = tailCopies(resent.length, congestion.lossRatio);
        for (let copy = 0; copy < copies; copy++) for (const at of resent) burst.repeat(at);
        this.#countCopies(outgoing, copies * resent.length);
      }
    }
    this.#pacer.take(burst.datagrams);
    this.#send(burst, outgoing);
    return true;
  }

  #newBurst(outgoing: Outgoing, datagrams: number): Burst {
    const { size, length } = outgoing.frame;
    const batch = this.#batches.take(Math.min(size, length) + frameOverheadBytes, datagrams);
    return new Burst(batch, outgoing, this.#host.copyPieces);
  }

  /** The most datagrams of a burst: of so many chunks, and of the parities and the copies after the last one. */
  #maxDatagrams(outgoing: Outgoing, room: number): number {
    const { chunks, sentChunks, parity, sentParities, fleeting } = outgoing;
    if (sentChunks + room < chunks) return room;
    const sent = Math.min(room, chunks);
    if (fleeting) return sent + parity - sentParities;
    return sent + parity - sentParities + Math.min(sent, maxTail) * extraCopies(this.congestion.lossRatio);
  }

  #countCopies(outgoing: Outgoing, copies: number): void {
    outgoing.resent += copies;
    this.sentChunks += copies;
    this.resentChunks += copies;
  }

  /** Writes the datagram of a chunk, and counts it as sent. */
  #write(outgoing: Outgoing, index: number, isNow: boolean, now: number, burst: Burst): void {
    const attempt = outgoing.fleeting ? outgoing.frame.attempt : outgoing.attemptOf(index);
    burst.chunk(index, attempt, isNow);
    this.sentChunks++;
    if (outgoing.sentChunks === 0) outgoing.progressAt = now;
    if (index < outgoing.sentChunks) this.resentChunks++;
    outgoing.sent(index, this.congestion, now);
  }

  #mayLeave({ frame }: Outgoing, bytes: number): boolean {
    return frame.kind !== frameKind.reply || this.#host.mayReply(bytes);
  }

  #send(burst: Burst, outgoing: Outgoing): void {
    assert(burst.datagrams > 0, "a burst has datagrams");
    this.#calls++;
    const batch = burst.end();
    this.#host.transmit(batch, this.#to, outgoing.route).then(
      () => {
        this.#hasSent = true;
        if (!this.isIdle) this.#batches.put(batch);
        this.#left();
      },
      (error: unknown) => {
        this.#failed(error, outgoing);
        this.#left();
      },
    );
  }

  /** A send failed. Without a way to a peer that had one, the chunks count as lost, and probes go on. */
  #failed(error: unknown, outgoing: Outgoing): void {
    const now = this.#host.clock.now();
    const job = this.#jobs.active.find((each) => each.outgoing === outgoing);
    const obstacle = this.#hasSent ? obstacleToSend(error, this.obstacle, now) : undefined;
    if (obstacle) this.obstacle = obstacle;
    else if (job && isTooLarge(error) && isDivisible(outgoing)) {
      this.#divide(now);
      this.#pump();
    } else if (job && error instanceof Error) this.#expire(job, error);
  }

  #left(): void {
    if (this.#calls-- === maxCalls) this.#pump();
  }

  get #pace(): number {
    const size = this.#jobs.active[0]?.outgoing.frame.size ?? safeChunkBytes;
    return Pacer.limited(this.congestion.pace, this.#limits.rateBps, size);
  }

  #setAlarm(now: number): void {
    let at = Infinity;
    for (const { outgoing, deadline } of this.#jobs.active)
      at = Math.min(at, outgoing.probeAt, deadline, outgoing.giveUpAt(this.#limits.giveUpMs));
    for (const { deadline } of this.#jobs.waiting) at = Math.min(at, deadline);
    const paced = this.#pacer.tokens < 1 && this.#jobs.active.some(({ outgoing }) => outgoing.next() >= 0);
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
    if (this.#jobs.remove(job)) job.outgoing.abandon(this.congestion);
    const { sentChunks, frame } = job.outgoing;
    if (!isReported && sentChunks > 0) this.#unreported.add(frame, this.#host.clock.now());
    // A program may have many peers that are idle.
    if (this.isIdle) this.#batches.clear();
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof OSError && error.code === "EMSGSIZE";
}
