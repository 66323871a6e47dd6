/** The messages that a consumer has delivered and that the program has not taken. */

import type { Msg } from "@nats-io/transport-node";

import type { StreamPosition } from "./stored-datagram.js";

/** Bytes that a message takes beside its payload and its headers: objects, and its subjects as texts. */
const overheadBytes = 512;

/** A message of the stream. */
export interface Delivered extends StreamPosition {
  readonly message: Msg;
  /** The number of the message before it; `undefined` if that is not known. */
  readonly before: number | undefined;
}

/** A queue that knows its size. */
export class DeliveredQueue {
  #messages: Delivered[] = [];
  /** The index of the next message. */
  #next = 0;
  #bytes = 0;

  get length(): number {
    return this.#messages.length - this.#next;
  }

  /** About how much memory the messages have. */
  get bytes(): number {
    return this.#bytes;
  }

  push(delivered: Delivered): void {
    this.#messages.push(delivered);
    this.#bytes += bytesOf(delivered);
  }

  take(): Delivered | undefined {
    const delivered = this.#messages[this.#next];
    if (!delivered) return undefined;
    this.#next++;
    this.#bytes -= bytesOf(delivered);
    if (this.length === 0) {
      this.#messages = [];
      this.#next = 0;
    }
    return delivered;
  }
}

/**
 * Reads the reply subject of a message: `$JS.ACK.<stream>.<consumer>.<deliveries>.<number in the stream>.<number of the
 * consumer>.<time>.<pending>`, with a domain and an account after `ACK` from newer servers.
 */
export function placeOf(reply: string): (StreamPosition & { readonly consumerSequence: number }) | undefined {
  const tokens = reply.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const [sequence = "", consumer = "", time = ""] = tokens.slice(tokens.length >= 11 ? 7 : 5);
  if (![sequence, consumer, time].every((token) => /^\d{1,20}$/.test(token))) return undefined;
  return { sequence: Number(sequence), consumerSequence: Number(consumer), storedAt: BigInt(time) };
}

function bytesOf({ message }: Delivered): number {
  // Headers can be as long as payloads. The client knows their length without decoding them, but its types do not say so.
  const { size } = message as Msg & { size?: () => number };
  return overheadBytes + (size?.call(message) ?? message.data.length);
}
