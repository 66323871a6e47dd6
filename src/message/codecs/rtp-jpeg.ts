import { Buffer } from "node:buffer";

import { wholeNumber, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import type { Codec, Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "../codec.js";
import { jpegHeader, tablesOfQuality } from "./jpeg-header.js";
import { isSoi } from "./jpeg-scanner.js";
import { Pieces } from "./pieces.js";
import { type RtpJpegPacket, readRtpJpeg } from "./rtp-packet.js";

/** The options of `rtpJpeg`. */
export interface RtpJpegOptions {
  /** The RTP payload type of the pictures, 0 to 127. Packets of other types are ignored. @default 26, the type of JPEG */
  readonly payloadType?: number | undefined;
  /**
   * The size of the pictures in pixels, 1 to 65,535 each, in place of the one in the packets. RTP can say multiples of 8 up to 2,040.
   * GStreamer says 0 for larger pictures, and their size in SDP (`a=x-dimensions`); ffmpeg sends a wrong size.
   */
  readonly size?: PictureSize | undefined;
}

/** The width and the height of a picture, in pixels. */
export interface PictureSize {
  /** 1 to 65,535. */
  readonly width: number;
  /** 1 to 65,535. */
  readonly height: number;
}

const fields = fieldsOf<RtpJpegOptions>({ payloadType: true, size: true });
const sizeFields = fieldsOf<PictureSize>({ width: true, height: true });
/** Pictures that are collected at the same time: packets of the next one may overtake the last of the one before. */
const maxPictures = 2;
/** A packet that is more numbers late begins a new stream: MAX_MISORDER of RFC 3550 appendix A.1. */
const maxLate = 100;
/** FF D9, the end of a JPEG picture. Senders may leave it out. */
const eoi = Uint8Array.of(0xff, 0xd9);

/**
 * A codec for JPEG over RTP (RFC 2435), as many network cameras, `rtsp.py` of OpenMV, servers on ESP32, ffmpeg and GStreamer
 * send it: with quantization tables of a quality, in the packet (Q 255) or in an earlier packet, with restart markers, and with
 * the JPEG headers inside. The data of a message is a JPEG file. The header of the file is rebuilt, because RTP leaves it out.
 *
 * Packets may arrive in another order. The packets have numbers, so each lost picture is reported with the number of missing
 * packets. One source sends one stream.
 *
 * @throws `RangeError` `ERR_OUT_OF_RANGE`, `TypeError`.
 */
export function rtpJpeg(options: RtpJpegOptions = {}): Codec {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { payloadType = 26, size } = options;
  wholeNumber("payloadType", payloadType, 0, 127);
  if (size !== undefined) {
    if (typeof size !== "object" || (size as unknown) === null) throw wrongType("size", "an object", size);
    refuseUnknown(size, sizeFields, "size: a field");
    wholeNumber("size.width", size.width, 1, 65_535);
    wholeNumber("size.height", size.height, 1, 65_535);
  }
  const fixed = size && { width: size.width, height: size.height };
  return {
    name: "rtp-jpeg",
    decoder: (sink, limits) => new RtpJpegDecoder(sink, limits, payloadType, fixed),
  };
}

/** A picture that is collected. The numbers of packets count on after 65,535. */
interface Picture {
  readonly timestamp: number;
  /** The lowest number of its packets. */
  low: number;
  /** The highest number of its packets. */
  high: number;
  /** Bytes of the picture, when its last packet has arrived. */
  length: number | undefined;
  /** The bytes before its compressed data, when the packet with offset 0 has arrived. */
  head: Buffer | undefined;
  lastMs: number;
  /** The number of its packets that arrived. */
  received: number;
  readonly pieces: Pieces;
  /** The piece of each offset. */
  readonly order: Map<number, number>;
}

class RtpJpegDecoder implements Decoder {
  readonly #sink: DecoderSink;
  readonly #limits: DecoderLimits;
  readonly #payloadType: number;
  readonly #size: PictureSize | undefined;
  #ssrc: number | undefined;
  /** The first number after all pictures that ended. */
  #expected = 0;
  /** Whether a picture of this stream has ended, so that each number from `#expected` on belongs to a picture that has not. */
  #isCertain = false;
  /** The pictures that are collected, in the order of their packets. */
  #pictures: Picture[] = [];
  /** The timestamp of a picture that was given up while its packets still came. */
  #givenUp: number | undefined;
  /** Tables of earlier packets, by Q. */
  readonly #tables = new Map<number, Uint8Array>();
  #tableBytes = 0;

  constructor(sink: DecoderSink, limits: DecoderLimits, payloadType: number, size: PictureSize | undefined) {
    this.#sink = sink;
    this.#limits = limits;
    this.#payloadType = payloadType;
    this.#size = size;
  }

  get heldBytes(): number {
    return this.#pictures.reduce((bytes, { pieces }) => bytes + pieces.heldBytes, this.#tableBytes);
  }

  push(datagram: Uint8Array, nowMs: number): void {
    this.expire(nowMs);
    const packet = readRtpJpeg(datagram, this.#payloadType);
    if (packet === undefined) {
      this.#sink.ignored();
      return;
    }
    const number = this.#numberOf(packet);
    const isLate = this.#isCertain && number < this.#expected;
    const picture = isLate ? undefined : this.#pictureOf(packet, number);
    if (picture === undefined || picture.order.has(packet.offset)) {
      this.#sink.ignored();
      return;
    }
    picture.lastMs = nowMs;
    picture.low = Math.min(picture.low, number);
    picture.high = Math.max(picture.high, number);
    picture.received++;
    if (packet.offset === 0) picture.head = this.#headOf(packet);
    if (packet.offset === 0 && picture.head === undefined) {
      this.#abandon(picture, "invalid");
      return;
    }
    if (packet.marker) picture.length ??= packet.offset + packet.data.length;
    picture.order.set(packet.offset, picture.pieces.count);
    picture.pieces.add(packet.data);
    const { head, length, pieces } = picture;
    if (this.heldBytes > this.#limits.maxSourceBytes) this.#abandon(picture, "size");
    else if (head !== undefined && length !== undefined && pieces.length >= length)
      this.#complete(picture, head);
  }

  expire(nowMs: number): void {
    for (let oldest = this.#pictures[0]; oldest !== undefined; oldest = this.#pictures[0]) {
      if (nowMs - oldest.lastMs <= this.#limits.idleMs) return;
      this.#abandon(oldest, "idle");
    }
  }

  giveUp(cause: DecoderLoss["cause"]): void {
    const last = this.#pictures.at(-1);
    if (last !== undefined) this.#abandon(last, cause);
  }

  /** Gives up the pictures up to one whose packets may still come. */
  #abandon(picture: Picture, cause: DecoderLoss["cause"]): void {
    this.#endUntil(picture, cause);
    this.#givenUp = picture.timestamp;
  }

  /** The number of a packet, which counts on after 65,535. Begins a new stream if the sender did. */
  #numberOf({ sequence, ssrc }: RtpJpegPacket): number {
    const ahead = ((sequence - this.#expected) << 16) >> 16;
    if (ssrc === this.#ssrc && ahead >= -maxLate) return this.#expected + ahead;
    this.giveUp("gap");
    this.#ssrc = ssrc;
    this.#expected = sequence;
    this.#isCertain = false;
    this.#givenUp = undefined;
    this.#tables.clear();
    this.#tableBytes = 0;
    return sequence;
  }

  /** The picture that a packet is part of; `undefined` if that picture was given up. */
  #pictureOf({ timestamp, offset }: RtpJpegPacket, number: number): Picture | undefined {
    const known = this.#pictures.find((picture) => picture.timestamp === timestamp);
    if (known !== undefined) return known;
    if (timestamp === this.#givenUp) {
      if (offset !== 0) {
        this.#expected = Math.max(this.#expected, number + 1);
        return undefined;
      }
      this.#givenUp = undefined;
    }
    const picture: Picture = {
      timestamp,
      low: number,
      high: number,
      length: undefined,
      head: undefined,
      lastMs: 0,
      received: 0,
      pieces: new Pieces(),
      order: new Map(),
    };
    this.#pictures.push(picture);
    this.#pictures.sort((a, b) => a.low - b.low);
    const [oldest] = this.#pictures;
    if (oldest !== undefined && this.#pictures.length > maxPictures) this.#endUntil(oldest, "gap");
    return this.#pictures.includes(picture) ? picture : undefined;
  }

  /** The bytes before the compressed data; none if the JPEG headers are inside; `undefined` if they cannot be made. */
  #headOf(packet: RtpJpegPacket): Buffer | undefined {
    const { data, type, q, restartInterval, tables } = packet;
    const { width, height } = this.#size ?? packet;
    if (isSoi(data, 0)) return Buffer.alloc(0);
    // Q 255 says that the tables are for this picture alone.
    if (tables !== undefined && q !== 255) {
      this.#tableBytes += tables.length - (this.#tables.get(q)?.length ?? 0);
      this.#tables.set(q, Uint8Array.from(tables));
    }
    const kept = q >= 1 && q <= 99 ? tablesOfQuality(q) : (tables ?? this.#tables.get(q));
    const isKnown = (type & ~0x41) === 0 && width > 0 && height > 0;
    if (!isKnown || kept === undefined) return undefined;
    return jpegHeader({ width, height, halfLines: (type & 1) === 1, restartInterval, tables: kept });
  }

  /** Ends a picture whose bytes are all there, if its packets do not contradict each other. */
  #complete(picture: Picture, head: Buffer): void {
    const { order, pieces, length, low, high } = picture;
    const offsets = [...order.keys()].sort((a, b) => a - b);
    const inOrder = offsets.map((offset) => order.get(offset) as number);
    let end = 0;
    for (const [index, piece] of inOrder.entries()) {
      if (offsets[index] !== end) break;
      end += pieces.lengthOf(piece);
    }
    if (end !== length || end !== pieces.length) {
      this.#endUntil(picture, "invalid");
      return;
    }
    const before = this.#pictures[this.#pictures.indexOf(picture) - 1];
    if (before !== undefined) this.#endUntil(before, "gap");
    // Each packet between two pictures was part of a picture that is missing as a whole.
    const missing = low - this.#expected;
    if (this.#isCertain && missing > 0) this.#sink.lost({ cause: "gap", received: 0, missing });
    this.#end(picture, high + 1);
    const file = pieces.join(inOrder, head, eoi);
    const body = file.length - eoi.length;
    // A file that came with its headers is left as it is.
    const hasEnd = head.length === 0 || (file[body - 2] === eoi[0] && file[body - 1] === eoi[1]);
    this.#sink.message({
      data: hasEnd ? file.subarray(0, body) : file,
      chunks: pieces.count,
      verified: true,
    });
  }

  /** Gives up the pictures up to this one, the older ones because of a gap. */
  #endUntil(picture: Picture, cause: DecoderLoss["cause"]): void {
    for (let each = this.#pictures[0]; each !== undefined; each = this.#pictures[0]) {
      const next = this.#pictures[1];
      // The number of the first packet after the picture, if it is known.
      const after = next?.head === undefined ? each.high + 1 : Math.max(next.low, each.high + 1);
      const start = this.#isCertain ? this.#expected : each.low;
      const { received } = each;
      const isLast = each === picture;
      const missing = Math.max(after - start - received, 0);
      this.#end(each, after);
      this.#sink.lost({ cause: isLast ? cause : "gap", received, missing });
      if (isLast) return;
    }
  }

  #end(picture: Picture, expected: number): void {
    this.#pictures.splice(this.#pictures.indexOf(picture), 1);
    this.#expected = Math.max(this.#expected, expected);
    this.#isCertain = true;
  }
}
