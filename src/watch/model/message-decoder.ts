import { crc32 } from "node:zlib";

import type { Buffer } from "node:buffer";

import type { Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "../../message/codec.js";
import { Pieces } from "../../message/codecs/pieces.js";
import { type Payload, chunksOf, frameKind, newFrame, readFrame } from "../../wire/message-frame.js";

/** Messages that are collected at the same time. */
const maxMessages = 4;

/** A message that is collected. */
interface Partial {
  readonly key: string;
  readonly length: number;
  readonly crc: number;
  readonly chunks: number;
  readonly pieces: Pieces;
  /** The piece of each chunk. */
  readonly order: Map<number, number>;
  lastMs: number;
}

/**
 * Joins the chunks of `datagram/message` (`docs/wire.md`) that it is shown, without being their receiver: it sends no report, and
 * makes no use of parities. A message that lacks a chunk is lost when newer ones need its place.
 */
export class MessageDecoder implements Decoder {
  readonly #sink: DecoderSink;
  readonly #limits: DecoderLimits;
  readonly #frame = newFrame();
  readonly #payload: Payload<Uint8Array> = { bytes: new Uint8Array(), crc: undefined };
  /** In the order of their first chunks. */
  readonly #partials = new Map<string, Partial>();
  /** The last messages that were complete: their chunks may come again. */
  readonly #done = new Set<string>();

  constructor(sink: DecoderSink, limits: DecoderLimits) {
    this.#sink = sink;
    this.#limits = limits;
  }

  get heldBytes(): number {
    let bytes = 0;
    for (const { pieces } of this.#partials.values()) bytes += pieces.heldBytes;
    return bytes;
  }

  push(datagram: Uint8Array, nowMs: number): void {
    this.expire(nowMs);
    const frame = this.#frame;
    const fault = readFrame(datagram, frame, crc32, this.#payload);
    const isChunk = frame.kind === frameKind.data || frame.kind === frameKind.request;
    if (fault !== undefined || !isChunk || frame.length > this.#limits.maxSourceBytes) {
      this.#sink.ignored();
      return;
    }
    const { kind, channel, id, index, length, size, crc } = frame;
    const key = `${kind} ${channel} ${id} ${length} ${size} ${crc}`;
    const partial = this.#done.has(key)
      ? undefined
      : (this.#partials.get(key) ?? this.#add({ key, length, crc, chunks: chunksOf(length, size) }));
    if (!partial || partial.order.has(index)) {
      this.#sink.ignored();
      return;
    }
    partial.lastMs = nowMs;
    partial.order.set(index, partial.pieces.count);
    partial.pieces.add(this.#payload.bytes);
    if (this.heldBytes > this.#limits.maxSourceBytes) this.#lose(partial, "size");
    else if (partial.order.size === partial.chunks) this.#complete(partial);
  }

  expire(nowMs: number): void {
    for (const partial of this.#partials.values())
      if (nowMs - partial.lastMs > this.#limits.idleMs) this.#lose(partial, "idle");
  }

  giveUp(cause: DecoderLoss["cause"]): void {
    for (const partial of this.#partials.values()) this.#lose(partial, cause);
  }

  #add(of: Pick<Partial, "key" | "length" | "crc" | "chunks">): Partial {
    const [oldest] = this.#partials.values();
    if (oldest && this.#partials.size >= maxMessages) this.#lose(oldest, "gap");
    const partial: Partial = { ...of, pieces: new Pieces(), order: new Map(), lastMs: 0 };
    this.#partials.set(of.key, partial);
    return partial;
  }

  #complete(partial: Partial): void {
    this.#end(partial);
    const { order, pieces, crc } = partial;
    const chunks = pieces.count;
    const inOrder = Array.from(order.keys(), Number).sort((a, b) => a - b);
    const data: Buffer = pieces.join(inOrder.map((index) => order.get(index) as number));
    if (crc32(data) === crc) this.#sink.message({ data, chunks, verified: true });
    else this.#sink.lost({ cause: "invalid", received: chunks, missing: undefined });
  }

  #lose(partial: Partial, cause: DecoderLoss["cause"]): void {
    this.#end(partial);
    const received = partial.order.size;
    this.#sink.lost({ cause, received, missing: partial.chunks - received });
  }

  #end({ key }: Partial): void {
    this.#partials.delete(key);
    this.#done.add(key);
    const [oldest] = this.#done;
    if (oldest !== undefined && this.#done.size > 4 * maxMessages) this.#done.delete(oldest);
  }
}
