/**
 * Payloads as text. They come from unknown senders and go to a terminal, so characters that a terminal could execute,
 * reorder or hide are never printed: control characters, format characters such as bidi overrides, invisible ones.
 */

import { type Buffer, isUtf8 } from "node:buffer";

const notPrintable = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const everyNotPrintable = new RegExp(notPrintable, "gu");

/** The text of a payload that is printable UTF-8, else `undefined`. */
export function printableText(data: Buffer): string | undefined {
  if (!isUtf8(data)) return undefined;
  const text = data.toString("utf8");
  return notPrintable.test(text) ? undefined : text;
}

/**
 * A payload on one line. Printable text is in double quotes, and one line end after it is shown as `\n` or `\r\n` outside
 * them. Everything else is shown as hex digits without quotes.
 */
export function showPayload(data: Buffer, hex: boolean): string {
  if (data.length === 0) return '""';
  if (hex) return data.toString("hex");
  const [body, lineEnd] = splitLineEnd(data);
  const text = printableText(body);
  return text === undefined ? data.toString("hex") : `"${text}"${lineEnd}`;
}

/** A payload as the fields of a JSON object: `text` for valid UTF-8, else `hex`. */
export function payloadFields(data: Buffer, hex: boolean): { text: string } | { hex: string } {
  return !hex && isUtf8(data) ? { text: data.toString("utf8") } : { hex: data.toString("hex") };
}

/** A value as one line of JSON that is safe on a terminal: characters that are not printable are escaped. */
export function jsonLine(value: unknown): string {
  return `${printable(JSON.stringify(value), (unit) => `\\u${unit}`)}\n`;
}

/** A text for a terminal, with characters that are not printable as `\u{…}`. */
export function printable(text: string, escape = (unit: string): string => `\\u{${unit}}`): string {
  return text.replaceAll(everyNotPrintable, (character) => {
    const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
    return units.map((unit) => escape(unit.toString(16).padStart(4, "0"))).join("");
  });
}

/** A payload without its line end, and the line end as it is shown. */
export function splitLineEnd(data: Buffer): [body: Buffer, shown: string] {
  if (data.at(-1) !== 0x0a) return [data, ""];
  return data.at(-2) === 0x0d ? [data.subarray(0, -2), "\\r\\n"] : [data.subarray(0, -1), "\\n"];
}
