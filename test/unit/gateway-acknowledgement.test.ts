/** The short form of an acknowledgement that is read without a JSON parser. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { isStored, readAcknowledgement, storedStart } from "../../src/gateway/acknowledgement.js";

test.for([
  ['{"stream":"cameras", "seq":1}', true],
  ['{"stream":"cameras", "seq":9876543210}', true],
  ['{"stream":"cameras", "seq":0}', false],
  ['{"stream":"cameras", "seq":}', false],
  ['{"stream":"cameras", "seq":1', false],
  ['{"stream":"cameras", "seq":1e3}', false],
  ['{"stream":"cameras", "seq":1,"duplicate": true}', false],
  ['{"stream":"camera", "seq":1}', false],
  ['{"error":{"code":503},"stream":"cameras","seq":1}', false],
  ["", false],
] as const)("%s is the short form: %s", ([text, isShort]) => {
  expect(isStored(Buffer.from(text), storedStart("cameras"))).toBe(isShort);
});

test("an acknowledgement in the short form is one that the JSON parser reads as stored for the first time", () => {
  const start = storedStart("cameras");
  const end = fc.stringMatching(/^[0-9a-z"}{:, -]{0,6}$/);
  fc.assert(
    fc.property(end, (text) => {
      const bytes = Buffer.concat([start, Buffer.from(`${text}}`)]);
      const read = readAcknowledgement(bytes, "cameras");
      if (isStored(bytes, start)) expect(read).toEqual({ kind: "stored", isDuplicate: false });
      else expect(/^[1-9]\d*$/.test(text)).toBe(false);
    }),
  );
});
