/** What is fuzzed. A target gets the datagrams of an input, and throws an error if a promise of the code does not hold. */

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { gelf } from "../../src/message/codecs/gelf.js";
import { jpegSlices } from "../../src/message/codecs/jpeg-slices.js";
import { rtpJpeg } from "../../src/message/codecs/rtp-jpeg.js";
import { shortEnds } from "../../src/message/codecs/short-ends.js";
import { decodeAll } from "./decoding.js";
import { readFrames } from "./frames.js";
import { receiveAll } from "./receiving.js";
import { reportAll } from "./reporting.js";
import { type Step, parseSteps } from "./steps.js";

/** A part of the code that reads datagrams of strangers. */
export interface Target {
  readonly name: string;
  /** Whether the inputs are frames of `docs/wire.md`, whose checksums are made right again after a change. */
  readonly isFramed: boolean;
  /** @throws an error if the code does something wrong. */
  readonly run: (steps: readonly Step[]) => void;
}

export const targets: readonly Target[] = [
  { name: "frames", isFramed: true, run: readFrames },
  { name: "receiver", isFramed: true, run: receiveAll },
  { name: "sender", isFramed: true, run: reportAll },
  { name: "rtp-jpeg", isFramed: false, run: (steps) => decodeAll(rtpJpeg(), steps) },
  { name: "jpeg-slices", isFramed: false, run: (steps) => decodeAll(jpegSlices(), steps) },
  {
    name: "jpeg-lengths",
    isFramed: false,
    run: (steps) => decodeAll(jpegSlices({ length: "little-endian" }), steps),
  },
  {
    name: "short-ends",
    isFramed: false,
    run: (steps) => decodeAll(shortEnds({ sliceBytes: 300, start: Uint8Array.of(0, 0, 0, 1) }), steps),
  },
  { name: "gelf", isFramed: false, run: (steps) => decodeAll(gelf(), steps) },
];

/** The folder of the inputs that mutations start from. */
const here = fileURLToPath(new URL(".", import.meta.url)).replace(/\/build(?=\/test\/)/, "");

/** The folder with the inputs of a target. */
export function corpusFolder(target: string): string {
  return `${here}corpus/${target}`;
}

/** The inputs of a target, by file name. */
export function readCorpus(target: string): Map<string, Step[]> {
  const folder = corpusFolder(target);
  const files = readdirSync(folder).sort();
  return new Map(files.map((file) => [file, parseSteps(readFileSync(`${folder}/${file}`, "utf8"))]));
}
