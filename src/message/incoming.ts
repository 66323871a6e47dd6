import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import { assert } from "../core/assert.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import type { TakeChunks } from "../core/driver/driver.js";
import { copyTo } from "../core/driver/payload.js";
import { type CrcShift, crcShift, joinCrcs, joinCrcsOnce, knownCrcShift } from "../wire/crc32.js";
import {
  type Frame,
  chunkBytes,
  chunksOf,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  isFleeting,
  writeFrame,
} from "../wire/message-frame.js";
import type { SpareMemory } from "./spare-memory.js";
import { delayOf, maxRunsIn, noEcho, type Report, unknownDelay } from "../wire/message-report.js";
import { xorInto } from "./xor.js";

/** Bytes of memory that is reserved at a time. */
const slabBytes = 1 << 16;
/** Chunks from which on the shift of their size is worth making. */
const shiftChunks = 8;
/** Bytes of the largest report. */
const maxReportBytes = 1200;
const maxRuns = maxRunsIn(maxReportBytes);
/** Bytes that a message takes beside its content, about. */
export const messageBytes = 256;

/** The places of the numbers that `TakeChunks` reads and writes, behind the header; and how many numbers there are. */
const [seriesCrc, seriesNext, seriesFirst, seriesFlags, seriesNumbers] = [5, 6, 7, 8, 9] as const;

/** Chunks that were taken together. */
export interface Series {
  /** The number of the last one. */
  last: number;
  /** Whether chunks before the first one are missing. */
  gap: boolean;
  /** Whether one of them asks for a report. */
  isNow: boolean;
}

/** One message that has not arrived completely. */
export class Incoming {
  /** The header of its first chunk that arrived. Before that, it is made from a parity, and has no `attempt`. */
  readonly frame: Frame;
  readonly chunks: number;
  readonly fleeting: boolean;
  readonly startedAt: number;
  /** Chunks that arrived, without those that a parity repaired. */
  received = 0;
  /** Chunks that a parity repaired. */
  byParity = 0;
  /** Chunks that arrived after they were sent again. */
  resent = 0;
  /** When the last chunk arrived. */
  lastAt: number;
  /** Chunks since the last report, and when the first of them arrived. */
  unreported = 0;
  unreportedAt = 0;
  /** Reports that were repeated since the last chunk, and when the last report left. */
  repeats = 0;
  reportedAt: number;
  /** Whether it is among the due reports. */
  isReportDue = false;
  /** The route of its reports: from the address that the last chunk or parity was sent to. */
  route: Ancillary | undefined;
  /** Bytes of memory that this message takes. */
  bytes: number;
  /** Whether `frame` is of a chunk. */
  #hasChunkFrame: boolean;
  /** The chunk that arrived last, with its attempt. */
  #echo = noEcho;
  #attempt = 0;
  readonly #bitmap: Uint8Array;
  #slabs: (Buffer | undefined)[];
  /** The memory of the whole message, in place of slabs. */
  #whole: Buffer | undefined;
  readonly #chunksInSlab: number;
  /** 1 more than the largest index that arrived. */
  #upto = 0;
  /** All chunks below this one are there. */
  #firstMissing = 0;
  /** The CRC of the run of chunks that arrived last, as int32, and the number of the chunk after it. */
  #runCrc = 0;
  #runEnd = 0;
  /** The sum of the earlier runs: each shifted by the bytes after it. */
  #crc = 0;
  readonly #shift: CrcShift | undefined;
  /** For `TakeChunks`, made at the first call. */
  #series: Int32Array | undefined;
  /** The parities that arrived, and their number. */
  #parities: (Uint8Array | undefined)[] | undefined;

  constructor(frame: Readonly<Frame>, now: number) {
    this.#hasChunkFrame = frame.kind !== frameKind.parity;
    // The `attempt` of a parity is the number of parities, and that of a fleeting chunk is the deadline.
    this.frame = this.#hasChunkFrame ? { ...frame } : { ...frame, kind: frameKind.data, attempt: 0 };
    this.chunks = chunksOf(frame.length, frame.size);
    this.fleeting = isFleeting(frame);
    this.startedAt = this.lastAt = this.reportedAt = now;
    this.#bitmap = new Uint8Array((this.chunks + 7) >> 3);
    this.#chunksInSlab = Math.max(1, Math.floor(slabBytes / frame.size));
    this.#slabs = new Array<Buffer | undefined>(Math.ceil(this.chunks / this.#chunksInSlab));
    this.bytes = messageBytes + this.#bitmap.length;
    this.#shift = this.chunks >= shiftChunks ? crcShift(frame.size) : knownCrcShift(frame.size);
  }

  get hasParities(): boolean {
    return this.#parities !== undefined;
  }

  get complete(): boolean {
    return this.received + this.byParity === this.chunks;
  }

  /** Whether one more datagram can complete it: a chunk, and with parities another one that it lets a parity repair. */
  get mayComplete(): boolean {
    return this.chunks - this.received - this.byParity <= 2;
  }

  /** Whether its memory is gone: it was that of an older message, which the program has transferred to another thread too late. */
  get isDetached(): boolean {
    return this.#whole?.length === 0;
  }

  has(index: number): boolean {
    return ((this.#bitmap[index >> 3] as number) & (1 << (index & 7))) !== 0;
  }

  /** Bytes of the chunks that arrived, or a little more. */
  get receivedBytes(): number {
    return this.received * this.frame.size;
  }

  /** Whether memory has to be reserved for a chunk. */
  lacksMemory(index: number): boolean {
    return !this.#whole && !this.#slabs[Math.floor(index / this.#chunksInSlab)];
  }

  /** Bytes that `reserve` would add. */
  growth(index: number, all: boolean): number {
    if (all) return this.frame.length - this.#slabs.reduce((bytes, slab) => bytes + (slab?.length ?? 0), 0);
    return this.#bytesOf(Math.floor(index / this.#chunksInSlab));
  }

  /** Reserves memory for a chunk that lacks it. @param all for the whole message, and then from `spare`, if there is one. */
  reserve(index: number, all: boolean, spare?: SpareMemory): void {
    if (!all) {
      this.#slabOf(index);
      return;
    }
    this.bytes += this.growth(index, true);
    const whole = (this.#whole = spare?.take(this.frame.length) ?? Buffer.allocUnsafeSlow(this.frame.length));
    for (const [at, slab] of this.#slabs.entries()) if (slab) whole.set(slab, this.#bytesBefore(at));
    this.#slabs = [];
  }

  /** Adds a chunk that is not there. Returns whether it leaves a new gap. @param crc of the payload. */
  add(frame: Readonly<Frame>, payload: Buffer, crc: number): boolean {
    const { index, attempt } = frame;
    if (!this.#hasChunkFrame) {
      this.#hasChunkFrame = true;
      this.frame.attempt = attempt;
    }
    this.#write(index, payload, crc);
    this.received++;
    const gap = index > this.#upto;
    this.#upto = Math.max(this.#upto, index + 1);
    return gap;
  }

  /**
   * Takes chunks that follow each other in a run, as `TakeChunks` does. Takes none if the memory of the message is in parts, if
   * parities have arrived, or if no chunk has: only a chunk has the header of the others.
   *
   * @param max the number of datagrams from `start` on, or a smaller one.
   * @param taken gets what is known of the chunks, if there are any.
   */
  takeSeries(
    takeChunks: TakeChunks,
    datagrams: Uint8Array,
    start: number,
    segment: number,
    max: number,
    taken: Series,
  ): number {
    const memory = this.#whole ?? (this.#slabs.length === 1 ? this.#slabs[0] : undefined);
    if (!memory || this.isDetached || !this.#shift || this.#parities || !this.#hasChunkFrame) return 0;
    const series = (this.#series ??= seriesOf(this));
    series[seriesCrc] = this.#runCrc;
    series[seriesNext] = this.#runEnd;
    const chunks = takeChunks(datagrams, start, segment, max, memory, this.#bitmap, this.#shift, series);
    assert(chunks >= 0, "the datagrams are there");
    if (chunks === 0) return 0;
    const first = series[seriesFirst] as number;
    if (first !== this.#runEnd) this.#endRun();
    this.#runCrc = series[seriesCrc];
    this.#runEnd = first + chunks;
    this.received += chunks;
    taken.last = this.#runEnd - 1;
    taken.gap = first > this.#upto;
    taken.isNow = ((series[seriesFlags] as number) & frameFlag.now) !== 0;
    this.#upto = Math.max(this.#upto, this.#runEnd);
    return chunks;
  }

  /** Remembers which chunk a report echoes. */
  echo({ index, attempt }: Readonly<Frame>, now: number): void {
    this.#echo = index;
    this.#attempt = attempt;
    this.lastAt = now;
  }

  /** Adds a parity. Returns whether it is new. */
  addParity({ index, attempt }: Readonly<Frame>, payload: Buffer): boolean {
    this.#parities ??= new Array<Uint8Array | undefined>(attempt);
    if (this.#parities.length !== attempt || this.#parities[index] !== undefined) return false;
    this.#parities[index] = new Uint8Array(payload);
    this.bytes += payload.length;
    return true;
  }

  /** The chunk that a parity repairs, of those that share a parity with chunk `index`; −1 if there is none. */
  repairable(index: number): number {
    const parities = this.#parities;
    const group = parities ? index % parities.length : 0;
    if (parities?.[group] === undefined) return -1;
    let lost = -1;
    for (let at = group; at < this.chunks; at += parities.length) {
      if (this.has(at)) continue;
      if (lost >= 0) return -1;
      lost = at;
    }
    return lost;
  }

  /** Repairs a chunk, which is `repairable` and for which memory is reserved. */
  repair(lost: number): void {
    const parities = this.#parities ?? [];
    const group = lost % parities.length;
    const repaired = Uint8Array.from(parities[group] as Uint8Array);
    for (let index = group; index < this.chunks; index += parities.length) {
      if (index === lost) continue;
      const [memory, start] = this.#memoryOf(index);
      xorInto(repaired, memory.subarray(start, start + chunkBytes(this.frame, index)));
    }
    const payload = repaired.subarray(0, chunkBytes(this.frame, lost));
    this.#write(lost, payload, crc32(payload));
    this.byParity++;
    this.#upto = Math.max(this.#upto, lost + 1);
  }

  /** Fills a report, and the fields of the header that are about it. */
  report(header: Frame, report: Report, now: number): void {
    const { missing } = report;
    missing.length = 0;
    let flags = 0;
    report.upto = this.#upto;
    for (let index = this.#advance(); index < this.#upto; index++) {
      // Whole bytes of chunks that are there.
      if ((index & 7) === 0 && this.#bitmap[index >> 3] === 0xff) {
        index += 7;
        continue;
      }
      if (this.has(index)) continue;
      const last = missing.length - 2;
      if (last >= 0 && (missing[last] as number) + (missing[last + 1] as number) === index) {
        (missing[last + 1] as number)++;
      } else if (missing.length === 2 * maxRuns) {
        report.upto = index;
        flags = frameFlag.now;
        break;
      } else missing.push(index, 1);
    }
    header.index = missing[0] ?? report.upto;
    header.flags = flags;
    header.attempt = this.#attempt;
    report.echo = this.#echo;
    report.delay = this.#echo === noEcho ? unknownDelay : delayOf(now - this.lastAt);
  }

  /** The numbers of the chunks that are missing, at most `max` of them. */
  missing(max: number): number[] {
    const found: number[] = [];
    for (let index = this.#firstMissing; index < this.chunks && found.length < max; index++) {
      if (!this.has(index)) found.push(index);
    }
    return found;
  }

  /**
   * The message, whose chunks are all there; `undefined` if its CRC is wrong. To be called once.
   *
   * Afterwards this keeps nothing of the message. A `Map` replaces its table now and then, and each table keeps its entries and points
   * to its successor. An old table therefore keeps all later ones, until a full garbage collection: messages that are not kept here
   * are freed by the quick collections of new objects.
   */
  join(): Buffer | undefined {
    this.#endRun();
    const slabs = this.#slabs as Buffer[];
    const whole = this.#whole ?? (slabs.length === 1 ? slabs[0] : undefined);
    const { isDetached } = this;
    this.#whole = undefined;
    this.#slabs = [];
    this.#parities = undefined;
    if (isDetached || this.#crc !== (this.frame.crc | 0)) return undefined;
    return whole ?? Buffer.concat(slabs, this.frame.length);
  }

  #advance(): number {
    while (this.#firstMissing < this.#upto && this.has(this.#firstMissing)) this.#firstMissing++;
    return this.#firstMissing;
  }

  #bytesOf(slab: number): number {
    return Math.min(this.#bytesBefore(1), this.frame.length - this.#bytesBefore(slab));
  }

  #bytesBefore(slab: number): number {
    return slab * this.#chunksInSlab * this.frame.size;
  }

  #slabOf(index: number): Buffer {
    const slab = Math.floor(index / this.#chunksInSlab);
    const found = this.#slabs[slab];
    if (found) return found;
    const bytes = this.#bytesOf(slab);
    this.bytes += bytes;
    return (this.#slabs[slab] = Buffer.allocUnsafeSlow(bytes));
  }

  /** The memory that has chunk `index`, and where in it the chunk starts. */
  #memoryOf(index: number): [Buffer, number] {
    const { size } = this.frame;
    if (this.#whole) return [this.#whole, index * size];
    return [this.#slabOf(index), (index % this.#chunksInSlab) * size];
  }

  /** Writes the payload of a chunk, and marks it as there. */
  #write(index: number, payload: Uint8Array, crc: number): void {
    const [memory, at] = this.#memoryOf(index);
    copyTo(memory, payload, at);
    (this.#bitmap[index >> 3] as number) |= 1 << (index & 7);
    if (index !== this.#runEnd) this.#endRun();
    const isLong = payload.length === this.frame.size && this.#shift !== undefined;
    this.#runCrc = isLong
      ? joinCrcs(this.#runCrc, crc, this.#shift)
      : joinCrcsOnce(this.#runCrc, crc, payload.length);
    this.#runEnd = index + 1;
  }

  /** Adds the CRC of the last run to the sum. */
  #endRun(): void {
    const { length, size } = this.frame;
    this.#crc ^= joinCrcsOnce(this.#runCrc, 0, Math.max(0, length - this.#runEnd * size));
    this.#runCrc = 0;
  }
}

function seriesOf({ frame, fleeting }: Incoming): Int32Array {
  const series = new Int32Array(seriesNumbers);
  // A chunk that was sent again is counted: it is taken alone.
  const attempt = fleeting ? frame.attempt : 0;
  const header = { ...frame, attempt, index: 0, flags: frame.flags & ~frameFlag.now };
  writeFrame(header, new Uint8Array(series.buffer, 0, frameHeaderBytes));
  return series;
}
