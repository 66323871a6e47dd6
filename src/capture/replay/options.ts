/** The options and the results of a replay. */

import type { AddressLike, Endpoint } from "../../core/address/address.js";
import { outOfRange, wholeNumber, wrongType } from "../../core/errors/errors.js";
import { fieldsOf } from "../../core/errors/fields.js";
import type { CapturedDatagram } from "../captured-datagram.js";
import type { CaptureInput } from "../read.js";
import { hasKey, keyOfEndpoint } from "./endpoint-key.js";

/** A datagram that can be replayed: one of a capture file, or of a stream of the gateway. */
export interface ReplayDatagram extends Pick<
  CapturedDatagram,
  "data" | "size" | "truncated" | "source" | "timestamp"
> {
  /** The address that it was sent to; `undefined` if that is not known. */
  readonly destination: Endpoint | undefined;
  /** As in `CapturedDatagram`. */
  readonly direction?: "in" | "out" | undefined;
  /** As in `CapturedDatagram`. */
  readonly interface?: string | undefined;
  /** As in `CapturedDatagram`. */
  readonly probablySeveral?: boolean | undefined;
  /** The channel of a whole message, as in `StoredDatagram`. Such messages are not replayed. */
  readonly channel?: number | undefined;
}

/** What is replayed: a capture file as for `read`, or datagrams, such as those of `consume()` of `datagram/gateway`. */
export type ReplayInput<D extends ReplayDatagram = CapturedDatagram> = CaptureInput | AsyncIterable<D>;

/** The options of a replay that do not depend on the socket. */
export interface ReplayOptions<D extends ReplayDatagram = CapturedDatagram> {
  /** How many times as fast as the recording: above 0. `Infinity` sends as fast as the socket can. @default 1 */
  readonly speed?: number | undefined;
  /** Sends only the datagrams for which this returns `true`. It is called up to 256 datagrams before they are sent. */
  readonly filter?: ((datagram: D) => boolean) | undefined;
  /** Sends only the datagrams from this recorded source, such as `"10.0.0.7:5000"`, or `"10.0.0.7"` for all its ports. */
  readonly from?: string | AddressLike | undefined;
  /** Sends only the datagrams that the recording host received (`"in"`) or sent (`"out"`), if the file has directions. */
  readonly direction?: "in" | "out" | undefined;
  /** Starts so many milliseconds after the first datagram of the recording. @default 0 */
  readonly startMs?: number | undefined;
  /** Ends so many milliseconds after the first datagram of the recording. @default Infinity */
  readonly endMs?: number | undefined;
  /**
   * How many times the recording is sent: 1 or more, or `Infinity`. Between two times passes the mean time between two datagrams.
   * A stream, and datagrams, can be sent once. @default 1
   */
  readonly loops?: number | undefined;
  /** A datagram that is sent more than this many milliseconds after its time counts as late. @default 1 */
  readonly lateMs?: number | undefined;
  /** As for `read`: packets above it are taken for several datagrams each, and skipped. @default 1500 */
  readonly mtu?: number | undefined;
  /** Ends the replay: it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Is called about ten times a second, and once at the end, also if the replay fails. */
  readonly onProgress?: ((stats: ReplayStats) => void) | undefined;
}

/**
 * Why a datagram of the file is not sent: the options leave it out, `to` has no address for it, the recorder cut it, it is
 * probably several datagrams (`CapturedDatagram.probablySeveral`), or it is longer than the destination's family can carry.
 */
export type ReplaySkipReason = "filtered" | "noDestination" | "truncated" | "probablySeveral" | "tooBig";

/** What a replay did. Each datagram that it took from the file is one of `datagrams`, `failed` and `skipped`. */
export interface ReplayStats {
  /** The datagrams that were sent. */
  readonly datagrams: number;
  /** Bytes of their payloads. */
  readonly bytes: number;
  /** Datagrams that could not be sent, by the code of the error, such as `ENETUNREACH`. */
  readonly failed: Readonly<Record<string, number>>;
  /** Datagrams that were not sent, by the reason. */
  readonly skipped: Readonly<Record<ReplaySkipReason, number>>;
  /** How many times the whole recording was sent. */
  readonly loops: number;
  /** Milliseconds from the first datagram of the recording to the one that was sent last. */
  readonly recordedMs: number;
  /** Milliseconds from the time of the first datagram to now, or to the end of the replay. */
  readonly elapsedMs: number;
  /** How long after their times datagrams were sent; `undefined` with `speed: Infinity`. */
  readonly lateness: ReplayLateness | undefined;
}

/** How long after their times datagrams were sent. The percentiles are up to 3 % too high. */
export interface ReplayLateness {
  /** Half of the datagrams were at most so late. */
  readonly p50Ms: number;
  /** 99 of 100 datagrams were at most so late. */
  readonly p99Ms: number;
  /** The latest datagram was so late. */
  readonly maxMs: number;
  /** Datagrams that were later than the option `lateMs`. */
  readonly late: number;
}

/** The checked options of a replay. */
export interface ReplayTerms {
  readonly speed: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly loops: number;
  readonly lateMs: number;
  readonly mtu: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((stats: ReplayStats) => void) | undefined;
  /** Whether a datagram is sent, as far as the options decide. */
  readonly isChosen: ((datagram: ReplayDatagram) => boolean) | undefined;
}

/** The names of the options of every replay. */
export const replayFields: readonly string[] = fieldsOf<ReplayOptions>({
  speed: true,
  filter: true,
  from: true,
  direction: true,
  startMs: true,
  endMs: true,
  loops: true,
  lateMs: true,
  mtu: true,
  signal: true,
  onProgress: true,
});

/** Checks the options of a replay, and fills in their defaults. @throws `TypeError`, `RangeError`. */
export function checkReplay<D extends ReplayDatagram>(
  file: ReplayInput<D>,
  options: ReplayOptions<D>,
): ReplayTerms {
  const { speed = 1, startMs = 0, endMs = Infinity, loops = 1, lateMs = 1, mtu = 1500 } = options;
  const { filter, from, direction, signal, onProgress } = options;
  if (!(checkNumber("speed", speed) > 0)) throw outOfRange("options.speed", "above 0", speed);
  for (const [name, ms] of Object.entries({ startMs, endMs, lateMs })) {
    if (!(checkNumber(name, ms) >= 0)) throw outOfRange(`options.${name}`, "0 or more milliseconds", ms);
  }
  if (checkNumber("loops", loops) !== Infinity)
    wholeNumber("options.loops", loops, 1, Number.MAX_SAFE_INTEGER);
  const isStream = typeof file === "object" && !(file instanceof URL) && !(file instanceof Uint8Array);
  if (loops > 1 && isStream)
    throw outOfRange("options.loops", "1 for a stream, which can be read only once", loops);
  wholeNumber("options.mtu", mtu, 68, 65_575);
  for (const [name, listener] of Object.entries({ filter, onProgress })) {
    if (listener !== undefined && typeof listener !== "function")
      throw wrongType(`options.${name}`, "a function", listener);
  }
  if (direction !== undefined && (direction as string) !== "in" && (direction as string) !== "out")
    throw outOfRange("options.direction", "in or out", direction);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType("options.signal", "an AbortSignal", signal);
  // Its argument is of the type that the caller has chosen for the input.
  const isChosen = chosenBy(from, direction, filter as ReplayTerms["isChosen"]);
  return { speed, startMs, endMs, loops, lateMs, mtu, signal, onProgress, isChosen };
}

function checkNumber(name: string, value: unknown): number {
  if (typeof value !== "number") throw wrongType(`options.${name}`, "a number", value);
  return value;
}

function chosenBy(
  from: ReplayOptions["from"],
  direction: ReplayOptions["direction"],
  filter: ReplayTerms["isChosen"],
): ReplayTerms["isChosen"] {
  const source = from === undefined ? undefined : keyOfEndpoint(from, "options.from");
  if (source === undefined && direction === undefined) return filter;
  return (datagram) =>
    (source === undefined || hasKey(datagram.source, source)) &&
    (direction === undefined || datagram.direction === direction) &&
    (filter === undefined || filter(datagram));
}
