/**
 * Payloads as text. They come from unknown senders and go to a terminal, so characters that a terminal could execute,
 * reorder or hide are never printed: control characters, format characters such as bidi overrides, invisible ones.
 */

import { Buffer, isUtf8 } from "node:buffer";

const notPrintable = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const everyNotPrintable = new RegExp(notPrintable, "gu");
/** The characters of a text that may be shown as something else than themselves. */
const specialInText = new RegExp(`["'\\\\]|${notPrintable.source}`, "gu");
/** Characters that a payload with text may have, because they are shown as escapes. */
const lineCharacters = /[\n\r\t]/g;

/** How one byte of a payload that is not text is shown, without the quotes around it. */
const shownBytes: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
);
/** Columns that a payload has even on a narrow terminal: for quotes, a byte or two and ` … 65,507 more`. */
const minColumns = 20;
const escapes: ReadonlyMap<string, string> = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\\", "\\\\"],
]);
/** One byte or character as it is shown: an escape sequence, or itself. */
const shownUnit = /\\x..|\\u.{4}|\\U.{8}|\\.|./gu;
const hexUnit = /../g;
const character = /./gu;

/** A payload as it is shown. The body has one unit for each byte, or for each character of text. */
interface Notation {
  readonly before: string;
  readonly body: string;
  readonly after: string;
  readonly unit: RegExp;
  /** Whether a unit is a character, which may have several bytes. */
  readonly isText: boolean;
}

/**
 * A payload on one line, as Python would show it. Text is in quotes, `"two\nlines"`, with the escapes of line ends, tabs and
 * backslashes, and of characters that are not printable: `"\x1b[1mgrün"`. Other bytes are `b"\xff\x00"`: those that are no UTF-8, or
 * with more than one of four characters that are not printable. With `hex` the payload is hex digits without quotes.
 *
 * @param columns if there are more, the end is cut: `"the beginning" … 1,342 more`, in bytes.
 */
export function showPayload(data: Buffer, hex: boolean, columns: number): string {
  if (data.length === 0) return '""';
  const { before, body, after, unit, isText } = notationOf(data, hex);
  const room = Math.max(columns, minColumns) - before.length - after.length;
  const whole = room === Infinity || startOf(body, unit, room) === body.length;
  if (whole) return before + body + after;
  const start = startOf(body, unit, room - more(data.length).length);
  const kept = body.slice(0, start).match(unit) ?? [];
  const bytes = isText ? kept.reduce((sum, each) => sum + bytesOf(each), 0) : kept.length;
  return before + kept.join("") + after + more(data.length - bytes);
}

/** A payload as the fields of a JSON object: `text` for valid UTF-8, else `hex`. */
export function payloadFields(data: Buffer): { text: string } | { hex: string } {
  return isUtf8(data) ? { text: data.toString("utf8") } : { hex: data.toString("hex") };
}

/** A value as one line of JSON that is safe on a terminal: characters that are not printable are escaped. */
export function jsonLine(value: unknown): string {
  return `${printable(JSON.stringify(value), (unit) => `\\u${unit}`)}\n`;
}

/** A text for a terminal, with characters that are not printable as `\u{…}`. */
export function printable(text: string, escape: (unit: string) => string = (unit) => `\\u{${unit}}`): string {
  return text.replaceAll(everyNotPrintable, (character) => {
    const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
    return units.map((unit) => escape(unit.toString(16).padStart(4, "0"))).join("");
  });
}

/** Columns of a text on a terminal, or a few more. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfUnit(character);
  return columns;
}

/** The start of a text that has at most `columns` columns. */
export function cutText(text: string, columns: number): string {
  return text.slice(0, startOf(text, character, columns));
}

/** A number for people: `1,342`. */
function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

function notationOf(data: Buffer, hex: boolean): Notation {
  if (hex) return { before: "", body: data.toString("hex"), after: "", unit: hexUnit, isText: false };
  const text = textOf(data);
  const isText = text !== undefined;
  const plain = isText ? text : data.toString("latin1");
  // Single quotes keep JSON readable.
  const quote = plain.includes('"') && !plain.includes("'") ? "'" : '"';
  const special = isText ? specialInText : /[^ !#-&(-[\]-~]/g;
  const body = plain.replaceAll(special, (character) => {
    if (character === quote) return `\\${quote}`;
    const escape = escapes.get(character);
    if (escape !== undefined) return escape;
    return isText ? shownInText(character) : (shownBytes[character.charCodeAt(0)] ?? "");
  });
  return { before: isText ? quote : `b${quote}`, body, after: quote, unit: shownUnit, isText };
}

/** A payload as text; `undefined` if it is not UTF-8, or if more than one of four characters are not printable. */
function textOf(data: Buffer): string | undefined {
  if (!isUtf8(data)) return undefined;
  const text = data.toString("utf8");
  const other = text.replaceAll(lineCharacters, "");
  if (!notPrintable.test(other)) return text;
  return (other.match(everyNotPrintable) ?? []).length * 4 > text.length ? undefined : text;
}

/** A character of a text: itself if it is a quote, else its escape in a string of Python. */
function shownInText(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (!notPrintable.test(character)) return character;
  // `\x9b` would be a byte for the reader, and this character has two.
  if (code < 0x80) return shownBytes[code] ?? "";
  const digits = code.toString(16);
  return code > 0xffff ? `\\U${digits.padStart(8, "0")}` : `\\u${digits.padStart(4, "0")}`;
}

/** The length of the longest start of `body` that has whole units and at most `columns` columns. */
function startOf(body: string, unit: RegExp, columns: number): number {
  let end = 0;
  let used = 0;
  for (const [shown] of body.matchAll(unit)) {
    used += columnsOfUnit(shown);
    if (used > columns) break;
    end += shown.length;
  }
  return end;
}

/** Columns of a unit: two for a character that may be wide, such as Chinese characters and emoji. */
function columnsOfUnit(unit: string): number {
  return (unit.codePointAt(0) ?? 0) >= 0x1100 ? 2 : unit.length;
}

/** Bytes of a unit of text in UTF-8. */
function bytesOf(unit: string): number {
  if (/^\\u/i.test(unit)) return Buffer.byteLength(String.fromCodePoint(parseInt(unit.slice(2), 16)));
  return unit.startsWith("\\") ? 1 : Buffer.byteLength(unit);
}

function more(bytes: number): string {
  return ` … ${grouped(bytes)} more`;
}
