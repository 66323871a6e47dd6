/** The body of a REPORT frame: what a receiver has of a message. `docs/wire.md` is the specification. */

import {
  type Frame,
  chunksOf,
  frameHeaderBytes,
  frameOverheadBytes,
  read16,
  read32,
  write16,
  write32,
} from "./message-frame.js";

/** The largest `delay`; above it, or if it is not known, `unknownDelay` is sent. */
const maxDelay = 65_534;
export const unknownDelay = 65_535;
/** The `echo` of a report that no chunk caused. */
export const noEcho = 65_535;
/** Bytes of the body without its list. */
const fixedBytes = 8;
/** Bytes of a run in the list. */
const runBytes = 4;

/** The body of a report. */
export interface Report {
  /** The report is about the chunks below this number. Chunks at and above it have not arrived, unless the list was cut. */
  upto: number;
  /** How many chunks the receiver takes before its next report. 0: it refuses the message, because it is too long. */
  credit: number;
  /** The chunk that caused the report; `noEcho` if no chunk did. */
  echo: number;
  /** How long ago that chunk arrived, in units of 1/8 ms. */
  delay: number;
  /** The missing chunks below `upto`: start and count of each run, in order. */
  missing: number[];
  /** For a refused message, the largest length in bytes that the receiver takes. */
  limit: number;
}

/** Returns an empty report. */
export function newReport(): Report {
  return { upto: 0, credit: 0, echo: noEcho, delay: unknownDelay, missing: [], limit: 0 };
}

/** A time in milliseconds as the field `delay`. */
export function delayOf(ms: number): number {
  const delay = Math.round(ms * 8);
  return delay <= maxDelay ? delay : unknownDelay;
}

/** The number of runs that fit into a report whose datagram has at most `maxBytes`. */
export function maxRunsIn(maxBytes: number): number {
  return Math.floor((maxBytes - frameOverheadBytes - fixedBytes) / runBytes);
}

/** Bytes of the datagram of a report. */
export function reportBytes({ credit, missing }: Report): number {
  return frameOverheadBytes + fixedBytes + (credit === 0 ? runBytes : missing.length * 2);
}

/** Writes the body after the header of `bytes`, which has `reportBytes(report)`. */
export function writeReport(report: Readonly<Report>, bytes: Uint8Array): void {
  let at = frameHeaderBytes;
  for (const value of [report.upto, report.credit, report.echo, report.delay]) {
    write16(bytes, at, value);
    at += 2;
  }
  if (report.credit === 0) write32(bytes, at, report.limit);
  else for (const value of report.missing) write16(bytes, (at += 2) - 2, value);
}

/**
 * Reads and checks the body of a report whose header was read.
 *
 * @param report gets the fields; meaningless if the result is `false`.
 * @returns whether the body is valid.
 */
export function readReport(bytes: Uint8Array, frame: Readonly<Frame>, report: Report): boolean {
  const bodyBytes = bytes.length - frameOverheadBytes;
  if (bodyBytes < fixedBytes || (bodyBytes - fixedBytes) % runBytes !== 0) return false;
  const chunks = chunksOf(frame.length, frame.size);
  const upto = (report.upto = read16(bytes, 20));
  report.credit = read16(bytes, 22);
  report.echo = read16(bytes, 24);
  report.delay = read16(bytes, 26);
  report.missing = [];
  report.limit = 0;
  if (upto > chunks || (report.echo !== noEcho && report.echo >= chunks)) return false;
  if (report.credit === 0) {
    if (bodyBytes !== fixedBytes + runBytes || upto !== 0 || frame.index !== 0) return false;
    report.limit = read32(bytes, 28);
    return report.limit < frame.length;
  }
  let end = 0;
  for (let at = frameHeaderBytes + fixedBytes; at < frameHeaderBytes + bodyBytes; at += runBytes) {
    const start = read16(bytes, at);
    const count = read16(bytes, at + 2);
    // Two runs that touch are one run.
    if (count === 0 || (end > 0 && start <= end) || start + count > upto) return false;
    report.missing.push(start, count);
    end = start + count;
  }
  return frame.index === (report.missing[0] ?? upto);
}
