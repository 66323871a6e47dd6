import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import { type Frame, chunkBytes, chunksOf, frameFlag, isFleeting } from "../wire/message-frame.js";
import { delayOf, maxRunsIn, noEcho, type Report, unknownDelay } from "../wire/message-report.js";

/** Bytes of memory that is reserved at a time. */
const slabBytes = 1 << 16;
/** Bytes of the largest report. */
const maxReportBytes = 1200;
const maxRuns = maxRunsIn(maxReportBytes);
/** Bytes that a message takes beside its content, about. */
export const messageBytes = 256;

/** One message that has not arrived completely. */
export class Incoming {
  /** The header of its first chunk that arrived. */
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
  /** Bytes of memory that this message takes. */
  bytes: number;
  /** The chunk that arrived last, with its attempt. */
  #echo = noEcho;
  #attempt = 0;
  readonly #bitmap: Uint8Array;
  readonly #slabs: (Buffer | undefined)[];
  readonly #chunksInSlab: number;
  /** 1 more than the largest index that arrived. */
  #upto = 0;
  /** All chunks below this one are there. */
  #firstMissing = 0;
  /** The parities that arrived, and their number. */
  #parities: (Uint8Array | undefined)[] | undefined;

  constructor(frame: Readonly<Frame>, now: number) {
    this.frame = { ...frame };
    this.chunks = chunksOf(frame.length, frame.size);
    this.fleeting = isFleeting(frame);
    this.startedAt = this.lastAt = this.reportedAt = now;
    this.#bitmap = new Uint8Array((this.chunks + 7) >> 3);
    this.#chunksInSlab = Math.max(1, Math.floor(slabBytes / frame.size));
    this.#slabs = new Array<Buffer | undefined>(Math.ceil(this.chunks / this.#chunksInSlab));
    this.bytes = messageBytes + this.#bitmap.length;
  }

  get complete(): boolean {
    return this.received + this.byParity === this.chunks;
  }

  has(index: number): boolean {
    return ((this.#bitmap[index >> 3] as number) & (1 << (index & 7))) !== 0;
  }

  /** Bytes of memory that this chunk would add. */
  growth(index: number): number {
    const slab = Math.floor(index / this.#chunksInSlab);
    return this.#slabs[slab] ? 0 : this.#bytesOf(slab);
  }

  /** Adds a chunk that is not there. Returns whether it leaves a new gap. */
  add(frame: Readonly<Frame>, payload: Buffer): boolean {
    const { index } = frame;
    this.#write(index, payload);
    this.received++;
    const gap = index > this.#upto;
    this.#upto = Math.max(this.#upto, index + 1);
    if (this.#parities) this.#repair(this.#parities, index % this.#parities.length);
    return gap;
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
    this.#repair(this.#parities, index);
    return true;
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

  /** The message, whose chunks are all there; `undefined` if its CRC is wrong. */
  join(): Buffer | undefined {
    const slabs = this.#slabs as Buffer[];
    const whole = slabs.length === 1 ? (slabs[0] as Buffer) : Buffer.concat(slabs, this.frame.length);
    return crc32(whole) === this.frame.crc ? whole : undefined;
  }

  #advance(): number {
    while (this.#firstMissing < this.#upto && this.has(this.#firstMissing)) this.#firstMissing++;
    return this.#firstMissing;
  }

  #bytesOf(slab: number): number {
    const { length, size } = this.frame;
    const bytes = this.#chunksInSlab * size;
    return Math.min(bytes, length - slab * bytes);
  }

  #slabOf(index: number): Buffer {
    const slab = Math.floor(index / this.#chunksInSlab);
    const found = this.#slabs[slab];
    if (found) return found;
    const bytes = this.#bytesOf(slab);
    this.bytes += bytes;
    return (this.#slabs[slab] = Buffer.allocUnsafeSlow(bytes));
  }

  /** Writes the payload of a chunk, and marks it as there. */
  #write(index: number, payload: Uint8Array): void {
    const at = (index % this.#chunksInSlab) * this.frame.size;
    this.#slabOf(index).set(payload, at);
    (this.#bitmap[index >> 3] as number) |= 1 << (index & 7);
  }

  /** Repairs the chunk of a group, if it is the only one that is missing. */
  #repair(parities: readonly (Uint8Array | undefined)[], group: number): void {
    const parity = parities[group];
    if (!parity) return;
    let lost = -1;
    for (let index = group; index < this.chunks; index += parities.length) {
      if (this.has(index)) continue;
      if (lost >= 0) return;
      lost = index;
    }
    if (lost < 0) return;
    const repaired = Uint8Array.from(parity);
    for (let index = group; index < this.chunks; index += parities.length) {
      if (index === lost) continue;
      const slab = this.#slabOf(index);
      const start = (index % this.#chunksInSlab) * this.frame.size;
      const bytes = chunkBytes(this.frame, index);
      for (let at = 0; at < bytes; at++) {
        repaired[at] = (repaired[at] as number) ^ (slab[start + at] as number);
      }
    }
    this.#write(lost, repaired.subarray(0, chunkBytes(this.frame, lost)));
    this.byParity++;
    this.#upto = Math.max(this.#upto, lost + 1);
  }
}
