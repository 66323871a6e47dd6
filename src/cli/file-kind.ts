/** The extension of a file, from its content. A sender never chooses it. */

import { type Buffer, isUtf8 } from "node:buffer";

/** Bytes of the longest text that is parsed as JSON. */
const maxJsonBytes = 1 << 20;
/** Control characters that a text file does not have. */
const control = /[\u0000-\u0008\u000e-\u001a\u001c-\u001f\u007f]/;

/** The first bytes of formats, as Latin-1. */
const beginnings: readonly (readonly [RegExp, string])[] = [
  [/^\xff\xd8\xff/, "jpg"],
  [/^\x89PNG\r\n\x1a\n/, "png"],
  [/^GIF8[79]a/, "gif"],
  [/^RIFF[^]{4}WEBP/, "webp"],
];

/** The extension without its dot: `jpg`, `png`, `gif`, `webp`, `json`, `txt`, or `bin` for any other content. */
export function extensionOf(data: Buffer): string {
  const start = data.toString("latin1", 0, 16);
  const found = beginnings.find(([beginning]) => beginning.test(start));
  if (found) return found[1];
  if (data.length === 0 || !isUtf8(data)) return "bin";
  const text = data.toString();
  if (control.test(text)) return "bin";
  return data.length <= maxJsonBytes && isJson(text) ? "json" : "txt";
}

/** Whether a text is a JSON object or array. */
function isJson(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
