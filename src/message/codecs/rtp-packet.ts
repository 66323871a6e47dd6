/** The headers of RTP (RFC 3550 section 5.1) and of JPEG over RTP (RFC 2435 section 3.1). */

/** A part of a picture. */
export interface RtpJpegPacket {
  /** The number of the packet, 0 to 65,535. */
  readonly sequence: number;
  /** The same for all packets of a picture. */
  readonly timestamp: number;
  /** The number of the stream. */
  readonly ssrc: number;
  /** Whether it is the last packet of its picture. */
  readonly marker: boolean;
  /** Where the part begins in the picture, in bytes. */
  readonly offset: number;
  /** 0 and 64 are 4:2:2, 1 and 65 are 4:2:0; 64 and 65 have restart markers. */
  readonly type: number;
  /** 1 to 99 are computed tables, 128 to 255 are tables in the packet or in an earlier one. */
  readonly q: number;
  /** Pixels, a multiple of 8. */
  readonly width: number;
  /** Pixels, a multiple of 8. */
  readonly height: number;
  /** Blocks between two restart markers; 0 without restart markers. */
  readonly restartInterval: number;
  /** The quantization tables, 64 bytes each; `undefined` if the packet has none. */
  readonly tables: Uint8Array | undefined;
  /** The bytes of the picture. */
  readonly data: Uint8Array;
}

const rtpBytes = 12;
const jpegBytes = 8;
/** Reads a packet. `undefined` if it is no packet of JPEG over RTP. */
export function readRtpJpeg(bytes: Uint8Array, payloadType: number): RtpJpegPacket | undefined {
  if (bytes.length < rtpBytes) return undefined;
  const first = bytes[0] as number;
  const second = bytes[1] as number;
  if (first >>> 6 !== 2 || (second & 0x7f) !== payloadType) return undefined;
  let at = rtpBytes + (first & 0x0f) * 4;
  if ((first & 0x10) !== 0) at += 4 + uint(bytes, at + 2, 2) * 4;
  const padding = (first & 0x20) === 0 ? 0 : (bytes[bytes.length - 1] as number);
  const end = bytes.length - padding;
  if (at + jpegBytes > end) return undefined;
  const type = bytes[at + 4] as number;
  const q = bytes[at + 5] as number;
  const offset = uint(bytes, at + 1, 3);
  const header = {
    sequence: uint(bytes, 2, 2),
    timestamp: uint(bytes, 4, 4),
    ssrc: uint(bytes, 8, 4),
    marker: second >= 0x80,
    offset,
    type,
    q,
    width: (bytes[at + 6] as number) * 8,
    height: (bytes[at + 7] as number) * 8,
  };
  at += jpegBytes;
  let restartInterval = 0;
  if (type >= 64 && type <= 127) {
    restartInterval = uint(bytes, at, 2);
    at += 4;
  }
  let tables: Uint8Array | undefined;
  // A picture with its JPEG headers inside has no tables before them, whatever Q says.
  const isWhole = bytes[at] === 0xff && bytes[at + 1] === 0xd8;
  if (q >= 128 && offset === 0 && !isWhole) {
    const length = uint(bytes, at + 2, 2);
    if (length > 0) tables = bytes.subarray(at + 4, at + 4 + length);
    // Tables with 16 bits a value, which the precision says, are not for baseline JPEG.
    if (bytes[at + 1] !== 0 || length % 64 !== 0 || length > 256) return undefined;
    at += 4 + length;
  }
  if (at > end) return undefined;
  return { ...header, restartInterval, tables, data: bytes.subarray(at, end) };
}

/** An unsigned number, big-endian. Bytes that are not there count as 0. */
function uint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = at; index < at + length; index++) value = value * 256 + (bytes[index] ?? 0);
  return value;
}
