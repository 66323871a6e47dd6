import { Buffer } from "node:buffer";

import type { ByteWindow } from "./byte-window.js";
import { CaptureError } from "./capture-error.js";
import { type LinkPacket, type PacketReader, maxPacketBytes } from "./link-packet.js";
import { type TimeScale, nanoseconds, timeScale } from "./timestamps.js";

/** The type of the block that starts a section, which is the same in both byte orders. */
export const sectionHeaderType = 0x0a0d_0d0a;

/** Types of blocks (draft-ietf-opsawg-pcapng, section 4). Blocks of other types are passed over. */
const blockTypes = { interface: 1, obsoletePacket: 2, simplePacket: 3, statistics: 5, packet: 6 } as const;
const interpreted: readonly number[] = [sectionHeaderType, ...Object.values(blockTypes)];

const byteOrderMagic = 0x1a2b_3c4d;
/** The smallest block: its type and, twice, its length. */
const minBlockBytes = 12;
/** Bytes at the start of a block from which its length is known, with the byte order of a section header. */
const startBytes = 12;

/** Limits of what is kept of the interfaces of a section. */
const maxInterfaces = 65_536;
const maxNameLength = 255;

interface CaptureInterface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly name: string | undefined;
  readonly scale: TimeScale;
  /** Losses that packets of this interface report. */
  lostOfPackets: number | undefined;
  /** Losses that the statistics of this interface report. */
  lostOfStatistics: number | undefined;
}

/** Where a packet is in its block. */
interface PacketPlace {
  readonly captured: number;
  readonly original: number;
  /** The offset of the data. */
  readonly start: number;
}

/** The options of a block with a packet. */
interface PacketOptions {
  comment?: string;
  flags?: number;
  dropCount?: bigint;
}

/** The value of an option is from `start` to `end` in the bytes of the window. */
type OptionListener = (code: number, start: number, end: number) => void;

/** Reads the packets of a pcapng file. */
export class PcapngReader implements PacketReader {
  needed: number = startBytes;
  readonly #window: ByteWindow;
  #littleEndian = true;
  #interfaces: CaptureInterface[] = [];
  /** Losses of the sections before this one. */
  #lostBefore: number | undefined;
  /** Bytes of a block of no interest that are not passed over yet, without the length at its end. */
  #toSkip = 0;
  /** The length of the block that is passed over, which must be repeated at its end; 0 if there is none. */
  #skippedLength = 0;
  /** The offset in the file of the current block. */
  #blockOffset = 0;

  constructor(window: ByteWindow) {
    this.#window = window;
  }

  get lost(): number | undefined {
    return this.#interfaces.reduce(
      (sum, { lostOfPackets, lostOfStatistics }) => added(sum, larger(lostOfPackets, lostOfStatistics)),
      this.#lostBefore,
    );
  }

  next(): LinkPacket | undefined {
    const window = this.#window;
    for (;;) {
      if (this.#skippedLength > 0 && !this.#skip()) return undefined;
      if (window.available < startBytes) {
        this.needed = startBytes;
        return undefined;
      }
      this.#blockOffset = window.offset;
      const { view, at } = window;
      const isSection = view.getUint32(at, true) === sectionHeaderType;
      if (isSection) this.#littleEndian = this.#byteOrder(at);
      const type = view.getUint32(at, this.#littleEndian);
      const length = view.getUint32(at + 4, this.#littleEndian);
      if (length < minBlockBytes || length % 4 !== 0)
        throw this.#damaged(`a block of ${length} bytes is impossible`);
      if (!interpreted.includes(type)) {
        window.at += 8;
        this.#toSkip = length - minBlockBytes;
        this.#skippedLength = length;
        continue;
      }
      if (length > maxPacketBytes) throw this.#damaged(`a block of ${length} bytes is too long`);
      if (window.available < length) {
        this.needed = length;
        return undefined;
      }
      this.#checkEnd(at + length - 4, length);
      const packet = this.#read(type, at, at + length - 4);
      window.at += length;
      if (packet) return packet;
    }
  }

  cutAt(): number | undefined {
    if (this.#skippedLength > 0) return this.#blockOffset;
    return this.#window.available === 0 ? undefined : this.#window.offset;
  }

  /** Passes over bytes of a block. Returns whether its end was reached. */
  #skip(): boolean {
    const window = this.#window;
    const bytes = Math.min(this.#toSkip, window.available);
    window.at += bytes;
    this.#toSkip -= bytes;
    this.needed = this.#toSkip > 0 ? 1 : 4;
    if (window.available < this.needed) return false;
    this.#checkEnd(window.at, this.#skippedLength);
    window.at += 4;
    this.#skippedLength = 0;
    return true;
  }

  /** Checks the length at the end of a block. */
  #checkEnd(at: number, length: number): void {
    const repeated = this.#uint32(at);
    if (repeated !== length)
      throw this.#damaged(`the lengths at both ends of a block are ${length} and ${repeated}`);
  }

  #byteOrder(at: number): boolean {
    for (const littleEndian of [true, false])
      if (this.#window.view.getUint32(at + 8, littleEndian) === byteOrderMagic) return littleEndian;
    throw this.#damaged("a section has an unknown byte order");
  }

  /** Reads a whole block, whose last length is at `end`. */
  #read(type: number, at: number, end: number): LinkPacket | undefined {
    switch (type) {
      case sectionHeaderType:
        this.#startSection(at, end);
        return undefined;
      case blockTypes.interface:
        this.#addInterface(at, end);
        return undefined;
      case blockTypes.statistics:
        this.#readStatistics(at, end);
        return undefined;
      case blockTypes.simplePacket:
        return this.#simplePacket(at, end);
      case blockTypes.packet:
        return this.#packet(at, end, this.#uint32Of(at, 8, end), undefined);
      default: {
        // The obsolete block has 16 bits for the interface and 16 bits for the losses, 65535 if they are unknown.
        const lost = this.#uint16(at + 10);
        return this.#packet(at, end, this.#uint16(at + 8), lost === 0xffff ? undefined : lost);
      }
    }
  }

  #startSection(at: number, end: number): void {
    if (end - at < 24) throw this.#damaged("a section header is too short");
    const [major, minor] = [this.#uint16(at + 12), this.#uint16(at + 14)];
    // Version 1.2 of some writers is the same as 1.0 (section 4.1).
    if (major !== 1 || (minor !== 0 && minor !== 2)) {
      const text = `version ${major}.${minor} of pcapng is unknown`;
      throw new CaptureError("EPROTONOSUPPORT", { offset: this.#blockOffset, text });
    }
    this.#lostBefore = this.lost;
    this.#interfaces = [];
  }

  #addInterface(at: number, end: number): void {
    if (end - at < 16) throw this.#damaged("the description of an interface is too short");
    if (this.#interfaces.length >= maxInterfaces)
      throw this.#damaged(`a section has more than ${maxInterfaces} interfaces`);
    let name: string | undefined;
    let resolution = 6;
    let offset = 0n;
    const { bytes, view } = this.#window;
    this.#options(at + 16, end, (code, start, stop) => {
      if (code === 2) name = textOf(bytes, start, Math.min(stop, start + maxNameLength));
      if (code === 9 && stop - start === 1) resolution = bytes[start] ?? 0;
      if (code === 14 && stop - start === 8) offset = view.getBigInt64(start, this.#littleEndian);
    });
    this.#interfaces.push({
      linkType: this.#uint16(at + 8),
      snapLength: this.#uint32(at + 12),
      name,
      scale: resolution === 9 && offset === 0n ? nanoseconds : timeScale(resolution, offset),
      lostOfPackets: undefined,
      lostOfStatistics: undefined,
    });
  }

  /** Reads `isb_ifdrop` and `isb_osdrop`, which count from the start of the capture. */
  #readStatistics(at: number, end: number): void {
    const { view } = this.#window;
    const from = this.#interface(this.#uint32Of(at, 8, end));
    let lost: number | undefined;
    this.#options(at + 20, end, (code, start, stop) => {
      if ((code !== 5 && code !== 7) || stop - start !== 8) return;
      lost = added(lost, Number(view.getBigUint64(start, this.#littleEndian)));
    });
    from.lostOfStatistics = larger(from.lostOfStatistics, lost);
  }

  #simplePacket(at: number, end: number): LinkPacket {
    const original = this.#uint32Of(at, 8, end);
    const from = this.#interface(0);
    const limit = from.snapLength === 0 ? original : Math.min(original, from.snapLength);
    // The block does not tell how many bytes were captured, only how long it is with up to 3 bytes of padding.
    const captured = Math.min(limit, end - at - 12);
    const place = { captured, original, start: at + 12 };
    return this.#linkPacket(from, place, undefined, {});
  }

  #packet(at: number, end: number, interfaceId: number, lostBefore: number | undefined): LinkPacket {
    if (end - at < 28) throw this.#damaged("the block of a packet is too short");
    const [captured, original] = [this.#uint32(at + 20), this.#uint32(at + 24)];
    const from = this.#interface(interfaceId);
    const padded = Math.ceil(captured / 4) * 4;
    if (at + 28 + padded > end) throw this.#damaged(`a packet of ${captured} bytes does not fit its block`);
    const timestamp = from.scale(this.#uint32(at + 12), this.#uint32(at + 16));
    const options = this.#packetOptions(at + 28 + padded, end);
    const dropCount = options.dropCount === undefined ? lostBefore : Number(options.dropCount);
    if (dropCount !== undefined) from.lostOfPackets = (from.lostOfPackets ?? 0) + dropCount;
    return this.#linkPacket(from, { captured, original, start: at + 28 }, timestamp, options, dropCount);
  }

  #linkPacket(
    from: CaptureInterface,
    { captured, original, start }: PacketPlace,
    timestamp: bigint | undefined,
    { flags = 0, comment }: PacketOptions,
    lostBefore?: number,
  ): LinkPacket {
    return {
      linkType: from.linkType,
      bytes: this.#window.bytes,
      start,
      end: start + captured,
      originalLength: Math.max(captured, original),
      timestamp,
      direction: (flags & 3) === 1 ? "in" : (flags & 3) === 2 ? "out" : undefined,
      interface: from.name,
      lostBefore,
      comment,
    };
  }

  #packetOptions(at: number, end: number): PacketOptions {
    const found: PacketOptions = {};
    if (at === end) return found;
    const { bytes, view } = this.#window;
    this.#options(at, end, (code, start, stop) => {
      if (code === 1) {
        const text = textOf(bytes, start, stop);
        found.comment = found.comment === undefined ? text : `${found.comment}\n${text}`;
      }
      if (code === 2 && stop - start === 4) found.flags = this.#uint32(start);
      if (code === 4 && stop - start === 8) found.dropCount = view.getBigUint64(start, this.#littleEndian);
    });
    return found;
  }

  /** Calls `listener` for each option between two offsets. @throws `CaptureError` if one does not fit. */
  #options(from: number, end: number, listener: OptionListener): void {
    let at = from;
    while (at + 4 <= end) {
      const [code, length] = [this.#uint16(at), this.#uint16(at + 2)];
      if (code === 0) return;
      const stop = at + 4 + length;
      if (stop > end) throw this.#damaged(`an option of ${length} bytes does not fit its block`);
      listener(code, at + 4, stop);
      at += 4 + Math.ceil(length / 4) * 4;
    }
  }

  #interface(id: number): CaptureInterface {
    const found = this.#interfaces[id];
    if (!found) throw this.#damaged(`a block names interface ${id}, which the section does not describe`);
    return found;
  }

  #uint16(at: number): number {
    return this.#window.view.getUint16(at, this.#littleEndian);
  }

  #uint32(at: number): number {
    return this.#window.view.getUint32(at, this.#littleEndian);
  }

  /** The number at an offset of a block, if the block is long enough. */
  #uint32Of(block: number, offset: number, end: number): number {
    if (block + offset + 4 > end) throw this.#damaged("a block is too short");
    return this.#uint32(block + offset);
  }

  #damaged(text: string): CaptureError {
    return new CaptureError("EBADMSG", { offset: this.#blockOffset, text });
  }
}

/** A text, without the zero bytes that some programs write at its end. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  let stop = end;
  while (stop > start && bytes[stop - 1] === 0) stop--;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString("utf8");
}

/** The sum of two counts, each of which may be unknown. */
function added(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined ? other : one + (other ?? 0);
}

/** The larger of two counts, each of which may be unknown. */
function larger(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined ? other : Math.max(one, other ?? 0);
}
