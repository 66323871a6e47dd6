import { Buffer } from "node:buffer";
import { gunzipSync, inflateSync } from "node:zlib";

import { wrongType } from "../../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../../core/errors/fields.js";
import type { Codec, Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "../codec.js";
import { Pieces } from "./pieces.js";

/** The options of `gelf`. */
export interface GelfOptions {
  /** Decompresses messages that are compressed with gzip or zlib, up to `maxSourceBytes`. @default true */
  readonly decompress?: boolean | undefined;
}

const fields = fieldsOf<GelfOptions>({ decompress: true });

/** Bytes of the header of a chunk: 1E 0F, an id of 8 bytes, the number of the chunk and their count. */
const headerBytes = 12;
/** The largest number of chunks of a message, as Graylog documents it. */
const maxChunks = 128;
/** Milliseconds from the first chunk of a message to its last, as Graylog documents it. */
const maxMs = 5000;
/** Messages of one source that are not complete. The oldest one is given up for another. */
const maxPartial = 16;
/** Messages whose ids are remembered after their end, so that a late chunk does not begin them again. */
const maxEnded = 64;

/**
 * A codec for GELF, the log format of Graylog, over UDP: whole messages and messages in chunks, plain or compressed. The data
 * of a message is JSON text as UTF-8.
 *
 * @throws `RangeError` for an unknown option, `TypeError`.
 */
export function gelf(options: GelfOptions = {}): Codec {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, fields, "options: a field");
  const { decompress = true } = options;
  if (typeof decompress !== "boolean") throw wrongType("decompress", "a boolean", decompress);
  return { name: "gelf", decoder: (sink, limits) => new GelfDecoder(sink, limits, decompress) };
}

/** A message that is not complete. */
interface Partial {
  readonly firstMs: number;
  lastMs: number;
  readonly count: number;
  readonly pieces: Pieces;
  /** The piece of each chunk, by the chunk's number. */
  readonly order: (number | undefined)[];
}

class GelfDecoder implements Decoder {
  readonly #sink: DecoderSink;
  readonly #limits: DecoderLimits;
  readonly #decompress: boolean;
  /** By id, the oldest first. */
  readonly #partial = new Map<string, Partial>();
  readonly #ended = new Set<string>();
  #heldBytes = 0;

  constructor(sink: DecoderSink, limits: DecoderLimits, decompress: boolean) {
    this.#sink = sink;
    this.#limits = limits;
    this.#decompress = decompress;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  push(datagram: Uint8Array, nowMs: number): void {
    this.expire(nowMs);
    if (datagram[0] === 0x1e && datagram[1] === 0x0f) this.#chunk(datagram, nowMs);
    else if (mayBeMessage(datagram)) this.#message(Buffer.from(datagram), 1);
    else this.#sink.ignored();
  }

  expire(nowMs: number): void {
    for (const [id, { firstMs, lastMs }] of this.#partial) {
      if (nowMs - firstMs > maxMs || nowMs - lastMs > this.#limits.idleMs) this.#lose(id, "idle");
    }
  }

  giveUp(cause: DecoderLoss["cause"]): void {
    for (const id of this.#partial.keys()) this.#lose(id, cause);
  }

  #chunk(datagram: Uint8Array, nowMs: number): void {
    const number = datagram[10] ?? 0;
    const count = datagram[11] ?? 0;
    const id = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length).toString("latin1", 2, 10);
    if (datagram.length < headerBytes || count > maxChunks || number >= count || this.#ended.has(id)) {
      this.#sink.ignored();
      return;
    }
    let partial = this.#partial.get(id);
    if (partial === undefined) {
      const [oldest] = this.#partial.keys();
      if (oldest !== undefined && this.#partial.size >= maxPartial) this.#lose(oldest, "evicted");
      partial = {
        firstMs: nowMs,
        lastMs: nowMs,
        count,
        pieces: new Pieces(),
        order: Array<undefined>(count),
      };
      this.#partial.set(id, partial);
    }
    if (count !== partial.count) {
      this.#lose(id, "invalid");
      this.#sink.ignored();
      return;
    }
    if (partial.order[number] !== undefined) {
      this.#sink.ignored();
      return;
    }
    const { pieces, order } = partial;
    this.#heldBytes -= pieces.heldBytes;
    order[number] = pieces.count;
    pieces.add(datagram.subarray(headerBytes));
    this.#heldBytes += pieces.heldBytes;
    if (this.#heldBytes > this.#limits.maxSourceBytes) {
      // The oldest one is the least likely to be completed.
      const isAlone = this.#partial.size === 1;
      for (const [oldest] of this.#partial) {
        this.#lose(oldest, isAlone ? "size" : "evicted");
        if (this.#heldBytes <= this.#limits.maxSourceBytes) break;
      }
    }
    partial.lastMs = nowMs;
    if (pieces.count < count || !this.#partial.has(id)) return;
    this.#end(id, partial);
    this.#message(pieces.join(order as number[]), count);
  }

  #message(bytes: Buffer, chunks: number): void {
    const { maxSourceBytes } = this.#limits;
    let data: Buffer | DecoderLoss["cause"] = bytes;
    if (bytes.length > maxSourceBytes) data = "size";
    else if (this.#decompress) data = decompressed(bytes, maxSourceBytes);
    if (typeof data === "string") this.#sink.lost({ cause: data, received: chunks, missing: 0 });
    else this.#sink.message({ data, chunks, verified: true });
  }

  #lose(id: string, cause: DecoderLoss["cause"]): void {
    const partial = this.#partial.get(id);
    if (partial === undefined) return;
    this.#end(id, partial);
    const { count } = partial.pieces;
    this.#sink.lost({ cause, received: count, missing: partial.count - count });
  }

  #end(id: string, { pieces }: Partial): void {
    this.#partial.delete(id);
    this.#heldBytes -= pieces.heldBytes;
    this.#ended.add(id);
    const [oldest] = this.#ended;
    if (this.#ended.size > maxEnded && oldest !== undefined) this.#ended.delete(oldest);
  }
}

/** Whether a datagram without the header of a chunk can be a message: JSON, or compressed with gzip or zlib. */
function mayBeMessage(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b || isGzip(bytes) || isZlib(bytes);
}

/** RFC 1952 section 2.3.1. */
function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** RFC 1950 section 2.2: the method is 8, and the two bytes are a multiple of 31. */
function isZlib(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  return bytes.length >= 2 && (first & 0x0f) === 8 && first >>> 4 <= 7 && (first * 256 + second) % 31 === 0;
}

/** Decompresses a message, or returns it as it is; the cause if that fails. */
function decompressed(bytes: Buffer, maxOutputLength: number): Buffer | "size" | "invalid" {
  try {
    if (isGzip(bytes)) return gunzipSync(bytes, { maxOutputLength });
    if (isZlib(bytes)) return inflateSync(bytes, { maxOutputLength });
    return bytes;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE" ? "size" : "invalid";
  }
}
