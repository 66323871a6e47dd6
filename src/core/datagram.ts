import type { Buffer } from "node:buffer";

import type { AddressLike, Endpoint } from "./address.js";
import type { Data } from "./payload.js";

/** What a datagram answers through. */
export interface Replier {
  sendto(data: Data, address: AddressLike): Promise<number>;
}

/** One datagram that arrived. */
export class Datagram {
  /** The payload; its first `bufsize` bytes when it was longer. The program's own. */
  readonly data: Buffer;
  /** Who sent it. */
  readonly source: Endpoint;
  /** Payload bytes as they were sent. */
  readonly size: number;
  readonly #socket: Replier;

  /** Made by the socket. */
  constructor(data: Buffer, source: Endpoint, size: number, socket: Replier) {
    this.data = data;
    this.source = source;
    this.size = size;
    this.#socket = socket;
  }

  /** Whether `data` lacks the end of what was sent. */
  get truncated(): boolean {
    return this.data.length < this.size;
  }

  /** Sends `data` to who sent this datagram. Gives what `sendto` gives. */
  reply(data: Data): Promise<number> {
    return this.#socket.sendto(data, this.source);
  }
}
