/** Headers and checksums of the chunks of one message. */

import { type CrcShift, crcOfWords, joinCrcs } from "./crc32.js";
import {
  type Frame,
  frameFlag,
  frameHeaderBytes,
  frameOverheadBytes,
  frameVersion,
} from "./message-frame.js";

const { now } = frameFlag;
/** The flag `now` in the first word of a header. */
const nowWord = now << 8;
/** The bits of the number of a chunk. */
const indexBits = 16;

/**
 * The header of all chunks of one message, as words: faster than `writeFrame` for each. A run of full chunks takes no CRC of any
 * header: a CRC is linear, and the number of the next chunk differs in its lowest bits only.
 */
export class ChunkHeader {
  /** The words, little-endian. The first is without flag and attempt, the third without the number. */
  readonly #first: number;
  readonly #second: number;
  readonly #third: number;
  readonly #fourth: number;
  readonly #fifth: number;

  /** @param frame without what `write` takes: `index`, `attempt` and the flag `now`. */
  constructor({ kind, flags, channel, id, size, length, crc }: Readonly<Frame>) {
    this.#first = frameVersion | ((kind | (flags & ~now)) << 8) | (channel << 16);
    this.#second = swapped(id);
    this.#third = swapped(size);
    this.#fourth = swapped(length);
    this.#fifth = swapped(crc);
  }

  /** Writes the header of a chunk at byte `at`. Returns its CRC-32 as int32. */
  write(view: DataView, at: number, index: number, attempt: number, isNow: boolean): number {
    const first = this.#first | (isNow ? nowWord : 0) | (attempt << 24);
    const third = this.#third | indexWord(index);
    view.setInt32(at, first, true);
    view.setInt32(at + 4, this.#second, true);
    view.setInt32(at + 8, third, true);
    view.setInt32(at + 12, this.#fourth, true);
    view.setInt32(at + 16, this.#fifth, true);
    return crcOfWords(first, this.#second, third, this.#fourth, this.#fifth);
  }

  /**
   * Writes the headers and the checksums of `chunks` full chunks that follow each other, from chunk `index` on, without the flag `now`.
   * The first datagram is at byte `at`.
   *
   * @param crcs those of the payloads of all chunks of the message.
   * @param shift that of the length of a payload.
   */
  writeRun(
    view: DataView,
    at: number,
    index: number,
    chunks: number,
    attempt: number,
    crcs: Int32Array,
    payloadBytes: number,
    shift: CrcShift,
  ): void {
    const [second, third, fourth, fifth] = [this.#second, this.#third, this.#fourth, this.#fifth];
    const first = this.#first | (attempt << 24);
    const { byNumber } = effectsOf(shift);
    const stride = payloadBytes + frameOverheadBytes;
    let header = joinCrcs(crcOfWords(first, second, third | indexWord(index), fourth, fifth), 0, shift);
    for (let chunk = index, start = at; chunk < index + chunks; start += stride) {
      view.setInt32(start, first, true);
      view.setInt32(start + 4, second, true);
      view.setInt32(start + 8, third | indexWord(chunk), true);
      view.setInt32(start + 12, fourth, true);
      view.setInt32(start + 16, fifth, true);
      view.setInt32(start + frameHeaderBytes + payloadBytes, header ^ (crcs[chunk] as number));
      chunk++;
      header ^= byNumber[31 - Math.clz32(chunk & -chunk)] as number;
    }
  }
}

/** Sets the flag `now` in a chunk that `writeRun` has written at byte `at`. */
export function setNow(view: DataView, at: number, payloadBytes: number, shift: CrcShift): void {
  view.setInt32(at, view.getInt32(at, true) | nowWord, true);
  const end = at + frameHeaderBytes + payloadBytes;
  view.setInt32(end, view.getInt32(end) ^ effectsOf(shift).ofNow);
}

/** How the checksum of a chunk changes. */
interface Effects {
  /** If the lowest bits of its number change: entry `n` is for `n + 1` bits. */
  readonly byNumber: Int32Array;
  /** If the flag `now` changes. */
  readonly ofNow: number;
}

let lastShift: CrcShift | undefined;
let lastEffects: Effects | undefined;

/** @param shift that of the length of the payload */
function effectsOf(shift: CrcShift): Effects {
  if (lastEffects && shift === lastShift) return lastEffects;
  const zeros = crcOfWords(0, 0, 0, 0, 0);
  const byNumber = Int32Array.from({ length: indexBits + 1 }, (_, low) =>
    joinCrcs(crcOfWords(0, 0, indexWord((2 << low) - 1), 0, 0) ^ zeros, 0, shift),
  );
  lastShift = shift;
  return (lastEffects = { byNumber, ofNow: joinCrcs(crcOfWords(nowWord, 0, 0, 0, 0) ^ zeros, 0, shift) });
}

/** The number of a chunk in the third word. */
function indexWord(index: number): number {
  return ((index >>> 8) & 0xff) | ((index & 0xff) << 8);
}

/** The bytes of a word in the other order, as int32. */
function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
