/** Payloads of strangers as text. The results are for text nodes only. */

/** Characters that are invisible or change the order of others, except tab and line feed. */
const hidden = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** The payload as UTF-8. Wrong bytes become U+FFFD, and characters that would not be seen become `\u{…}`. */
export function asText(payload: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(payload).replace(hidden, visible);
}

/** The payload as JSON with indents; `undefined` if it is not JSON. */
export function asJson(payload: Uint8Array): string | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    return JSON.stringify(value, undefined, 2).replace(hidden, visible);
  } catch {
    // It is something else, or nested too deeply.
    return undefined;
  }
}

/** A line for each 16 bytes: the offset, hex digits, and the printable ASCII characters. */
export function asHex(payload: Uint8Array, perLine: number): string {
  const lines: string[] = [];
  for (let at = 0; at < payload.length; at += perLine) {
    const bytes = [...payload.subarray(at, at + perLine)];
    const digits = bytes.map((byte, index) => (index === 8 ? " " : "") + hexOf(byte)).join(" ");
    const width = perLine * 3 - 1 + (perLine > 8 ? 1 : 0);
    lines.push(
      `${at.toString(16).padStart(4, "0")}  ${digits.padEnd(width)}  ${bytes.map(printable).join("")}`,
    );
  }
  return lines.join("\n");
}

/** Pairs of hex digits to copy. */
export function hexDigits(payload: Uint8Array): string {
  return [...payload].map(hexOf).join("");
}

/** Bytes as base64. */
export function asBase64(payload: Uint8Array): string {
  let binary = "";
  for (const byte of payload) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Where a JPEG picture begins in a payload: FF D8 FF (ITU-T T.81 annex B); `undefined` if there is none. */
export function jpegIn(payload: Uint8Array): Uint8Array | undefined {
  for (let at = 0; at + 2 < Math.min(payload.length, 64); at++)
    if (payload[at] === 0xff && payload[at + 1] === 0xd8 && payload[at + 2] === 0xff)
      return payload.subarray(at);
  return undefined;
}

function visible(character: string): string {
  if (character === "\n" || character === "\t") return character;
  if (character === "\r") return "";
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

function hexOf(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function printable(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
}
