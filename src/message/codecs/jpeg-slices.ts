import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import type { Codec, Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "../codec.js";
import { JpegScanner, type PictureEnd, isSoi } from "./jpeg-scanner.js";
import { Pieces } from "./pieces.js";

/** The options of `jpegSlices`. */
export interface JpegSlicesOptions {
  /**
   * The byte order of the length that each picture begins with: 4 bytes before the picture, in a datagram of their own or in
   * the first slice. With a length, a picture that lacks a slice is reported as lost. @default no length
   */
  readonly length?: "little-endian" | "big-endian" | undefined;
}

const fields = fieldsOf<JpegSlicesOptions>({ length: true });
const orders: readonly unknown[] = [undefined, "little-endian", "big-endian"];
const lengthBytes = 4;

/**
 * A codec for JPEG pictures in slices without a header, as small programs on cameras send them: the first slice begins with
 * FF D8, and the last one ends with FF D9. Bytes after the end of a picture are ignored, unless they begin another picture.
 *
 * The slices have no numbers. A lost slice of the compressed data cannot be seen without a length, and slices in another order
 * cannot be seen at all, so `verified` is `false`. A lost first or last slice is reported.
 *
 * @throws `RangeError` `ERR_OUT_OF_RANGE`, `TypeError`.
 */
export function jpegSlices(options: JpegSlicesOptions = {}): Codec {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { length } = options;
  if (!orders.includes(length)) {
    throw outOfRange("length", `"little-endian" or "big-endian"`, length);
  }
  return {
    name: "jpeg-slices",
    decoder: (sink, limits) => new JpegSlicesDecoder(sink, limits, length),
  };
}

class JpegSlicesDecoder implements Decoder {
  readonly #sink: DecoderSink;
  readonly #limits: DecoderLimits;
  readonly #lengthOrder: JpegSlicesOptions["length"];
  readonly #pieces = new Pieces();
  /** Finds the end of the current picture; `undefined` between pictures. */
  #end: PictureEnd | undefined;
  /** Slices since the last picture, which belong to no picture: the beginning of theirs is lost. */
  #strays = 0;
  /** Whether the slices up to the next picture are known not to begin one: nothing has begun, or their picture is lost already. */
  #ignores = true;
  #lastMs = 0;

  constructor(sink: DecoderSink, limits: DecoderLimits, lengthOrder: JpegSlicesOptions["length"]) {
    this.#sink = sink;
    this.#limits = limits;
    this.#lengthOrder = lengthOrder;
  }

  get heldBytes(): number {
    return this.#pieces.heldBytes;
  }

  push(datagram: Uint8Array, nowMs: number): void {
    this.expire(nowMs);
    this.#lastMs = nowMs;
    let rest: Uint8Array | undefined = datagram;
    do rest = this.#slice(rest);
    while (rest !== undefined);
  }

  expire(nowMs: number): void {
    if (nowMs - this.#lastMs > this.#limits.idleMs) this.giveUp("idle");
  }

  giveUp(cause: DecoderLoss["cause"]): void {
    const received = this.#pieces.count + this.#strays;
    if (this.#end === undefined && this.#strays === 0) return;
    this.#pieces.clear();
    this.#end = undefined;
    this.#strays = 0;
    this.#ignores = true;
    this.#sink.lost({ cause, received, missing: undefined });
  }

  /** Takes a slice. Returns the bytes after the end of the picture, if they begin another one. */
  #slice(slice: Uint8Array): Uint8Array | undefined {
    const length = this.#begin(slice);
    let bytes = slice;
    if (length !== undefined) {
      this.giveUp("gap");
      this.#ignores = false;
      this.#end = this.#lengthOrder === undefined ? new JpegScanner() : new LengthEnd(length);
      if (this.#lengthOrder !== undefined) bytes = slice.subarray(lengthBytes);
      if (bytes.length === 0) return undefined; // a length in a datagram of its own
    }
    if (this.#end === undefined) {
      if (this.#ignores) this.#sink.ignored();
      else this.#strays++;
      return undefined;
    }
    const end = this.#end.push(bytes);
    this.#pieces.add(typeof end === "number" ? bytes.subarray(0, end) : bytes);
    if (end === "invalid") this.giveUp("invalid");
    else if (this.heldBytes > this.#limits.maxSourceBytes || (length ?? 0) > this.#limits.maxSourceBytes)
      this.giveUp("size");
    else if (end !== undefined) {
      const data = this.#pieces.join();
      const chunks = this.#pieces.count;
      this.#pieces.clear();
      this.#end = undefined;
      this.#sink.message({ data, chunks, verified: false });
      const rest = bytes.subarray(end);
      return this.#begin(rest) === undefined ? undefined : rest;
    }
    return undefined;
  }

  /** The length of the picture that these bytes begin, 0 if the format has none; `undefined` if they begin no picture. */
  #begin(bytes: Uint8Array): number | undefined {
    if (this.#end?.goesOn(bytes) === true) return undefined;
    if (this.#lengthOrder === undefined) return isSoi(bytes, 0) ? 0 : undefined;
    const [a = 0, b = 0, c = 0, d = 0] = bytes;
    if (bytes.length !== lengthBytes && !isSoi(bytes, lengthBytes)) return undefined;
    const isBig = this.#lengthOrder === "big-endian";
    const length = isBig ? a * 2 ** 24 + b * 2 ** 16 + c * 256 + d : d * 2 ** 24 + c * 2 ** 16 + b * 256 + a;
    return length >= lengthBytes ? length : undefined;
  }
}

/** The end of a picture whose length is known. */
class LengthEnd implements PictureEnd {
  #left: number;
  #isFirst = true;

  constructor(length: number) {
    this.#left = length;
  }

  /** A last slice may be as long as a length in a datagram of its own. */
  goesOn(bytes: Uint8Array): boolean {
    return this.#left === lengthBytes && bytes.length === lengthBytes;
  }

  push(bytes: Uint8Array): number | "invalid" | undefined {
    if (this.#isFirst && !isSoi(bytes, 0)) return "invalid";
    this.#isFirst = false;
    if (bytes.length >= this.#left) return this.#left;
    this.#left -= bytes.length;
    return undefined;
  }
}
