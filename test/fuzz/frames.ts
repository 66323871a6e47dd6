/** Target: the decoders of frames and of reports. A datagram that they accept is written again as the same bytes. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";

import {
  chunksOf,
  frameHeaderBytes,
  frameKind,
  newFrame,
  readFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";
import { newReport, readReport, reportBytes, writeReport } from "../../src/wire/message-report.js";
import type { Step } from "./steps.js";

const faults = ["short", "version", "checksum", "kind", "flags", "size", "index", "payload"];

export function readFrames(steps: readonly Step[]): void {
  for (const { data } of steps) {
    const frame = newFrame();
    const fault = readFrame(data, frame, crc32);
    if (fault !== undefined) {
      assert(faults.includes(fault), `unknown fault ${fault}`);
      continue;
    }
    const again = Buffer.from(data);
    again.fill(0, 0, frameHeaderBytes);
    writeFrame(frame, again);
    if (frame.kind === frameKind.report) {
      const report = newReport();
      if (!readReport(data, frame, report)) continue;
      assert.equal(reportBytes(report), data.length);
      assert(report.upto <= chunksOf(frame.length, frame.size));
      again.fill(0, frameHeaderBytes);
      writeReport(report, again);
    }
    again.fill(0, again.length - 4);
    sealFrame(again, crc32);
    assert.deepEqual(again, Buffer.from(data));
  }
}
