/**
 * Blocks of capture files (draft-ietf-opsawg-pcapng), little-endian. A file has a section header, a description of each
 * interface, and packets. Names and comments are cut to 65,535 bytes of UTF-8.
 */

/** The link type of packets that start with their IPv4 or IPv6 header. */
export const LINKTYPE_RAW = 101;

export interface CaptureInterface {
  readonly linkType: number;
  /** The largest number of bytes that is captured of a packet; 0 is no limit. */
  readonly snapLength: number;
  readonly name: string;
}

export interface CapturedPacket {
  /** The number of the interface, from 0 in the order of the descriptions. */
  readonly interfaceId: number;
  /** Nanoseconds since 1970, 64 bits. */
  readonly timestamp: bigint;
  /** Bytes on the link. */
  readonly originalLength: number;
  /** The captured bytes. */
  readonly data: Uint8Array;
  readonly direction?: "inbound" | "outbound" | undefined;
  readonly comment?: string | undefined;
}

/** The block that starts a file. It leaves the length open. @param application name of the program that writes the file. */
export function sectionHeader(application: string): Uint8Array {
  const byteOrder = 0x1a2b_3c4d;
  const version = 1;
  return block(0x0a0d_0d0a, [byteOrder, version, 0xffff_ffff, 0xffff_ffff], nothing, [
    { code: 4, value: utf8(application) },
  ]);
}

/** The block that describes an interface. Its timestamps are in nanoseconds. */
export function interfaceDescription({ linkType, snapLength, name }: CaptureInterface): Uint8Array {
  return block(1, [linkType, snapLength], nothing, [
    { code: 2, value: utf8(name) },
    { code: 9, value: Uint8Array.of(9) },
  ]);
}

/** The block of a packet. */
export function enhancedPacket(packet: CapturedPacket): Uint8Array {
  const { interfaceId, timestamp, originalLength, data, direction, comment } = packet;
  const options: BlockOption[] = [];
  if (comment !== undefined) options.push({ code: 1, value: utf8(comment) });
  if (direction) options.push({ code: 2, value: Uint8Array.of(direction === "inbound" ? 1 : 2, 0, 0, 0) });
  const time = [Number(timestamp >> 32n), Number(timestamp & 0xffff_ffffn)];
  return block(6, [interfaceId, ...time, data.length, originalLength], data, options);
}

interface BlockOption {
  readonly code: number;
  readonly value: Uint8Array;
}

const nothing = new Uint8Array();
const endOfOptions: BlockOption = { code: 0, value: nothing };
const encoder = new TextEncoder();

/** A block: its length, words of 32 bits, data, options, and its length again. */
function block(
  type: number,
  words: readonly number[],
  data: Uint8Array,
  options: readonly BlockOption[],
): Uint8Array {
  const listed = options.length > 0 ? [...options, endOfOptions] : options;
  const optionBytes = listed.reduce((sum, { value }) => sum + 4 + padded(value.length), 0);
  const length = 8 + 4 * words.length + padded(data.length) + optionBytes + 4;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const word of [type, length, ...words]) {
    view.setUint32(at, word, true);
    at += 4;
  }
  bytes.set(data, at);
  at += padded(data.length);
  for (const { code, value } of listed) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  view.setUint32(at, length, true);
  return bytes;
}

/** The next multiple of 4. */
function padded(length: number): number {
  return (length + 3) & ~3;
}

/** The bytes of a text, cut at a whole character if it is longer than an option can be. */
function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.min(3 * text.length, 0xffff));
  return bytes.subarray(0, encoder.encodeInto(text, bytes).written);
}
