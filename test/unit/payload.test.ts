import { Buffer } from "node:buffer";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { showPayload } from "../../src/cli/payload.js";

const text = fc.string({ unit: "grapheme", maxLength: 80 }).map((each) => Buffer.from(each));
const bytes = fc.uint8Array({ maxLength: 80 }).map((each) => Buffer.from(each));
/** Text with characters that a terminal could execute, reorder or hide. */
const mixed = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...Array.from("aü日\t\n\"'\\🙂")) },
      fc.constantFrom(...Array.from("\u001b\0\u007f\u009b\u202e\ufeff\u{e0041}\ue0a0")),
    ),
    {
      maxLength: 60,
    },
  )
  .map((each) => Buffer.from(each.join("")));
const payload = fc.oneof(text, bytes, mixed);

describe("a payload as it is shown", () => {
  test("has only printable characters, and every byte can be read back", () => {
    fc.assert(
      fc.property(payload, (data) => {
        const shown = showPayload(data, false, Infinity);
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        expect(readBack(shown)).toEqual(data);
      }),
    );
  });

  test("fits the columns, and its beginning and the number after it are all bytes", () => {
    fc.assert(
      fc.property(payload, fc.boolean(), fc.integer({ min: 20, max: 120 }), (data, hex, columns) => {
        const shown = showPayload(data, hex, columns);
        expect(shown.length).toBeLessThanOrEqual(columns);
        const [, beginning = shown, more = "0"] = /^(.*) … (\d+) more$/s.exec(shown) ?? [];
        const read = hex && data.length > 0 ? Buffer.from(beginning, "hex") : readBack(beginning);
        expect(data.subarray(0, read.length)).toEqual(read);
        expect(read.length + Number(more)).toBe(data.length);
      }),
    );
  });

  test("is whole if it just fits, and cut if it has one column more", () => {
    const data = Buffer.from("x".repeat(30));
    expect(showPayload(data, false, 32)).toBe(`"${"x".repeat(30)}"`);
    expect(showPayload(data, false, 31)).toBe(`"${"x".repeat(19)}" … 11 more`);
    expect(showPayload(Buffer.alloc(2000, "x"), false, 40)).toBe(`"${"x".repeat(25)}" … 1,975 more`);
  });

  test("is text with escapes if few characters are not printable, else bytes", () => {
    const shown = (data: string): string => showPayload(Buffer.from(data), false, Infinity);
    expect(shown("\u001b[1mgrün\u001b[0m\tan\n")).toBe(String.raw`"\x1b[1mgrün\x1b[0m\tan\n"`);
    expect(shown("lüge\u202e exe.\u009b\u{e0041}")).toBe(String.raw`"lüge\u202e exe.\u009b\U000e0041"`);
    expect(shown("ab\0")).toBe(String.raw`b"ab\x00"`);
    expect(shown("abc\0")).toBe(String.raw`"abc\x00"`);
    const cut = (data: string): string => showPayload(Buffer.from(data), false, 20);
    expect(cut("abcdefghijk\u202exyz")).toBe('"abcdefgh" … 9 more');
    expect(cut("ab\u202ecdefghijklmnopq")).toBe(String.raw`"ab\u202e" … 15 more`);
  });

  test("counts two columns for wide characters", () => {
    const shown = showPayload(Buffer.from("日本語".repeat(20)), false, 40);
    expect(shown).toBe('"日本語日本語日本語日本語日" … 141 more');
  });
});

/** The bytes of a literal of Python, with the escapes that are used here. */
function readBack(literal: string): Buffer {
  const [, b, quote, body = ""] = /^(b?)(["'])(.*)\2$/su.exec(literal) ?? [];
  expect(quote).toBeDefined();
  const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
  const plain = body.replaceAll(
    /\\(?:[xuU]((?<=x)..|(?<=u).{4}|(?<=U).{8})|(.))/g,
    (_, hex?: string, character?: string) =>
      hex === undefined
        ? (escapes[character ?? ""] ?? character ?? "")
        : String.fromCodePoint(parseInt(hex, 16)),
  );
  return Buffer.from(plain, b ? "latin1" : "utf8");
}
