import { outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import type { Losses } from "./losses.js";
import { type ShedPolicy, type WaitingOptions, checkFunction, checkWaiting } from "./options.js";

/** The options of `gateway()` that stores datagrams in a folder, in place of a server. */
export interface FolderOptions {
  /** The folder for capture files (pcapng). It is made if it is missing, in a folder that exists. */
  readonly into: string;
  /**
   * Starts another file before a file has more bytes, 131,072 or more. @default 67108864, and at most a quarter of `limitBytes`
   */
  readonly rotateBytes?: number | undefined;
  /** Milliseconds after which the next datagram starts another file, 1,000 or more. @default no limit */
  readonly rotateMs?: number | undefined;
  /**
   * Removes the oldest files of this gateway before all of them together have more bytes, also those of earlier runs. 524,288 or
   * more, and at least twice `rotateBytes`. @default no limit: when the disk is full, datagrams are refused
   */
  readonly limitBytes?: number | undefined;
  /** Which datagram of a peer is shed if too many wait: the one that arrives, or the oldest one. @default "newest" */
  readonly shed?: ShedPolicy | undefined;
  /** The largest number of datagrams that wait, 1 to 10,000,000. @default 65536 */
  readonly maxWaiting?: number | undefined;
  /** Bytes of payloads, headers and 256 more for each datagram that is not settled, 131,072 or more. @default 134217728 */
  readonly maxBytes?: number | undefined;
  /** Milliseconds that `close()` waits until everything is written, 0 to 600,000. @default 5000 */
  readonly drainMs?: number | undefined;
  /** Is called with the losses since its last call, at most once a second. */
  readonly onLosses?: ((losses: Losses) => void) | undefined;
}

/** The options with their defaults. */
export interface CheckedFolder extends WaitingOptions {
  readonly into: string;
  readonly rotateBytes: number;
  readonly rotateMs: number;
  readonly limitBytes: number;
  readonly onLosses: ((losses: Losses) => void) | undefined;
}

/** A datagram with its headers fits a file of this size. */
const minFileBytes = 131_072;
const defaultFileBytes = 64 << 20;
const fields = fieldsOf<FolderOptions>({
  into: true,
  rotateBytes: true,
  rotateMs: true,
  limitBytes: true,
  shed: true,
  maxWaiting: true,
  maxBytes: true,
  drainMs: true,
  onLosses: true,
});

/** @throws `TypeError`, `RangeError` that name the option. */
export function checkFolder(options: FolderOptions): CheckedFolder {
  refuseUnknown(options, fields, "options with into: a field");
  const { into, rotateMs, limitBytes, onLosses } = options;
  if (typeof into !== "string") throw wrongType("into", "the path of a folder", into);
  if (into === "" || into.includes("\0")) throw outOfRange("into", "the path of a folder", into);
  const max = Number.MAX_SAFE_INTEGER;
  if (limitBytes !== undefined) wholeNumber("limitBytes", limitBytes, 4 * minFileBytes, max);
  const fileBytes = Math.min(defaultFileBytes, Math.floor((limitBytes ?? Infinity) / 4));
  const rotateBytes = wholeNumber("rotateBytes", options.rotateBytes ?? fileBytes, minFileBytes, max);
  if (limitBytes !== undefined && limitBytes < 2 * rotateBytes)
    throw outOfRange("limitBytes", `at least twice rotateBytes, ${2 * rotateBytes}`, limitBytes);
  if (rotateMs !== undefined) wholeNumber("rotateMs", rotateMs, 1000, max);
  checkFunction("onLosses", onLosses);
  return {
    ...checkWaiting(options),
    into,
    rotateBytes,
    rotateMs: rotateMs ?? Infinity,
    limitBytes: limitBytes ?? Infinity,
    onLosses,
  };
}
