/// <reference types="node" preserve="true" />
/**
 * Capture files: records the datagrams of sockets, reads those that tcpdump, Wireshark and this package recorded, and sends
 * them again.
 *
 * `record/record.ts` records. `read.ts` has the public call that reads, and `captured-datagram.ts` its results. `byte-window.ts`
 * reads the file in pieces. `packet-reader.ts` finds out the format, and `pcap.ts` and `pcapng.ts` read the packets of each.
 * `link-types.ts` finds the IP packet after the header of a link, and `datagram-decoder.ts` the datagram in it, with
 * `reassembly.ts` for fragments.
 *
 * `replay/replay.ts` sends the datagrams of a file again, with the options and results of `replay/options.ts`. In that folder,
 * `input.ts` opens the file, `read-ahead.ts` reads them early, `schedule.ts` has their times, `run.ts` waits for these, and
 * `target.ts` sends.
 *
 * @module capture
 */

export { CaptureError, type CaptureErrorDetails } from "./capture-error.js";
export type { CapturedDatagram, CapturedUnreachable, ReadStats, SkipReason } from "./captured-datagram.js";
export { type CaptureInput, type ReadOptions, type Reading, read } from "./read.js";
export { type SocketReplayOptions, replay } from "./replay/replay.js";
export type {
  ReplayDatagram,
  ReplayInput,
  ReplayLateness,
  ReplayOptions,
  ReplaySkipReason,
  ReplayStats,
} from "./replay/options.js";
export type { ReplayTo } from "./replay/target.js";
export { record } from "./record/record.js";
export type { RecordEnd, RecordOptions, RecordStats, Recording } from "./record/recording.js";
