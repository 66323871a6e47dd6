/**
 * Blocks of capture files (draft-ietf-opsawg-pcapng), little-endian. A file has a section header, a description of each
 * interface, packets, and the counts of each interface. Names and comments are cut to 65,535 bytes of UTF-8.
 */

/** The link type of packets that start with their IPv4 or IPv6 header. */
export const LINKTYPE_RAW = 101;

/** A time, as 64 bits of nanoseconds since 1970 in two halves. */
export interface CaptureTime {
  readonly high: number;
  readonly low: number;
}

export interface CaptureSection {
  /** The program that writes the file. */
  readonly application: string;
  readonly comment?: string | undefined;
}

export interface CaptureInterface {
  readonly linkType: number;
  /** The largest number of bytes that is captured of a packet; 0 is no limit. */
  readonly snapLength: number;
  readonly name: string;
  readonly description?: string | undefined;
}

/** What is told of a packet beside its bytes. */
export interface PacketNotes {
  readonly direction?: "in" | "out" | undefined;
  /** Packets that were lost between the packet before this one and this one. */
  readonly dropCount?: number | undefined;
  readonly comment?: string | undefined;
}

/** Counts of an interface since the start of the file. */
export interface InterfaceCounts {
  readonly interfaceId: number;
  /** When they were counted. */
  readonly time: CaptureTime;
  /** Packets that arrived or were sent. */
  readonly received: number;
  /** Packets that were lost before the program that records saw them. */
  readonly lost: number;
  /** Packets that the program that records could not write. */
  readonly notWritten: number;
  readonly comment?: string | undefined;
}

const encoder = new TextEncoder();
const noNotes: PacketNotes = {};
const time64 = new BigUint64Array(1);
const halves = new Uint32Array(time64.buffer);
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
/** Bytes of the longest value of an option. */
const maxOptionBytes = 0xffff;

/** Writes blocks one after the other. Its memory grows, unless it was given. */
export class BlockWriter {
  /** The memory. The blocks are at its start. */
  bytes: Uint8Array;
  /** The memory as words of 32 bits. */
  words: Int32Array;
  /** Bytes of the blocks so far. */
  at = 0;
  readonly #grows: boolean;
  #view: DataView;
  #start = 0;

  /** @param memory has room for all blocks that will be written, and is not a part of a larger one. */
  constructor(memory?: Uint8Array) {
    this.#grows = memory === undefined;
    this.bytes = memory ?? new Uint8Array(4096);
    this.words = wordsOf(this.bytes);
    this.#view = viewOf(this.bytes);
  }

  /** The blocks so far. Later blocks do not change them. */
  get written(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  /** Starts a file. It leaves the length of the section open. */
  sectionHeader({ application, comment }: CaptureSection): void {
    this.#begin(0x0a0d_0d0a, 16 + textBytes(application) + textBytes(comment));
    this.#word(0x1a2b_3c4d);
    this.#word(1);
    this.#word(-1);
    this.#word(-1);
    this.#text(1, comment);
    this.#text(4, application);
    this.#end(true);
  }

  /** Describes an interface. Its timestamps are in nanoseconds. */
  interfaceDescription({ linkType, snapLength, name, description }: CaptureInterface): void {
    this.#begin(1, 24 + textBytes(name) + textBytes(description));
    this.#word(linkType);
    this.#word(snapLength);
    this.#text(2, name);
    this.#text(3, description);
    this.#option(9, 1);
    this.bytes[this.at] = 9;
    this.at += 4;
    this.#end(true);
  }

  /**
   * Starts a packet. Then its bytes must be written, and `endPacket` must be called.
   *
   * @param interfaceId the number of the interface, from 0 in the order of the descriptions.
   * @param length captured bytes.
   * @param originalLength bytes on the link.
   * @returns where the bytes must be written: at a multiple of 4.
   */
  beginPacket(interfaceId: number, time: CaptureTime, length: number, originalLength: number): number {
    this.#begin(6, 20 + length);
    this.#word(interfaceId);
    this.#word(time.high);
    this.#word(time.low);
    this.#word(length);
    this.#word(originalLength);
    const start = this.at;
    this.at += padded(length);
    for (let at = start + length; at < this.at; at++) this.bytes[at] = 0;
    return start;
  }

  /** Ends a packet. */
  endPacket({ direction, dropCount, comment }: PacketNotes = noNotes): void {
    this.#reserve(24 + textBytes(comment));
    this.#text(1, comment);
    if (direction !== undefined) {
      this.#option(2, 4);
      this.#word(direction === "in" ? 1 : 2);
    }
    if (dropCount !== undefined) this.#count(4, dropCount);
    this.#end(comment !== undefined || direction !== undefined || dropCount !== undefined);
  }

  /** Writes the counts of an interface. */
  interfaceStatistics({ interfaceId, time, received, lost, notWritten, comment }: InterfaceCounts): void {
    this.#begin(5, 48 + textBytes(comment));
    this.#word(interfaceId);
    this.#word(time.high);
    this.#word(time.low);
    this.#text(1, comment);
    this.#count(4, received);
    this.#count(5, lost);
    this.#count(7, notWritten);
    this.#end(true);
  }

  /** Starts a block, whose body has at most `bodyBytes` bytes before the end of its options. */
  #begin(type: number, bodyBytes: number): void {
    // The type, both lengths, the end of the options, and up to 3 bytes after a packet.
    this.#reserve(bodyBytes + 20);
    this.#start = this.at;
    this.#word(type);
    this.at += 4;
  }

  #end(hasOptions: boolean): void {
    if (hasOptions) this.#word(0);
    const length = this.at + 4 - this.#start;
    this.#view.setUint32(this.#start + 4, length, true);
    this.#word(length);
  }

  /** Makes sure that there is memory for more bytes. */
  #reserve(bytes: number): void {
    const needed = this.at + bytes + 8;
    if (needed <= this.bytes.length) return;
    if (!this.#grows) throw new Error("a block does not fit the memory");
    const memory = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    memory.set(this.written);
    this.bytes = memory;
    this.words = wordsOf(memory);
    this.#view = viewOf(memory);
  }

  #word(value: number): void {
    this.#view.setUint32(this.at, value, true);
    this.at += 4;
  }

  /** The code and the length of an option. */
  #option(code: number, length: number): void {
    this.#word(code | (length << 16));
  }

  #count(code: number, value: number): void {
    this.#option(code, 8);
    this.#word(value);
    this.#word(value / 0x1_0000_0000);
  }

  #text(code: number, text: string | undefined): void {
    if (text === undefined) return;
    const start = this.at + 4;
    // `encodeInto` writes whole characters only.
    const room = this.bytes.subarray(start, start + maxOptionBytes);
    const { written } = encoder.encodeInto(text, room);
    this.#option(code, written);
    this.at += padded(written);
    for (let at = start + written; at < this.at; at++) this.bytes[at] = 0;
  }
}

/** The halves of a time. @param timestamp nanoseconds since 1970, 64 bits. */
export function captureTime(timestamp: bigint): CaptureTime {
  time64[0] = timestamp;
  return isLittleEndian
    ? { high: halves[1] as number, low: halves[0] as number }
    : { high: halves[0] as number, low: halves[1] as number };
}

/** Bytes of an option with a text, at most. */
function textBytes(text: string | undefined): number {
  return text === undefined ? 0 : 4 + padded(Math.min(3 * text.length, maxOptionBytes));
}

/** The next multiple of 4. */
function padded(length: number): number {
  return (length + 3) & ~3;
}

function wordsOf({ buffer, byteOffset, length }: Uint8Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length >> 2);
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length);
}
