/**
 * Frames of messages: the 20-byte header that each datagram of `datagram/message` starts with, and the checksum that it ends
 * with. `docs/wire.md` is the specification. The body of a REPORT is in `message-report.ts`.
 */

import { crcOfHeader, crcOfShort, crcShift, crcWithItself, joinCrcs, knownCrcShift } from "./crc32.js";

/** Bytes of the header. */
export const frameHeaderBytes = 20;
/** Bytes of the header, and of the checksum at the end. */
export const frameOverheadBytes = 24;
/** The first byte of each frame: format and version. RFC 7983 leaves it to no protocol that shares ports with others. */
export const frameVersion = 0x0d;
/** The largest number of chunks of a message: their numbers have 16 bits. */
export const maxFrameChunks = 65_535;

/** The kinds of frames. */
export const frameKind = {
  data: 1,
  report: 2,
  parity: 3,
  request: 4,
  reply: 5,
  probe: 6,
  probeAck: 7,
} as const;

/** The flags of a frame, in the upper half of its second byte. */
export const frameFlag = {
  /** In a chunk or a parity: report now. In a REPORT: chunks are missing that are not in its list. */
  now: 0x10,
  /** In DATA and PARITY: nothing is sent again. In a REPLY: the handler failed, and the message is the reason. */
  fleeting: 0x20,
  /** In DATA and PARITY: the messages of this channel are delivered in the order of their ids. */
  ordered: 0x40,
} as const;

/** The fields of a header. One object can be used for many frames. */
export interface Frame {
  /** A value of `frameKind`. */
  kind: number;
  /** A sum of values of `frameFlag`. */
  flags: number;
  /** 0 to 255. */
  channel: number;
  /**
   * How often this chunk was sent before, modulo 256. In a fleeting DATA, how long the receiver waits for the rest, in units
   * of 10 ms, 0 for its own default. In a PARITY, the number of parities. In a REPORT, the value of the echoed chunk.
   */
  attempt: number;
  /** The number of the message, a uint32; in PROBE and PROBE_ACK, a token. */
  id: number;
  /** The number of the chunk, or of the parity; in a REPORT, of the first chunk that is missing. */
  index: number;
  /** Bytes of each chunk but the last, which may be shorter: 1 to 65,535. */
  size: number;
  /** Bytes of the message, a uint32. */
  length: number;
  /** The CRC-32 of the message. */
  crc: number;
}

/** The reason why bytes are not a frame. Each is a counter of the statistics. */
export type FrameFault = "short" | "version" | "checksum" | "kind" | "flags" | "size" | "index" | "payload";

const checksumBytes = frameOverheadBytes - frameHeaderBytes;
/** Datagrams of a run from which on one look at all of them is cheaper, even if `crcShift` has to be made. */
const minSealed = 8;
/** Bytes of a report with a few gaps, for which a call of `checksum` takes longer than the CRC in JavaScript. */
const maxShortBytes = 64;
const { data, report, parity, request, reply, probe, probeAck } = frameKind;
const { now, fleeting, ordered } = frameFlag;
/** The flags that each kind may have, by kind. */
const knownFlags: readonly number[] = [
  0,
  now | fleeting | ordered,
  now,
  now | fleeting | ordered,
  now,
  now | fleeting,
  0,
  0,
];

/**
 * A CRC-32, which goes on from `value` if it is given: `crc32` of `node:zlib`. This folder imports none, so its callers pass one.
 */
export type Checksum = (bytes: Uint8Array, value?: number) => number;

/** The payload of a frame that was read. */
export interface Payload<Bytes extends Uint8Array> {
  bytes: Bytes;
  /** The CRC-32 of the bytes as int32; `undefined` if reading the frame did not need it. */
  crc: number | undefined;
}

/** Returns an empty frame, for `readFrame` and `writeFrame`. */
export function newFrame(): Frame {
  return { kind: 0, flags: 0, channel: 0, attempt: 0, id: 0, index: 0, size: 0, length: 0, crc: 0 };
}

/** The number of chunks of a message: at least 1, because an empty message is one empty chunk. */
export function chunksOf(length: number, size: number): number {
  return Math.max(1, Math.ceil(length / size));
}

/** Bytes of the longest message in chunks of `size` bytes. */
export function longestBytes(size: number): number {
  return size * maxFrameChunks;
}

/** Bytes of the payload of chunk `index`. */
export function chunkBytes({ length, size }: Pick<Frame, "length" | "size">, index: number): number {
  return Math.min(size, length - index * size);
}

/** Whether nothing of a message is sent again. The same flag means something else in a REPLY. */
export function isFleeting({ kind, flags }: Pick<Frame, "kind" | "flags">): boolean {
  return kind !== reply && (flags & fleeting) !== 0;
}

/** Whether the messages of the channel are delivered in the order of their ids. */
export function isOrdered({ kind, flags }: Pick<Frame, "kind" | "flags">): boolean {
  return (kind === data || kind === parity) && (flags & ordered) !== 0;
}

/** Writes the header at byte `at` of `bytes`. */
export function writeFrame(frame: Readonly<Frame>, bytes: Uint8Array, at = 0): void {
  bytes[at] = frameVersion;
  bytes[at + 1] = frame.kind | frame.flags;
  bytes[at + 2] = frame.channel;
  bytes[at + 3] = frame.attempt;
  write32(bytes, at + 4, frame.id);
  write16(bytes, at + 8, frame.index);
  write16(bytes, at + 10, frame.size);
  write32(bytes, at + 12, frame.length);
  write32(bytes, at + 16, frame.crc);
}

/** Writes the checksum of a whole datagram into its last 4 bytes. */
export function sealFrame(bytes: Uint8Array, checksum: Checksum): void {
  const end = bytes.length - checksumBytes;
  const isShort = end <= maxShortBytes && end % 4 === 0;
  write32(bytes, end, isShort ? crcOfShort(bytes, 0, end) : checksum(bytes.subarray(0, end)));
}

/**
 * Reads and checks the header of a datagram, its checksum, and the length of what is between them. The body of a REPORT is not
 * checked. The datagram is the bytes from `start` to `end`.
 *
 * @param frame gets the fields; meaningless after a fault.
 * @param payload gets what is between header and checksum; meaningless after a fault.
 * @returns the fault; `undefined` if the datagram is a frame.
 */
export function readFrame<Bytes extends Uint8Array>(
  bytes: Bytes,
  frame: Frame,
  checksum: Checksum,
  payload?: Payload<Bytes>,
  start = 0,
  end: number = bytes.length,
): FrameFault | undefined {
  if (start === end || bytes[start] !== frameVersion) return "version";
  const payloadStart = start + frameHeaderBytes;
  const payloadEnd = end - checksumBytes;
  if (payloadEnd < payloadStart) return "short";
  const body = bytes.subarray(payloadStart, payloadEnd) as Bytes;
  const payloadBytes = payloadEnd - payloadStart;
  const headerCrc = crcOfHeader(bytes, start);
  const shift = payload && knownCrcShift(payloadBytes);
  let crc: number;
  let payloadCrc: number | undefined;
  if (shift) {
    payloadCrc = checksum(body);
    crc = joinCrcs(headerCrc, payloadCrc, shift);
  } else crc = checksum(body, headerCrc >>> 0);
  if (payload) {
    payload.bytes = body;
    payload.crc = payloadCrc;
  }
  if ((crc | 0) !== (read32(bytes, payloadEnd) | 0)) return "checksum";
  return readHeader(bytes, frame, start, payloadBytes);
}

/** As `readFrame`, for a datagram whose checksum is right, as `endOfSealed` has said. */
export function readSealedFrame<Bytes extends Uint8Array>(
  bytes: Bytes,
  frame: Frame,
  payload: Payload<Bytes>,
  start: number,
  end: number,
): FrameFault | undefined {
  if (bytes[start] !== frameVersion) return "version";
  const payloadStart = start + frameHeaderBytes;
  const payloadEnd = end - checksumBytes;
  const payloadBytes = payloadEnd - payloadStart;
  const shift = knownCrcShift(payloadBytes);
  payload.bytes = bytes.subarray(payloadStart, payloadEnd) as Bytes;
  // What is left of the checksum without the header.
  payload.crc = shift && joinCrcs(crcOfHeader(bytes, start), read32(bytes, payloadEnd), shift);
  return readHeader(bytes, frame, start, payloadBytes);
}

/**
 * Whether a datagram, which was not checked, says that its message has more chunks.
 *
 * @param datagramBytes at least those of an empty frame.
 */
export function isOneOfSeveral(bytes: Uint8Array, start: number, datagramBytes: number): boolean {
  return read32(bytes, start + 12) > datagramBytes - frameOverheadBytes;
}

/** Reads the fields of a datagram, which was not checked, that say which message it is of: `id` and `crc`. */
export function readIdentity(bytes: Uint8Array, start: number, frame: Frame): void {
  frame.id = read32(bytes, start + 4);
  frame.crc = read32(bytes, start + 16);
}

/**
 * Returns where the datagrams of a run end that have the right checksums. This is 0 if one of them is wrong, or if the run is too
 * short. It takes one look at all bytes, with one call of `checksum`. Wrong bytes pass with the same probability as in one datagram.
 *
 * @param segment bytes of each datagram but the last, which may be shorter.
 */
export function endOfSealed(bytes: Uint8Array, segment: number, checksum: Checksum): number {
  const datagrams = segment < frameOverheadBytes ? 0 : Math.floor(bytes.length / segment);
  if (datagrams < minSealed) return 0;
  const end = datagrams * segment;
  const shift = crcShift(segment);
  let crc = 0;
  for (let at = segment - checksumBytes; at < end; at += segment)
    crc = joinCrcs(crc, crcWithItself(read32(bytes, at)), shift);
  return (checksum(bytes.subarray(0, end)) | 0) === crc ? end : 0;
}

function readHeader(
  bytes: Uint8Array,
  frame: Frame,
  start: number,
  payloadBytes: number,
): FrameFault | undefined {
  const second = bytes[start + 1] as number;
  const kind = (frame.kind = second & 0x0f);
  const flags = (frame.flags = second & 0xf0);
  frame.channel = bytes[start + 2] as number;
  frame.attempt = bytes[start + 3] as number;
  frame.id = read32(bytes, start + 4);
  frame.index = read16(bytes, start + 8);
  frame.size = read16(bytes, start + 10);
  frame.length = read32(bytes, start + 12);
  frame.crc = read32(bytes, start + 16);
  const known = kind === 0 ? undefined : knownFlags[kind];
  if (known === undefined) return "kind";
  if ((flags & ~known) !== 0 || (flags & (fleeting | ordered)) === (fleeting | ordered)) return "flags";
  if (kind === probe || kind === probeAck) return faultOfProbe(payloadBytes, frame);
  const { index, size, length } = frame;
  if (size === 0) return "size";
  const chunks = chunksOf(length, size);
  if (chunks > maxFrameChunks) return "size";
  switch (kind) {
    case data:
    case request:
    case reply:
      if (index >= chunks) return "index";
      break;
    case parity:
      if (frame.attempt === 0 || frame.attempt > chunks || index >= frame.attempt) return "index";
      break;
    case report:
      return index > chunks ? "index" : undefined;
  }
  // The first chunk that a parity covers is also the longest.
  return payloadBytes === chunkBytes(frame, index) ? undefined : "payload";
}

function faultOfProbe(payloadBytes: number, frame: Frame): FrameFault | undefined {
  if (payloadBytes !== 0) return "payload";
  const { channel, attempt, index, size, length, crc } = frame;
  return (channel | attempt | index | size | length | crc) === 0 ? undefined : "index";
}

export function read16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

export function read32(bytes: Uint8Array, at: number): number {
  return (read16(bytes, at) * 0x1_0000 + read16(bytes, at + 2)) >>> 0;
}

export function write32(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at, value >>> 16);
  write16(bytes, at + 2, value & 0xffff);
}
