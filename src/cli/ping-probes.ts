/** The probes of `datagram ping`: what is sent, and which probe a datagram answers. */

import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import {
  frameKind,
  frameOverheadBytes,
  newFrame,
  readFrame,
  sealFrame,
  writeFrame,
} from "../wire/message-frame.js";

/** Bytes at the start of an answer that are searched for a probe. A peer may put text of its own before it. */
const searchedBytes = 256;

/** Makes probes and finds them in answers. */
export interface Probes {
  /** The payload of a probe. Numbers begin at 1. */
  payload(number: number): Buffer;
  /** The number of the probe that a payload answers; `"newest"` if it does not tell; `undefined` if it is no answer. */
  answered(data: Buffer): number | "newest" | undefined;
}

/** Probes for a peer that sends back what it gets, or that answers anything else. */
export function textProbes(random: number, sizeBytes: number): Probes {
  const token = random.toString(16).padStart(8, "0");
  let echoes = false;
  return {
    payload(number) {
      const payload = Buffer.alloc(sizeBytes, ".");
      payload.write(`datagram ping ${token}-${number} `, "latin1");
      return payload;
    },
    answered(data) {
      const found = /datagram ping ([0-9a-f]{8})-(\d{1,10}) /.exec(data.toString("latin1", 0, searchedBytes));
      if (!found) return echoes ? undefined : "newest";
      echoes = true;
      return found[1] === token ? Number(found[2]) : undefined;
    },
  };
}

/** The PROBE frames of `docs/wire.md`, which each peer that reads messages answers. */
export function frameProbes(random: number): Probes {
  const frame = newFrame();
  return {
    payload(number) {
      const bytes = Buffer.alloc(frameOverheadBytes);
      writeFrame({ ...newFrame(), kind: frameKind.probe, id: (random + number) >>> 0 }, bytes);
      sealFrame(bytes, crc32);
      return bytes;
    },
    answered(data) {
      if (readFrame(data, frame, crc32) !== undefined || frame.kind !== frameKind.probeAck) return undefined;
      return (frame.id - random) >>> 0;
    },
  };
}
