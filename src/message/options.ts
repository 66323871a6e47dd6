import { outOfRange, wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";

/** The options of `messages()`. Most programs need none. */
export interface MessagesOptions {
  /**
   * Bytes of each chunk, 64 to 65,000. Over 1,232 with a header of 20, IPv6 paths need not carry them. If they vanish, `send` goes
   * on with 1,200. @default 1200
   */
  readonly chunkBytes?: number | undefined;
  /** The largest number of chunks that are under way to a peer, 1 to 65,535. @default 65535 */
  readonly windowChunks?: number | undefined;
  /** Bits per second to each peer, with the headers: 1,000 or more. @default Infinity */
  readonly rateBps?: number | undefined;
  /** Milliseconds without any progress after which `send` fails, 100 to 25,000. @default 10000 */
  readonly giveUpMs?: number | undefined;
  /** Messages of one source that are received at a time, 1 to 1,024. @default 8 */
  readonly maxPartials?: number | undefined;
  /** Bytes of the largest message, and of all messages that are received from one source at a time. @default 2 MiB */
  readonly maxSourceBytes?: number | undefined;
  /** Bytes of all messages that are received at a time. @default 64 MiB */
  readonly maxBytes?: number | undefined;
  /** Bytes of complete messages that wait for the program. Above them, no message is received. @default 64 MiB */
  readonly maxUnreadBytes?: number | undefined;
  /** Milliseconds after which a message of which nothing more came is lost, 100 to an hour. @default 5000 */
  readonly idleMs?: number | undefined;
  /** Milliseconds after which a message that is still not complete is lost, 100 to an hour. @default 60000 */
  readonly totalMs?: number | undefined;
  /**
   * Who tells the sender that a message is complete: `messages()` when its last chunk has arrived (`"arrival"`), or the program, by
   * `message.confirm()`. @default "arrival"
   */
  readonly confirm?: ConfirmPolicy | undefined;
  /**
   * Milliseconds for which the program can confirm a message, 100 to 25,000. After that its sender never gets a report.
   * @default 10000
   */
  readonly confirmMs?: number | undefined;
  /**
   * The memory of a message is used again for a later one when the `for await` loop that got it takes its next step. So copy
   * `data` to keep it for longer, and let no stream or generator read ahead. Requests, replies and messages of one chunk
   * always have memory of their own. @default false
   */
  readonly reuseMemory?: boolean | undefined;
}

/** Who tells the sender that a message is complete. */
export type ConfirmPolicy = "arrival" | "program";

/** How a message is sent. */
export type SendMode = "reliable" | "ordered" | "fleeting";

/** The options of `send`. */
export interface SendOptions {
  /** 0 to 255. Order and "the newest wins" are within a channel. @default 0 */
  readonly channel?: number | undefined;
  /**
   * `"reliable"`: what is lost is sent again. `"ordered"`: and the peer gets the messages of the channel in the order of the
   * calls. `"fleeting"`: nothing is sent again, and a newer message of the channel replaces the chunks that have not left.
   * @default "reliable"
   */
  readonly mode?: SendMode | undefined;
  /**
   * Milliseconds after which the message is of no use, 1 to an hour. A reliable message fails then. The rest of a fleeting one is
   * not sent, and the peer waits so long for missing chunks, at most 2,550. @default none
   */
  readonly deadlineMs?: number | undefined;
  /** Additional datagrams, each of which repairs one lost chunk: 0 to 255, at most one for each chunk. @default 0 */
  readonly parity?: number | undefined;
  /** Ends the call with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** The options of `request`. */
export interface MessageRequestOptions {
  /** 0 to 255. @default 0 */
  readonly channel?: number | undefined;
  /** Milliseconds to wait for the complete reply, 1 to an hour. @default 10000 */
  readonly timeoutMs?: number | undefined;
  /** Ends the call with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** Options with their defaults. */
export type Checked<T, Optional extends keyof T = never> = {
  readonly [K in Exclude<keyof T, Optional>]-?: Exclude<T[K], undefined>;
} & { readonly [K in Optional]: T[K] | undefined };

/** The longest time of an option: an hour. */
const longestMs = 3_600_000;
const messagesFields = fieldsOf<MessagesOptions>({
  chunkBytes: true,
  windowChunks: true,
  rateBps: true,
  giveUpMs: true,
  maxPartials: true,
  maxSourceBytes: true,
  maxBytes: true,
  maxUnreadBytes: true,
  idleMs: true,
  totalMs: true,
  confirm: true,
  confirmMs: true,
  reuseMemory: true,
});
const sendFields = fieldsOf<SendOptions>({
  channel: true,
  mode: true,
  deadlineMs: true,
  parity: true,
  signal: true,
});
const requestFields = fieldsOf<MessageRequestOptions>({ channel: true, timeoutMs: true, signal: true });
/** The time limit of a message and that of a request have two names, because the second one includes the reply. */
const timeOfSend: ReadonlyMap<string, string> = new Map([["timeoutMs", "deadlineMs"]]);
const timeOfRequest: ReadonlyMap<string, string> = new Map([["deadlineMs", "timeoutMs"]]);
const modes: readonly unknown[] = ["reliable", "ordered", "fleeting"];

/** @throws `TypeError`, `RangeError`. */
export function checkMessages(options: MessagesOptions): Checked<MessagesOptions> {
  // With the field `codec`, `CodecOptions` are checked instead.
  checkObject(options, [...messagesFields, "codec"]);
  const whole = (name: keyof MessagesOptions, otherwise: number, min: number, max: number): number =>
    wholeNumber(name, options[name] ?? otherwise, min, max);
  const { rateBps = Infinity } = options;
  if (typeof rateBps !== "number") throw wrongType("rateBps", "a number", rateBps);
  if (!(rateBps >= 1000)) throw outOfRange("rateBps", "at least 1000", rateBps);
  const { confirm = "arrival" } = options;
  if (!["arrival", "program"].includes(confirm)) throw outOfRange("confirm", "arrival or program", confirm);
  const { reuseMemory = false } = options;
  if (typeof reuseMemory !== "boolean") throw wrongType("reuseMemory", "a boolean", reuseMemory);
  const maxSourceBytes = whole("maxSourceBytes", 2 << 20, 1, 0xffff_ffff);
  return {
    chunkBytes: whole("chunkBytes", 1200, 64, 65_000),
    windowChunks: whole("windowChunks", 65_535, 1, 65_535),
    rateBps,
    giveUpMs: whole("giveUpMs", 10_000, 100, 25_000),
    maxPartials: whole("maxPartials", 8, 1, 1024),
    maxSourceBytes,
    maxBytes: whole(
      "maxBytes",
      Math.max(64 << 20, 2 * maxSourceBytes),
      maxSourceBytes,
      Number.MAX_SAFE_INTEGER,
    ),
    maxUnreadBytes: whole(
      "maxUnreadBytes",
      Math.max(64 << 20, 2 * maxSourceBytes),
      maxSourceBytes,
      Number.MAX_SAFE_INTEGER,
    ),
    idleMs: whole("idleMs", 5000, 100, longestMs),
    totalMs: whole("totalMs", 60_000, 100, longestMs),
    confirm,
    confirmMs: whole("confirmMs", 10_000, 100, 25_000),
    reuseMemory,
  };
}

/** @throws `TypeError`, `RangeError`. */
export function checkSend(options: SendOptions): Checked<SendOptions, "deadlineMs" | "signal"> {
  checkObject(options, sendFields, timeOfSend);
  const { mode = "reliable", deadlineMs, signal } = options;
  if (!modes.includes(mode)) throw outOfRange("mode", "reliable, ordered or fleeting", mode);
  if (deadlineMs !== undefined) checkMs("deadlineMs", deadlineMs);
  checkSignal(signal);
  return {
    channel: wholeNumber("channel", options.channel ?? 0, 0, 255),
    mode,
    deadlineMs,
    parity: wholeNumber("parity", options.parity ?? 0, 0, 255),
    signal,
  };
}

/** @throws `TypeError`, `RangeError`. */
export function checkRequest(options: MessageRequestOptions): Checked<MessageRequestOptions, "signal"> {
  checkObject(options, requestFields, timeOfRequest);
  const { timeoutMs = 10_000, signal } = options;
  checkMs("timeoutMs", timeoutMs);
  checkSignal(signal);
  return { channel: wholeNumber("channel", options.channel ?? 0, 0, 255), timeoutMs, signal };
}

function checkObject(
  options: unknown,
  fields: readonly string[],
  otherNames?: ReadonlyMap<string, string>,
): void {
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field", otherNames);
}

function checkMs(name: string, value: unknown): void {
  if (typeof value !== "number") throw wrongType(name, "a number of milliseconds", value);
  if (!(value >= 1 && value <= longestMs)) throw outOfRange(name, `from 1 to ${longestMs}`, value);
}

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongType("signal", "an AbortSignal", signal);
  }
}
