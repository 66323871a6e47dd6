import { assert } from "../core/assert.js";
import { Queued } from "./fair-queue.js";
import type { EncodedMessage } from "./message-encoder.js";

/** Bytes of memory for each datagram beside its payload and its headers. */
const entryBytes = 256;

/** A datagram that is not settled, or a bundle of several that was sent. */
export class Entry extends Queued {
  readonly number: number;
  /** The number of datagrams. */
  readonly count: number;
  readonly peer: string;
  readonly bytes: number;
  firstSentMs = 0;
  sentMs = 0;
  /** When the server first said that no stream takes it; `undefined` if it has not said so since it last stored something. */
  noStreamMs: number | undefined;
  #message: EncodedMessage | undefined;

  constructor(number: number, message: EncodedMessage, count = 1) {
    super();
    this.number = number;
    this.count = count;
    this.peer = message.peer;
    this.#message = message;
    this.bytes = message.bytes.length + entryBytes;
  }

  get message(): EncodedMessage {
    assert(this.#message !== undefined, "an entry that is not settled has its message");
    return this.#message;
  }

  /**
   * Takes the message out of an entry that is settled. A replaced table of a `Map` keeps its entries, even those that are deleted, until
   * a full garbage collection. Without their messages, these are freed by the quick collections of new objects.
   */
  takeMessage(): EncodedMessage {
    const { message } = this;
    this.#message = undefined;
    return message;
  }
}
