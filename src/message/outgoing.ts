import type { Ancillary } from "../core/driver/ancillary.js";
import type { Crc32 } from "../core/driver/driver.js";
import { crcShift, joinCrcs, joinCrcsOnce, knownCrcShift } from "../wire/crc32.js";
import { sizeOf } from "../core/driver/payload.js";
import type { ChunkHeader } from "../wire/chunk-header.js";
import type { Frame } from "../wire/message-frame.js";
import { chunkBytes, chunksOf, frameFlag, frameKind, isFleeting } from "../wire/message-frame.js";
import { type Report, noEcho } from "../wire/message-report.js";
import type { Congestion, Departure } from "./congestion.js";
import { zlibCrc32 } from "./crc32.js";

/** The state of a chunk. */
const unsent = 0;
const underWay = 1;
const arrived = 2;
const lost = 3;

/** Bytes of what is kept of each chunk in numbers. */
const stateBytes = 18;
/** Chunks from which on the shift of their size is worth making. */
const shiftChunks = 8;
/** Chunks that may overtake another before it counts as lost, until the path is seen to reorder: RFC 9002, section 6.1.1. */
const maxOvertakes = 3;

/** What a report meant for a message. */
export interface Progress {
  /** Chunks that were reported for the first time. */
  acked: number;
  /** The peer has all chunks. */
  complete: boolean;
  /** The report says something new. */
  isNew: boolean;
}

/** One message that is being sent: which chunks left when, and which of them arrived. */
export class Outgoing {
  /** The header of its chunks. `index`, `attempt` and the flag `now` are set for each chunk. */
  readonly frame: Frame;
  readonly data: Uint8Array;
  readonly chunks: number;
  readonly parity: number;
  readonly fleeting: boolean;
  /** The route of its datagrams; `undefined` leaves it to the kernel. */
  readonly route: Ancillary | undefined;
  /** Chunks that the peer has. */
  ackedChunks = 0;
  /** Chunks that were sent at least once. */
  sentChunks = 0;
  /** Times that a chunk was sent again. */
  resent = 0;
  /** Parities that were sent. */
  sentParities = 0;
  /** When the next probe is due, and how many were sent since the last progress. */
  probeAt: number = Number.POSITIVE_INFINITY;
  probes = 0;
  /** Counts of `ChunkSize` before these probes. */
  reportedBefore = 0;
  answersBefore = 0;
  /**
   * The largest number of chunks that the peer had, and when it was reached; at first, when the first chunk left, and before that, when
   * the message was added. A peer that loses its memory again and again makes no progress.
   */
  mostAcked = 0;
  progressAt = 0;
  /** Chunks of this message that are under way. */
  inFlight = 0;
  /** The CRC of each chunk. */
  readonly crcs: Int32Array;
  header: ChunkHeader | undefined;
  readonly #state: Uint8Array;
  readonly #attempts: Uint8Array;
  readonly #departures: (Departure | undefined)[];
  /** For each chunk the number of its last transmission. */
  readonly #numbers: Uint32Array;
  #transmissions = 0;
  /** The transmissions in their order: chunk and number, from `#logStart` to `#logEnd`. */
  #log: Uint32Array;
  #logStart = 0;
  #logEnd = 0;
  /** Chunks to send again, from `#lostStart` on. */
  readonly #lost: number[] = [];
  #lostStart = 0;
  /** All chunks below this one have arrived. */
  #firstMissing = 0;
  /** When the newest of the echoed transmissions was sent. */
  #echoedAt = -Infinity;

  /** @param header without the CRC, which this computes. */
  constructor(
    header: Omit<Frame, "crc">,
    data: Uint8Array,
    parity: number,
    route?: Ancillary,
    crc32: Crc32 = zlibCrc32,
  ) {
    const { kind, flags, channel, attempt, id, index, size, length } = header;
    const chunks = (this.chunks = chunksOf(length, size));
    // Parts of one piece of memory: each piece costs as much as sending several chunks.
    const memory = new ArrayBuffer(chunks * stateBytes);
    this.crcs = new Int32Array(memory, 0, chunks);
    this.#numbers = new Uint32Array(memory, 4 * chunks, chunks);
    this.#log = new Uint32Array(memory, 8 * chunks, 2 * chunks);
    this.#state = new Uint8Array(memory, 16 * chunks, chunks);
    this.#attempts = new Uint8Array(memory, 17 * chunks, chunks);
    this.#departures = new Array<Departure | undefined>(chunks);
    crc32.ofPieces(data, size, this.crcs);
    const crc = crcOfMessage(header, this.crcs);
    // One object literal: V8 gives all frames one shape.
    this.frame = { kind, flags, channel, attempt, id, index, size, length, crc };
    this.data = data;
    this.parity = parity;
    this.route = route;
    this.fleeting = isFleeting(header);
  }

  /** Whether the program has resized the memory of the message, or transferred it to another thread. */
  get isGone(): boolean {
    return sizeOf(this.data) !== this.frame.length;
  }

  /** Whether each chunk and each parity was sent at least once. */
  get allSent(): boolean {
    return this.sentChunks === this.chunks && this.sentParities === this.parity;
  }

  /** Chunks that the peer has, without a last chunk that is shorter than the others. */
  get fullAcked(): number {
    const last = this.chunks - 1;
    const isShort = chunkBytes(this.frame, last) < this.frame.size;
    return this.ackedChunks - (isShort && this.#state[last] === arrived ? 1 : 0);
  }

  get hasLost(): boolean {
    this.#skipFound();
    return this.#lostStart < this.#lost.length;
  }

  /**
   * When the message fails because it makes no progress. A message that waits for the chunks of others does not fail. But a reply does
   * if none of them makes progress: a peer that is gone, or that does not prove its address, has it kept no longer.
   *
   * @param othersAt when a message to the peer made progress.
   */
  giveUpAt(giveUpMs: number, othersAt: number): number {
    if (this.fleeting) return Infinity;
    if (this.sentChunks > 0) return this.progressAt + giveUpMs;
    return this.frame.kind === frameKind.reply ? Math.max(this.progressAt, othersAt) + giveUpMs : Infinity;
  }

  /** Returns the chunk to send next: one that was lost, else a new one; −1 if there is none. */
  next(): number {
    if (this.hasLost) return this.#lost[this.#lostStart] as number;
    return this.sentChunks < this.chunks ? this.sentChunks : -1;
  }

  /** When a chunk was sent last; `undefined` if it was not. */
  lastSentAt(index: number): number | undefined {
    return this.#departures[index]?.sentAt;
  }

  /** The attempt that the next transmission of a chunk has in its header. */
  attemptOf(index: number): number {
    return this.#state[index] === unsent ? 0 : ((this.#attempts[index] as number) + 1) & 0xff;
  }

  /** A chunk leaves. */
  sent(index: number, congestion: Congestion, now: number): void {
    const state = this.#state[index];
    if (state === unsent) this.sentChunks++;
    else {
      this.#attempts[index] = this.attemptOf(index);
      this.resent++;
      // A probe: the transmission before this one no longer counts.
      if (state === underWay) this.#landed(congestion);
      if (state === arrived) {
        this.ackedChunks--;
        this.#firstMissing = Math.min(this.#firstMissing, index);
      }
    }
    this.#state[index] = underWay;
    this.inFlight++;
    this.#departures[index] = congestion.sent(now);
    this.#numbers[index] = ++this.#transmissions;
    this.#makeRoom(1);
    this.#log[this.#logEnd++] = index;
    this.#log[this.#logEnd++] = this.#transmissions;
  }

  /** The next `chunks` new chunks leave. */
  sentNew(chunks: number, congestion: Congestion, now: number): void {
    const first = this.sentChunks;
    const end = first + chunks;
    this.sentChunks = end;
    this.inFlight += chunks;
    this.#state.fill(underWay, first, end);
    this.#departures.fill(congestion.sent(now, chunks), first, end);
    this.#makeRoom(chunks);
    const [numbers, log] = [this.#numbers, this.#log];
    let [number, at] = [this.#transmissions, this.#logEnd];
    for (let index = first; index < end; index++) {
      numbers[index] = ++number;
      log[at] = index;
      log[at + 1] = number;
      at += 2;
    }
    this.#transmissions = number;
    this.#logEnd = at;
  }

  /**
   * Up to `max` chunks that were sent and not reported, the lowest first. If all were, the last one: a report that was
   * corrupted may have said too much, and only the report of the whole message ends it.
   */
  missing(max: number): number[] {
    const found: number[] = [];
    for (let index = this.#firstMissing; index < this.sentChunks && found.length < max; index++) {
      if (this.#state[index] !== arrived) found.push(index);
    }
    return found.length === 0 && this.sentChunks === this.chunks ? [this.chunks - 1] : found;
  }

  /** Applies a report, whose header and body were checked, and tells `congestion` what it means. */
  reported(frame: Readonly<Frame>, report: Readonly<Report>, congestion: Congestion, now: number): Progress {
    const { echo } = report;
    const known = echo !== noEcho && this.#state[echo] !== unsent ? this.#departures[echo] : undefined;
    const exact = known !== undefined && (this.fleeting || this.#attempts[echo] === frame.attempt);
    // The first transmission arrived after it counted as lost.
    if (known !== undefined && !exact) congestion.reorders = true;
    const isNewest = exact && known.sentAt >= this.#echoedAt;
    if (isNewest && known.sentAt > this.#echoedAt) {
      this.#echoedAt = known.sentAt;
      if (report.delay !== 65_535)
        congestion.measured(Math.max(0, now - known.sentAt - report.delay / 8), now);
    }
    const cut = (frame.flags & frameFlag.now) !== 0;
    const { missing, upto } = report;
    const state = this.#state;
    const departures = this.#departures;
    let newest: Departure | undefined;
    let [acked, landed, forgotten] = [0, 0, 0];
    let at = Math.min(this.#firstMissing, frame.index);
    for (let run = 0; run <= missing.length; run += 2) {
      const start = missing[run] ?? upto;
      for (; at < start; at++) {
        const before = state[at];
        if (before === arrived || before === unsent) continue;
        const departure = departures[at] as Departure;
        if (departure !== newest && (!newest || departure.sentAt > newest.sentAt)) newest = departure;
        if (before === underWay) landed++;
        state[at] = arrived;
        acked++;
      }
      const end = start + (missing[run + 1] ?? 0);
      at = Math.max(at, start);
      if (isNewest) forgotten += this.#forget(at, end);
      at = Math.max(at, end);
    }
    if (!cut && isNewest) forgotten += this.#forget(upto, this.sentChunks);
    this.ackedChunks += acked - forgotten;
    this.#landed(congestion, landed);
    while (this.#firstMissing < this.chunks && this.#state[this.#firstMissing] === arrived)
      this.#firstMissing++;
    const missed = this.#detect(exact ? echo : -1, cut ? report.upto : Infinity, congestion, now);
    congestion.reported(acked, missed.count, newest, missed.newest, now);
    return { acked, complete: frame.index === this.chunks, isNew: acked > 0 || forgotten > 0 };
  }

  /** No report came for `ms`: the chunks that left before that are lost. */
  expire(congestion: Congestion, ms: number, now: number): void {
    const { count, newest } = this.#detect(-1, Infinity, congestion, now, ms);
    congestion.reported(0, count, undefined, newest, now);
  }

  /** Nothing more is awaited: the chunks under way no longer count. */
  abandon(congestion: Congestion): void {
    congestion.inFlight -= this.inFlight;
    this.inFlight = 0;
  }

  /** Finds the chunks that are lost, by the order and the time of their transmissions. */
  #detect(
    echo: number,
    upto: number,
    congestion: Congestion,
    now: number,
    maxAgeMs: number = congestion.probeMs,
  ): { count: number; newest: number } {
    const log = this.#log;
    const tooOld = now - maxAgeMs;
    const echoedAt = echo < 0 ? -Infinity : (this.#departures[echo] as Departure).sentAt;
    const before = Math.max(tooOld, echoedAt - congestion.reorderMs);
    const beforeNumber =
      echo < 0 || congestion.reorders ? -1 : (this.#numbers[echo] as number) - maxOvertakes;
    let count = 0;
    let newest = -Infinity;
    for (; this.#logStart < this.#logEnd; this.#logStart += 2) {
      const index = log[this.#logStart] as number;
      const number = log[this.#logStart + 1] as number;
      if (this.#state[index] !== underWay || this.#numbers[index] !== number) continue;
      const { sentAt } = this.#departures[index] as Departure;
      if (index >= upto || (sentAt > before && number > beforeNumber)) break;
      this.#state[index] = lost;
      this.#landed(congestion);
      if (!this.fleeting) this.#lost.push(index);
      count++;
      newest = Math.max(newest, sentAt);
    }
    return { count, newest };
  }

  /** Makes room for transmissions: the log moves to its start, if enough is free, or into more memory. */
  #makeRoom(transmissions: number): void {
    if (this.#logEnd + 2 * transmissions <= this.#log.length) return;
    const log = this.#log.subarray(this.#logStart, this.#logEnd);
    let { length } = this.#log;
    while (log.length > length / 2 || log.length + 2 * transmissions > length) length *= 2;
    if (length > this.#log.length) this.#log = new Uint32Array(length);
    this.#log.set(log);
    this.#logEnd = log.length;
    this.#logStart = 0;
  }

  #landed(congestion: Congestion, chunks = 1): void {
    this.inFlight -= chunks;
    congestion.inFlight -= chunks;
  }

  /** The peer has lost chunks from `start` on, below `end`, that it had reported. Returns their number. */
  #forget(start: number, end: number): number {
    let forgotten = 0;
    for (let index = start; index < end; index++) {
      if (this.#state[index] !== arrived) continue;
      this.#state[index] = lost;
      if (!this.fleeting) this.#lost.push(index);
      forgotten++;
      this.#firstMissing = Math.min(this.#firstMissing, index);
    }
    return forgotten;
  }

  #skipFound(): void {
    while (this.#lostStart < this.#lost.length && this.#state[this.#lost[this.#lostStart] as number] !== lost)
      this.#lostStart++;
    if (this.#lostStart > 0 && this.#lostStart === this.#lost.length) this.#lost.length = this.#lostStart = 0;
  }
}

/** The CRC of the message, from those of its chunks: without a second look at its bytes. */
function crcOfMessage(frame: Readonly<Pick<Frame, "size" | "length">>, crcs: Int32Array): number {
  const { size } = frame;
  const shift = crcs.length >= shiftChunks ? crcShift(size) : knownCrcShift(size);
  let whole = 0;
  for (let index = 0; index < crcs.length; index++) {
    const bytes = chunkBytes(frame, index);
    const crc = crcs[index] as number;
    whole = bytes === size && shift ? joinCrcs(whole, crc, shift) : joinCrcsOnce(whole, crc, bytes);
  }
  return whole >>> 0;
}
