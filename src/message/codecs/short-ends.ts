import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import type { Codec, Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "../codec.js";
import { Pieces } from "./pieces.js";

/** The options of `shortEnds`. */
export interface ShortEndsOptions {
  /** Bytes of each datagram but the last of a message, 1 to 65,507. @default 1460 */
  readonly sliceBytes?: number | undefined;
  /**
   * The bytes that each message begins with, such as `00 00 00 01` for H.264, if they cannot be at the beginning of another
   * slice. With them, a message without its beginning or its end is reported as lost. Without them, a lost last slice joins
   * two messages.
   */
  readonly start?: Uint8Array | undefined;
}

const fields = fieldsOf<ShortEndsOptions>({ sliceBytes: true, start: true });

/**
 * A codec for slices without a header, whose last slice is shorter than the others: the video of a Tello drone has slices of
 * 1460 bytes. A slice of 0 bytes ends a message too. A lost slice from the middle cannot be seen, so `verified` is `false`.
 *
 * @throws `RangeError` `ERR_OUT_OF_RANGE`, `TypeError`.
 */
export function shortEnds(options: ShortEndsOptions = {}): Codec {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { sliceBytes = 1460, start } = options;
  if (typeof sliceBytes !== "number") throw wrongType("sliceBytes", "a number of bytes", sliceBytes);
  if (!Number.isInteger(sliceBytes) || sliceBytes < 1 || sliceBytes > 65_507) {
    throw outOfRange("sliceBytes", "a whole number, 1 to 65507", sliceBytes);
  }
  if (start !== undefined && !(start instanceof Uint8Array)) throw wrongType("start", "a Uint8Array", start);
  const prefix = Uint8Array.from(start ?? []);
  return {
    name: "short-ends",
    decoder: (sink, limits) => new ShortEndsDecoder(sink, limits, sliceBytes, prefix),
  };
}

class ShortEndsDecoder implements Decoder {
  readonly #sink: DecoderSink;
  readonly #limits: DecoderLimits;
  readonly #sliceBytes: number;
  readonly #start: Uint8Array;
  readonly #pieces = new Pieces();
  #lastMs = 0;
  /** Whether the slices up to the next short one belong to a message that is lost. */
  #isLost = false;

  constructor(sink: DecoderSink, limits: DecoderLimits, sliceBytes: number, start: Uint8Array) {
    this.#sink = sink;
    this.#limits = limits;
    this.#sliceBytes = sliceBytes;
    this.#start = start;
  }

  get heldBytes(): number {
    return this.#pieces.heldBytes;
  }

  push(datagram: Uint8Array, nowMs: number): void {
    this.expire(nowMs);
    this.#lastMs = nowMs;
    const { length } = datagram;
    if (length > this.#sliceBytes) {
      this.#sink.ignored();
      return;
    }
    if (this.#start.length > 0 && beginsWith(datagram, this.#start)) {
      this.giveUp("gap");
      this.#isLost = false;
    }
    if (this.#isLost) this.#sink.ignored();
    else this.#add(datagram);
    if (length === this.#sliceBytes) return;
    if (!this.#isLost) this.#end();
    this.#isLost = false;
  }

  expire(nowMs: number): void {
    if (nowMs - this.#lastMs <= this.#limits.idleMs) return;
    this.giveUp("idle");
    // The end of the message was lost, and the next slice is probably the first of another one.
    this.#isLost = false;
  }

  giveUp(cause: DecoderLoss["cause"]): void {
    if (this.#pieces.count === 0) return;
    this.#sink.lost({ cause, received: this.#pieces.count, missing: undefined });
    this.#pieces.clear();
    this.#isLost = true;
  }

  #add(slice: Uint8Array): void {
    const isFirst = this.#pieces.count === 0;
    this.#pieces.add(slice);
    if (isFirst && !beginsWith(slice, this.#start) && slice.length > 0) this.giveUp("gap");
    else if (this.heldBytes > this.#limits.maxSourceBytes) this.giveUp("size");
  }

  #end(): void {
    const data = this.#pieces.join();
    const chunks = this.#pieces.count;
    this.#pieces.clear();
    if (data.length > 0) this.#sink.message({ data, chunks, verified: false });
    else this.#sink.ignored();
  }
}

function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((value, at) => bytes[at] === value);
}
