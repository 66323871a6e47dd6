import type { Buffer } from "node:buffer";

import type { DatagramRow } from "../protocol.js";

/** Characters of a preview. */
const previewCharacters = 80;
/** Bytes that are looked at to tell text from other bytes. */
const lookedAtBytes = 256;

/** What a payload looks like, and its beginning as text or as hex digits. It never throws for any bytes. */
export function lookOf(data: Buffer): Pick<DatagramRow, "looks" | "preview"> {
  if (data.length === 0) return { looks: "empty", preview: "" };
  const text = textOf(data);
  if (text?.hasControls === false)
    return { looks: isJson(data, text.preview) ? "json" : "text", preview: text.preview };
  const looks = looksOfBytes(data);
  if (looks === "binary" && text !== undefined) return { looks: "text", preview: text.preview };
  return { looks, preview: data.toString("hex", 0, previewCharacters / 2) };
}

/** The first two bytes that each JPEG picture begins with: FF D8 (ITU-T T.81 annex B). */
export function beginsJpeg(data: Uint8Array, at = 0): boolean {
  return data[at] === 0xff && data[at + 1] === 0xd8;
}

/**
 * Whether it looks like a packet of RTP (RFC 3550 section 5.1): version 2, a type that is in use, and room for what its first byte
 * says is in it.
 */
export function looksLikeRtp(data: Uint8Array): boolean {
  const { length } = data;
  const first = data[0] ?? 0;
  if (length < 12 || first >> 6 !== 2 || !isRtpType((data[1] as number) & 0x7f)) return false;
  const headerBytes = 12 + (first & 0x0f) * 4 + ((first & 0x10) === 0 ? 0 : 4);
  const paddingBytes = (first & 0x20) === 0 ? 0 : (data[length - 1] as number);
  return headerBytes + paddingBytes <= length;
}

/** Whether a payload type of RTP is in use: RFC 3551 section 6. Those from 72 to 76 would be RTCP. */
function isRtpType(type: number): boolean {
  if (type >= 96) return true;
  return type <= 34 && ![1, 2, 19, 20, 21, 22, 23, 24, 27, 29, 30].includes(type);
}

function looksOfBytes(data: Buffer): DatagramRow["looks"] {
  if (beginsJpeg(data)) return "jpeg";
  // docs/wire.md: the version, then the kind in the lower half of a byte.
  if (
    data[0] === 0x0d &&
    data.length >= 24 &&
    ((data[1] as number) & 0x0f) >= 1 &&
    ((data[1] as number) & 0x0f) <= 7
  )
    return "message";
  return looksLikeRtp(data) ? "rtp" : "binary";
}

/**
 * The beginning of a payload as one line of text, with `\u{…}` for each character that would not be seen; `undefined` if it is not
 * UTF-8, or if more than one of four characters are control characters.
 */
function textOf(data: Buffer): { readonly preview: string; readonly hasControls: boolean } | undefined {
  const isCut = data.length > lookedAtBytes;
  const start = isCut ? data.subarray(0, lookedAtBytes) : data;
  const isPlain = start.every((byte) => byte >= 0x20 && byte < 0x7f);
  if (isPlain) return { preview: start.toString("latin1", 0, previewCharacters), hasControls: false };
  const text = decoded(start, isCut);
  if (text === undefined) return undefined;
  const controls = countControls(text);
  if (controls * 4 > text.length) return undefined;
  const line = text.replace(/\s+/g, " ");
  // Characters that turn the direction of a line, or have no width, could make a page lie about addresses.
  const seen = line.replace(/\p{C}/gu, (each) => `\\u{${(each.codePointAt(0) as number).toString(16)}}`);
  return { preview: Array.from(seen).slice(0, previewCharacters).join(""), hasControls: controls > 0 };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of UTF-8; `undefined` if it is not UTF-8. @param isCut whether the last character may be cut. */
function decoded(bytes: Buffer, isCut: boolean): string | undefined {
  try {
    if (!isCut) return decoder.decode(bytes);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
}

/** How many control characters (C0 and DEL) that are no white space a text has. */
function countControls(text: string): number {
  let controls = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x09 || (unit > 0x0d && unit < 0x20) || unit === 0x7f) controls++;
  }
  return controls;
}

/** Bytes of the longest payload that is parsed to see whether it is JSON. */
const parsedBytes = 2048;

function isJson(data: Buffer, text: string): boolean {
  if (!/^\s?[[{]/.test(text)) return false;
  // A stranger could keep the program busy with long ones: their first and last characters are enough.
  if (data.length > parsedBytes) return /[\]}]\s*$/.test(data.toString("latin1", data.length - 16));
  try {
    JSON.parse(data.toString());
    return true;
  } catch {
    return false;
  }
}
