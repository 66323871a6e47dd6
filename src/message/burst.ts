import type { CopyPieces } from "../core/driver/driver.js";
import { Outbound } from "../core/driver/outbound.js";
import { copyTo } from "../core/driver/payload.js";
import { type CrcShift, joinCrcs, knownCrcShift } from "../wire/crc32.js";
import { ChunkHeader, setNow } from "../wire/chunk-header.js";
import {
  type Frame,
  chunkBytes,
  frameHeaderBytes,
  frameKind,
  frameOverheadBytes,
  sealFrame,
  writeFrame,
} from "../wire/message-frame.js";
import { zlibCrc32 } from "./crc32.js";
import { xorInto } from "./xor.js";

/** A message that is divided into chunks. */
export interface Chunked {
  readonly frame: Readonly<Frame>;
  readonly data: Uint8Array;
  /** The CRC of each chunk. */
  readonly crcs: Int32Array;
  /** That of its chunks, for later bursts. The message has its id before the first burst. */
  header: ChunkHeader | undefined;
}

/** Bytes of the datagram of a chunk. */
export function datagramBytes(frame: Readonly<Frame>, index: number): number {
  return frameOverheadBytes + chunkBytes(frame, index);
}

/**
 * The datagrams of one message that leave in one call. They are written where the driver reads them. If the program has taken the
 * memory of the message away, their checksums are wrong.
 */
export class Burst {
  readonly batch: Outbound;
  readonly #of: Chunked;
  readonly #copyPieces: CopyPieces | undefined;
  readonly #header: ChunkHeader;
  readonly #view: DataView;
  /** That of the size of the chunks. With it, a checksum takes no look at the payload. */
  readonly #shift: CrcShift | undefined;
  /** The chunks whose payload is not copied yet: they follow each other, in the message and here. */
  #uncopied = 0;
  #firstUncopied = 0;
  #uncopiedStart = 0;

  /** @param batch empty, with room for all datagrams. */
  constructor(batch: Outbound, of: Chunked, copyPieces?: CopyPieces) {
    const { arena } = (this.batch = batch);
    this.#of = of;
    this.#copyPieces = copyPieces;
    this.#header = of.header ??= new ChunkHeader(of.frame);
    this.#view = new DataView(arena.buffer, arena.byteOffset, arena.length);
    this.#shift = knownCrcShift(of.frame.size);
  }

  get datagrams(): number {
    return this.batch.count;
  }

  /** Adds full chunks that follow each other. Returns `false` if each of them has to be added alone. */
  run(index: number, chunks: number, attempt: number): boolean {
    const shift = this.#shift;
    if (!shift) return false;
    const { frame, crcs } = this.#of;
    const at = this.batch.reserve(frameOverheadBytes + frame.size, chunks);
    this.#header.writeRun(this.#view, at, index, chunks, attempt, crcs, frame.size, shift);
    this.#copyLater(index, chunks, at);
    return true;
  }

  /** Datagram `at` of the burst, a full chunk that `run` has added, asks for a report. */
  askIn(at: number): void {
    const start = this.batch.starts[at] as number;
    if (this.#shift) setNow(this.#view, start, this.#of.frame.size, this.#shift);
  }

  /** Adds a chunk. @param isNow whether it asks for a report. */
  chunk(index: number, attempt: number, isNow: boolean): void {
    const { frame, data, crcs } = this.#of;
    const bytes = chunkBytes(frame, index);
    const at = this.batch.reserve(frameOverheadBytes + bytes);
    const view = this.#view;
    const crc = this.#header.write(view, at, index, attempt, isNow);
    const from = index * frame.size;
    const isFull = bytes === frame.size;
    const shift = isFull ? this.#shift : knownCrcShift(bytes);
    let sealed = crc;
    if (shift) sealed = joinCrcs(crc, crcs[index] as number, shift);
    // The crc32() of zlib forgets the CRC before an empty piece if that has no memory.
    else if (bytes > 0 && data.length === frame.length)
      sealed = zlibCrc32.of(data.subarray(from, from + bytes), crc >>> 0);
    view.setInt32(at + frameHeaderBytes + bytes, sealed);
    this.#copyLater(index, 1, at);
  }

  /** Adds a parity: the XOR of the chunks whose number is `index` modulo `parities`. */
  parity(index: number, parities: number): void {
    const { frame, data } = this.#of;
    this.#copy();
    const { batch } = this;
    const at = batch.reserve(datagramBytes(frame, index));
    const datagram = batch.arena.subarray(at, batch.bytes).fill(0);
    writeFrame({ ...frame, kind: frameKind.parity, attempt: parities, index }, datagram);
    const payload = datagram.subarray(frameHeaderBytes);
    // The memory of the message may have been transferred or resized meanwhile.
    const chunks = data.length === frame.length ? this.#of.crcs.length : 0;
    for (let chunk = index; chunk < chunks; chunk += parities) {
      const start = chunk * frame.size;
      xorInto(payload, data.subarray(start, start + chunkBytes(frame, chunk)));
    }
    sealFrame(datagram, zlibCrc32.of);
  }

  /** Adds a copy of datagram `at` of the burst. */
  repeat(at: number): void {
    this.#copy();
    const { batch } = this;
    const start = batch.starts[at] as number;
    const to = batch.reserve(batch.length(at));
    batch.arena.copyWithin(to, start, start + batch.length(at));
  }

  /** Ends the burst. Returns its batch, with all payloads. */
  end(): Outbound {
    this.#copy();
    return this.batch;
  }

  /** Chunks of one length that follow each other, the first of which is at byte `at`. */
  #copyLater(index: number, chunks: number, at: number): void {
    const isNext = this.#uncopied > 0 && index === this.#firstUncopied + this.#uncopied;
    const { frame } = this.#of;
    if (isNext && chunkBytes(frame, index) === frame.size) this.#uncopied += chunks;
    else {
      this.#copy();
      this.#firstUncopied = index;
      this.#uncopiedStart = at;
      this.#uncopied = chunks;
    }
  }

  #copy(): void {
    const pieces = this.#uncopied;
    if (pieces === 0) return;
    this.#uncopied = 0;
    const { frame, data } = this.#of;
    const { size } = frame;
    const bytes = chunkBytes(frame, this.#firstUncopied);
    let from = this.#firstUncopied * size;
    let to = this.#uncopiedStart + frameHeaderBytes;
    const { arena } = this.batch;
    const stride = size + frameOverheadBytes;
    const isGone = data.length !== frame.length;
    if (this.#copyPieces && !isGone) {
      this.#copyPieces(data, from, size, arena, to, stride, bytes, pieces);
      return;
    }
    for (let piece = 0; piece < pieces; piece++, from += size, to += stride) {
      if (isGone) arena.fill(0, to, to + bytes);
      else copyTo(arena, data.subarray(from, from + bytes), to);
    }
  }
}

/** The batches that no call uses. Later bursts use them again. */
export class Batches {
  readonly #free: Outbound[] = [];
  readonly #max: number;

  /** @param max the largest number that is kept. */
  constructor(max: number) {
    this.#max = max;
  }

  /** An empty batch with room for so many datagrams or more. */
  take(bytesEach: number, datagrams: number): Outbound {
    const last = this.#free.pop();
    const bytes = bytesEach * datagrams;
    if (last && last.arena.length >= bytes && last.lengths.length >= datagrams) return last;
    return new Outbound({ bytes, datagrams });
  }

  /** No call uses a batch any more. */
  put(batch: Outbound): void {
    if (this.#free.length < this.#max) this.#free.push(batch);
  }

  clear(): void {
    this.#free.length = 0;
  }
}
