import type { Endpoint } from "../core/address/address.js";
import { assert } from "../core/assert.js";
import { OSError } from "../core/errors/errors.js";
import { type Frame, frameOverheadBytes, frameKind } from "../wire/message-frame.js";
import type { Report } from "../wire/message-report.js";
import { Alarm } from "./alarm.js";
import type { Burst } from "./burst.js";
import { Bursts } from "./bursts.js";
import { ChunkSize, isDivisible, safeChunkBytes } from "./chunk-size.js";
import { Congestion } from "./congestion.js";
import { extraCopies, maxCopies } from "./copies.js";
import { goneError } from "./gone.js";
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
  readonly #bursts: Bursts;
  readonly #pacer = new Pacer();
  /** When a message made progress. */
  #progressAt = Number.NEGATIVE_INFINITY;

  constructor(host: SenderHost, to: Endpoint, limits: SenderLimits) {
    this.#host = host;
    this.#to = to;
    this.#limits = limits;
    this.congestion = new Congestion(limits.windowChunks);
    this.#bursts = new Bursts(host, this.congestion, maxCalls);
    this.chunkSize = new ChunkSize(limits.chunkBytes);
    this.#alarm = new Alarm(host.clock, () => this.#wake());
  }

  /** The sending of a message begins. */
  readonly #begin = (job: Job): void => {
    const now = this.#host.clock.now();
    const size = this.chunkSize.at(now);
    const { outgoing } = job;
    if (outgoing.frame.size > size && isDivisible(outgoing) && !outgoing.isGone)
      job.outgoing = job.divide(size);
    this.#await(job.outgoing, outgoing.progressAt, now);
    job.started?.();
  };

  #await(outgoing: Outgoing, progressAt: number, now: number): void {
    outgoing.progressAt = progressAt;
    outgoing.probeAt = now + this.congestion.firstProbeMs(outgoing.fleeting);
  }

  get isIdle(): boolean {
    return this.#jobs.size === 0;
  }

  /** The messages that are not sent to the end. */
  get pending(): number {
    return this.#jobs.size;
  }

  /** Chunks sent. */
  get sentChunks(): number {
    return this.#bursts.sentChunks;
  }

  /** Those of them that were sent again. */
  get resentChunks(): number {
    return this.#bursts.resentChunks;
  }

  /** Adds a message. */
  add(job: Job): void {
    if (job.outgoing.fleeting) this.#supersede(job.outgoing.frame);
    job.outgoing.progressAt = this.#host.clock.now();
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

  /** A report of the peer. Returns the kind of its message; `undefined` if it is about no message that is being sent. */
  reported(frame: Readonly<Frame>, report: Readonly<Report>): number | undefined {
    const job = this.#jobs.find(frame);
    if (!job) return undefined;
    const { outgoing } = job;
    const { fullAcked } = outgoing;
    if (frame.index > outgoing.sentChunks || report.upto > outgoing.sentChunks) return undefined;
    const now = this.#host.clock.now();
    this.credit = report.credit;
    const { complete, isNew } = outgoing.reported(frame, report, this.congestion, now);
    if (outgoing.frame.size > safeChunkBytes && outgoing.fullAcked > fullAcked)
      this.chunkSize.reported(outgoing.fullAcked - fullAcked);
    if (outgoing.ackedChunks > outgoing.mostAcked) {
      outgoing.mostAcked = outgoing.ackedChunks;
      outgoing.progressAt = this.#progressAt = now;
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
    return outgoing.frame.kind;
  }

  /** The peer refused a message, because it is longer than it takes. Returns its kind; `undefined` if there is no such message. */
  refused(frame: Readonly<Frame>, error: (message: Readonly<Frame>) => Error): number | undefined {
    const job = this.#jobs.find(frame);
    if (job) this.withdraw(job, error(job.outgoing.frame));
    return job?.outgoing.frame.kind;
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
      else if (now >= outgoing.giveUpAt(this.#limits.giveUpMs, this.#progressAt)) this.#expire(job, "silent");
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
    if (maySplit && this.#bursts.mayLeave(outgoing.frame, frameOverheadBytes)) {
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
    const burst = outgoing.isGone ? undefined : this.#bursts.missing(outgoing, datagrams, now);
    if (burst) this.#send(burst, outgoing);
    return burst !== undefined;
  }

  /**
   * The path does not carry chunks above 1,200 bytes: divides the messages under way into smaller chunks. Their ids stay, so a
   * message that had arrived in large chunks after all is not delivered again, and an ordered one keeps its place.
   */
  #divide(now: number): void {
    this.chunkSize.fall(now);
    for (const job of this.#jobs.active) {
      const { outgoing, isSettled } = job;
      if (isSettled || outgoing.isGone || !isDivisible(outgoing)) continue;
      outgoing.abandon(this.congestion);
      job.outgoing = job.divide(safeChunkBytes);
      job.outgoing.frame.id = outgoing.frame.id;
      this.#await(job.outgoing, now, now);
    }
  }

  /** Sends what may leave now. */
  #pump(): void {
    const now = this.#host.clock.now();
    this.#jobs.start(this.#begin);
    for (let gone; (gone = this.#jobs.gone);) {
      this.#expire(gone, goneError());
      this.#jobs.start(this.#begin);
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
    const burst = this.#bursts.next(outgoing, room, window, now);
    if (!burst) return false;
    if (outgoing.fleeting && outgoing.sentChunks === outgoing.chunks) this.#settle(job, "sent");
    this.#pacer.take(burst.datagrams);
    this.#send(burst, outgoing);
    return true;
  }

  #send(burst: Burst, outgoing: Outgoing): void {
    assert(burst.datagrams > 0, "a burst has datagrams");
    this.#calls++;
    this.#host.transmit(burst.end(), this.#to, outgoing.route).then(
      () => {
        this.#hasSent = true;
        if (!this.isIdle) this.#bursts.left(burst);
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
    const { giveUpMs } = this.#limits;
    for (const { outgoing, deadline } of this.#jobs.active)
      at = Math.min(at, outgoing.probeAt, deadline, outgoing.giveUpAt(giveUpMs, this.#progressAt));
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
    if (this.isIdle) this.#bursts.clear();
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof OSError && error.code === "EMSGSIZE";
}
