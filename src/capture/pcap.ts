import type { ByteWindow } from "./byte-window.js";
import { CaptureError } from "./capture-error.js";
import { type LinkPacket, type PacketReader, maxPacketBytes } from "./link-packet.js";

/** A kind of pcap file (draft-ietf-opsawg-pcap), by the first four bytes. */
export interface PcapFormat {
  readonly littleEndian: boolean;
  /** Nanoseconds of the unit of the fraction of a second. */
  readonly unitNs: number;
  /** Bytes before each packet. */
  readonly recordBytes: number;
}

/** Kinds by their magic number. */
const formats: ReadonlyMap<number, Omit<PcapFormat, "littleEndian">> = new Map([
  [0xa1b2_c3d4, { unitNs: 1000, recordBytes: 16 }],
  [0xa1b2_3c4d, { unitNs: 1, recordBytes: 16 }],
  // The variant of Alexey Kuznetsov, with 8 more bytes for each packet: `editcap -F modpcap` writes it.
  [0xa1b2_cd34, { unitNs: 1000, recordBytes: 24 }],
]);

const fileHeaderBytes = 24;

/** The kind of a file that starts with `magic`, read as a little-endian number; `undefined` if it is another format. */
export function pcapFormatOf(magic: number): PcapFormat | undefined {
  for (const [number, format] of formats) {
    if (magic === number) return { ...format, littleEndian: true };
    if (magic === swapped(number)) return { ...format, littleEndian: false };
  }
  return undefined;
}

/** Reads the packets of a pcap file. */
export class PcapReader implements PacketReader {
  needed: number = fileHeaderBytes;
  readonly lost = undefined;
  readonly #window: ByteWindow;
  readonly #format: PcapFormat;
  /** `undefined` before the file header was read. */
  #linkType: number | undefined;

  constructor(window: ByteWindow, format: PcapFormat) {
    this.#window = window;
    this.#format = format;
  }

  next(): LinkPacket | undefined {
    const window = this.#window;
    const { littleEndian, unitNs, recordBytes } = this.#format;
    if (window.available < this.needed) return undefined;
    this.#linkType ??= this.#readFileHeader();
    if (window.available < recordBytes) {
      this.needed = recordBytes;
      return undefined;
    }
    const { view, at } = window;
    const seconds = view.getUint32(at, littleEndian);
    const fraction = view.getUint32(at + 4, littleEndian);
    const captured = view.getUint32(at + 8, littleEndian);
    const originalLength = view.getUint32(at + 12, littleEndian);
    if (captured > maxPacketBytes) throw this.#impossible(`a packet of ${captured} bytes is impossible`);
    const length = recordBytes + captured;
    if (window.available < length) {
      this.needed = length;
      return undefined;
    }
    window.at += length;
    this.needed = recordBytes;
    return {
      linkType: this.#linkType,
      bytes: window.bytes,
      start: at + recordBytes,
      end: at + length,
      originalLength: Math.max(captured, originalLength),
      // 64 bits hold the sum until the year 2106, where the seconds end.
      timestamp: BigInt(seconds) * 1_000_000_000n + BigInt(fraction * unitNs),
      direction: undefined,
      interface: undefined,
      lostBefore: undefined,
      comment: undefined,
    };
  }

  cutAt(): number | undefined {
    const isComplete = this.#linkType !== undefined && this.#window.available === 0;
    return isComplete ? undefined : this.#window.offset;
  }

  #readFileHeader(): number {
    const { view, at, offset } = this.#window;
    const { littleEndian } = this.#format;
    const major = view.getUint16(at + 4, littleEndian);
    const minor = view.getUint16(at + 6, littleEndian);
    if (major !== 2) {
      const text = `version ${major}.${minor} of pcap is unknown`;
      throw new CaptureError("EPROTONOSUPPORT", { offset, text });
    }
    this.#window.at += fileHeaderBytes;
    // The highest bits are about frame check sequences (draft-ietf-opsawg-pcap, section 4).
    return view.getUint32(at + 20, littleEndian) & 0x03ff_ffff;
  }

  #impossible(text: string): CaptureError {
    return new CaptureError("EBADMSG", { offset: this.#window.offset, text });
  }
}

function swapped(number: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, number);
  return view.getUint32(0, true);
}
