import { crc32 } from "node:zlib";

import { type Frame, chunksOf, frameKind, newFrame, sealFrame, writeFrame } from "../wire/message-frame.js";
import {
  delayOf,
  newReport,
  noEcho,
  reportBytes,
  unknownDelay,
  writeReport,
} from "../wire/message-report.js";
import type { Incoming } from "./incoming.js";

/** Writes the datagrams of reports. */
export class ReportWriter {
  readonly #header = newFrame();
  readonly #report = newReport();

  /** What has arrived of a message. */
  partial(partial: Incoming, credit: number, now: number): Uint8Array {
    const { id, channel, size, length, crc } = partial.frame;
    Object.assign(this.#header, { kind: frameKind.report, id, channel, size, length, crc });
    this.#report.credit = credit;
    partial.report(this.#header, this.#report, now);
    return this.#write();
  }

  /** The message of a chunk or a parity has arrived completely. @param heldMs since the chunk arrived */
  complete(frame: Readonly<Frame>, credit: number, heldMs: number): Uint8Array {
    const chunks = chunksOf(frame.length, frame.size);
    const isChunk = frame.kind !== frameKind.parity;
    Object.assign(this.#header, frame, { kind: frameKind.report, flags: 0, index: chunks });
    Object.assign(this.#report, {
      upto: chunks,
      credit,
      echo: isChunk ? frame.index : noEcho,
      delay: isChunk ? delayOf(heldMs) : unknownDelay,
    });
    this.#report.missing.length = 0;
    return this.#write();
  }

  /** The message of a chunk is longer than `limit` bytes. */
  refused(frame: Readonly<Frame>, limit: number): Uint8Array {
    Object.assign(this.#header, frame, { kind: frameKind.report, flags: 0, index: 0 });
    Object.assign(this.#report, { upto: 0, credit: 0, echo: noEcho, delay: unknownDelay, limit });
    return this.#write();
  }

  #write(): Uint8Array {
    const bytes = new Uint8Array(reportBytes(this.#report));
    writeFrame(this.#header, bytes);
    writeReport(this.#report, bytes);
    sealFrame(bytes, crc32);
    return bytes;
  }
}
