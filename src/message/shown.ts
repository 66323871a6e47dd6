/** What `String()` and `console.log` show of messages. */

import type { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import { count } from "../core/ledger/count-text.js";
import { engineOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";
import type { DecodedMessage } from "./codec.js";
import type { Message } from "./message.js";

/** Bytes that came from an address: `String()` of them is as that of a datagram. */
abstract class FromSource {
  readonly data: Buffer;
  readonly source: Endpoint;

  constructor(data: Buffer, source: Endpoint) {
    this.data = data;
    this.source = source;
  }

  toString(): string {
    return `${count(this.data.length, "byte")} from ${this.source}`;
  }
}

/** Whether the program may confirm a message, and has neither done so nor released it. It may still be using the bytes. */
export let isWithProgram: (message: Message) => boolean;

/** A message of a peer. */
export class PeerMessage extends FromSource implements Message {
  readonly channel: number;
  readonly chunks: number;
  readonly repaired: number;
  readonly verified: boolean = true;
  declare readonly confirm?: () => void;
  declare readonly release?: () => void;
  /** Whether the program may confirm the message, and has neither done so nor released it. */
  #isWithProgram = false;

  static {
    isWithProgram = (message) => #isWithProgram in message && message.#isWithProgram;
    // `console.log` shows the name of the class.
    Object.defineProperty(this, "name", { value: "Message" });
  }

  constructor(
    data: Buffer,
    source: Endpoint,
    channel: number,
    { chunks, repaired, confirm, release }: Pick<Message, "chunks" | "repaired" | "confirm" | "release">,
  ) {
    super(data, source);
    this.channel = channel;
    this.chunks = chunks;
    this.repaired = repaired;
    if (!confirm || !release) return;
    this.#isWithProgram = true;
    this.confirm = () => {
      this.#isWithProgram = false;
      confirm();
    };
    this.release = () => {
      this.#isWithProgram = false;
      release();
    };
  }
}

/** A message of a device. */
export class DeviceMessage extends FromSource {
  readonly chunks: number;
  readonly verified: boolean;

  static {
    Object.defineProperty(this, "name", { value: "Message" });
  }

  constructor(source: Endpoint, { data, chunks, verified }: DecodedMessage) {
    super(data, source);
    this.chunks = chunks;
    this.verified = verified;
  }
}

/** `messages of 10.0.0.2:9000`. */
export function textOf(socket: Socket, isClosed: boolean): string {
  return isClosed || socket.closed
    ? "closed messages"
    : `messages of ${String(engineOf(socket).driver.local())}`;
}
