/** What `messages()` returns and reports: messages, receipts, losses, errors. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import { OSError, type OSErrorDetails } from "../core/errors/errors.js";

/** A message that arrived. */
export interface Message {
  /**
   * The bytes. They belong to the program; with `reuseMemory`, until its loop takes the next step. After that they are those of
   * a later message.
   */
  readonly data: Buffer;
  /** The address of the sender. */
  readonly source: Endpoint;
  /** 0 to 255, as the sender chose. */
  readonly channel: number;
  /** The number of datagrams that its bytes were sent in. */
  readonly chunks: number;
  /** How many of them were lost and then repaired: sent again, or restored from a parity. */
  readonly repaired: number;
  /** Whether a checksum says that the bytes are those that were sent. Always `true` for these frames, which have a CRC-32. */
  readonly verified: boolean;
  /**
   * Tells the sender that the message is complete: only with `confirm: "program"`, and only for messages that the sender waits for.
   * After `confirmMs` and after `close()` it does nothing, and the sender gets an error.
   */
  readonly confirm?: () => void;
  /**
   * Says that the message will not be confirmed, which frees its place: there wherever `confirm` is. The sender gets no report, and so
   * its `send` fails with `ETIMEDOUT`. After `confirm()`, and a second time, it does nothing.
   */
  readonly release?: () => void;
  /** `5 bytes from 10.0.0.7:9000`. */
  toString(): string;
}

/** How a message was sent. */
export interface Receipt {
  /** The number of datagrams that its bytes were divided into. */
  readonly chunks: number;
  /** How many of them were sent. For a fleeting message that a newer one replaced, or that was too late, not all. */
  readonly sentChunks: number;
  /** How many datagrams were sent again. */
  readonly repaired: number;
  /** Milliseconds from the call until the peer reported the message complete, or until the last chunk left. */
  readonly elapsedMs: number;
}

/** Why a message did not arrive completely. */
export type LossCause =
  /** No chunk came for `idleMs`. */
  | "idle"
  /** It took longer than `totalMs`, or than the sender's `deadlineMs`. */
  | "late"
  /** A newer message of the same channel arrived. */
  | "superseded"
  /** Its source had more messages or bytes under way than `maxPartials` and `maxSourceBytes`. */
  | "source"
  /** All sources together had more bytes under way than `maxBytes`. */
  | "memory"
  /** All chunks arrived, and the CRC is wrong. */
  | "crc";

/** A message that did not arrive completely. */
export interface LostMessage {
  /** The address of the sender. */
  readonly source: Endpoint;
  /** The channel that it was sent on. */
  readonly channel: number;
  /** The number that the sender gave it. */
  readonly id: number;
  /** Bytes of the whole message. */
  readonly length: number;
  /** The number of its chunks. */
  readonly chunks: number;
  /** How many chunks had arrived. */
  readonly received: number;
  /** The numbers of the missing chunks, at most the first 1,024. */
  readonly missing: readonly number[];
  /** Why it was dropped. */
  readonly cause: LossCause;
}

/** The events of `messages()`. */
export interface MessagesEvents {
  /** A message did not arrive completely, and its chunks were dropped. */
  lost: [message: LostMessage];
  /** A handler of `serve` threw an error or rejected. The requester gets the text of no error. */
  failed: [error: unknown, request: Message];
}

/** The details of a `MessageError`. */
export interface MessageErrorDetails extends OSErrorDetails {
  /** The number of datagrams that its bytes were divided into. */
  readonly chunks: number;
  /** How many of them the peer has reported. */
  readonly arrivedChunks: number;
}

/** A message that could not be sent, or a request without a reply: an `OSError`. */
export class MessageError extends OSError {
  /** The number of datagrams that its bytes were divided into. */
  readonly chunks: number;
  /** How many of them the peer has reported. */
  readonly arrivedChunks: number;

  constructor(code: string, { chunks, arrivedChunks, ...details }: MessageErrorDetails) {
    super(code, details);
    this.chunks = chunks;
    this.arrivedChunks = arrivedChunks;
  }

  static {
    this.prototype.name = "MessageError";
  }
}

/** Counts of what `messages()` received and dropped, since it was called. */
export interface MessagesStats {
  /** Messages that arrived completely. */
  readonly received: number;
  /** Messages that did not arrive completely, by cause. */
  readonly lost: Readonly<Partial<Record<LossCause, number>>>;
  /** Datagrams that were dropped, by cause: a fault of `docs/wire.md`, or a limit. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Bytes of messages that have not arrived completely, and of ordered messages that wait for earlier ones. */
  readonly partialBytes: number;
  /** Bytes of messages that no call has read, and of requests that wait for a handler. */
  readonly unreadBytes: number;
  /** With `confirm: "program"`: messages that the program can still confirm. */
  readonly unconfirmed: number;
  /** Messages that the program did not confirm within `confirmMs`, or that it has released. */
  readonly released: number;
  /** Messages that are longer than `maxSourceBytes`. Their senders get `EMSGSIZE`. */
  readonly refused: number;
}

/** What is known of a peer. */
export interface PeerStats {
  /** The smoothed round trip; `undefined` if none was measured. */
  readonly rttMs: number | undefined;
  /** The shortest round trip of the last 10 to 20 s. */
  readonly minRttMs: number | undefined;
  /** How many chunks may be under way. */
  readonly windowChunks: number;
  /** How many chunks are under way. */
  readonly inFlightChunks: number;
  /** Chunks that the peer has room for; `undefined` if it has not said. */
  readonly credit: number | undefined;
  /** Share of the recent chunks that were lost. */
  readonly lossRatio: number;
  /** Chunks that were sent. */
  readonly sentChunks: number;
  /** Chunks that were sent again. They are in `sentChunks` too. */
  readonly resentChunks: number;
  /** Bytes of each chunk of new messages: `chunkBytes`, or 1,200 for 10 minutes after the path did not carry larger chunks. */
  readonly chunkBytes: number;
  /** Times that chunks above 1,200 bytes vanished while small datagrams were answered. */
  readonly blackHoles: number;
  /** Messages that are not sent to the end. */
  readonly pendingMessages: number;
  /** Chunks that arrived from the peer. */
  readonly receivedChunks: number;
  /** Messages that arrived from the peer. */
  readonly receivedMessages: number;
  /** Whether the peer has proven that it receives at its address. */
  readonly isProven: boolean;
  /** When its last datagram came, on `socket.clock`; `undefined` if none came. */
  readonly lastSeenMs: number | undefined;
}
