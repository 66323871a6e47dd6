import type { Buffer } from "node:buffer";

import type { Endpoint } from "../address/address.js";
import type { Metadata } from "../driver/metadata.js";
import type { Sink } from "../driver/driver.js";
import type { Traffic } from "../ledger/ledger.js";
import type { Arrival, Inbox } from "./inbox.js";

/** The largest number of datagrams, and of their bytes, that wait in the inbox while an interceptor reads further. */
const maxWaiting = { datagrams: 1024, bytes: 4 << 20 } as const;

/** Takes datagrams out of those that a socket reads, before its receive calls get them. */
export interface Interceptor {
  /** Returns whether it took the datagram. Must not throw. */
  take(arrival: Arrival): boolean;
  /** The driver threw an error when it was to read: nothing may come any more. */
  failed(thrown: unknown): void;
  /** The socket was closed. */
  closed(): void;
}

/** The sink of a receiver with an interceptor: the datagrams that the interceptor does not take go to the inbox. */
export class Interception implements Sink {
  readonly interceptor: Interceptor;
  readonly #inbox: Inbox;
  #arrivals: Arrival[] = [];

  constructor(interceptor: Interceptor, inbox: Inbox) {
    this.interceptor = interceptor;
    this.#inbox = inbox;
  }

  push(data: Buffer, source: Endpoint, segment: number, metadata?: Metadata): void {
    if (segment === 0) {
      this.#arrivals.push({ data, source, metadata });
      return;
    }
    let own = metadata;
    for (let start = 0; start < data.length; start += segment) {
      this.#arrivals.push({ data: data.subarray(start, start + segment), source, metadata: own });
      own = own?.withoutLoss;
    }
  }

  /** The datagrams of the last read. */
  get arrivals(): readonly Arrival[] {
    return this.#arrivals;
  }

  /**
   * Offers the datagrams of the last read to the interceptor, and moves the others to the inbox.
   *
   * @returns the number of datagrams that were taken, and the datagrams that the inbox had no room for.
   */
  sort(): { readonly taken: number; readonly dropped: Traffic } {
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    const inbox = this.#inbox;
    const waiting = inbox.compact();
    let taken = 0;
    const dropped = { datagrams: 0, bytes: 0 };
    for (const arrival of arrivals) {
      const bytes = arrival.data.length;
      if (this.interceptor.take(arrival)) {
        taken++;
      } else if (waiting.datagrams < maxWaiting.datagrams && waiting.bytes + bytes <= maxWaiting.bytes) {
        waiting.datagrams++;
        waiting.bytes += bytes;
        inbox.push(arrival.data, arrival.source, 0, arrival.metadata);
      } else {
        dropped.datagrams++;
        dropped.bytes += bytes;
      }
    }
    return { taken, dropped };
  }
}
