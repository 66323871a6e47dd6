import type { Buffer } from "node:buffer";

/**
 * A codec turns the datagrams of devices that do not speak the frames of `docs/wire.md` into messages. `codecs/` has the
 * codecs of this package, and `codec-reader.ts` reads a socket through one. A program can have a codec of its own.
 */
export interface Codec {
  /** A short name for errors and statistics, such as `"rtp-jpeg"`. */
  readonly name: string;
  /** Makes the state for one source. It reports to `sink`, only during the calls of the decoder. */
  decoder(sink: DecoderSink, limits: DecoderLimits): Decoder;
}

/** The limits that a decoder keeps. */
export interface DecoderLimits {
  /** The largest `heldBytes`. A message for which this is too little is lost with the cause `"size"`. */
  readonly maxSourceBytes: number;
  /** Milliseconds after the last datagram of a message, after which the message is lost with the cause `"idle"`. */
  readonly idleMs: number;
}

/** The state of one source. It never throws for any bytes, and takes memory only for bytes that have arrived. */
export interface Decoder {
  /** Bytes of memory that it takes. */
  readonly heldBytes: number;
  /**
   * Takes a datagram.
   *
   * @param datagram the payload. The decoder copies what it keeps.
   * @param nowMs the time in milliseconds, monotonic.
   */
  push(datagram: Uint8Array, nowMs: number): void;
  /** Gives up the messages that are idle at `nowMs`. */
  expire(nowMs: number): void;
  /** Gives up all messages that are not complete. The rest of them, if it comes, is ignored. */
  giveUp(cause: DecoderLoss["cause"]): void;
}

/** Takes the results of a decoder. */
export interface DecoderSink {
  /** A message is complete. The data belongs to the program. */
  message(message: DecodedMessage): void;
  /** A message is lost. */
  lost(loss: DecoderLoss): void;
  /** The datagram is not part of a message: it is not of this format, it came too late, or it came twice. */
  ignored(): void;
}

/** A message that a decoder completed. */
export interface DecodedMessage {
  /** The bytes of the message. */
  readonly data: Buffer;
  /** The number of datagrams that it was made of. */
  readonly chunks: number;
  /** Whether it is certain that all parts are there, in their order. `false` if the format has no numbers to tell. */
  readonly verified: boolean;
}

/** A message that a decoder gave up. */
export interface DecoderLoss {
  /**
   * - `"gap"`: datagrams are missing, and later ones have arrived.
   * - `"idle"`: the rest did not come in time.
   * - `"size"`: it is longer than `maxSourceBytes` allows.
   * - `"invalid"`: its bytes contradict the format.
   * - `"evicted"`: its memory was needed for others.
   */
  readonly cause: "gap" | "idle" | "size" | "invalid" | "evicted";
  /** The number of its datagrams that arrived. 0 if a whole message is missing. */
  readonly received: number;
  /** The number of datagrams that are missing, at least, if the format tells. */
  readonly missing: number | undefined;
}
