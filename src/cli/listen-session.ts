import { Buffer } from "node:buffer";

import { type Address, type Datagram, TimeoutError } from "../index.js";
import { showListenStatus } from "./listen-status.js";
import type { Listener, Received } from "./listener.js";
import { Losses } from "./losses.js";
import { isoTime } from "./iso-time.js";
import { jsonLine, payloadFields, showPayload } from "./payload.js";
import { PeerCount } from "./peer-count.js";
import { PeerTable } from "./peer-table.js";
import {
  count,
  notice,
  noticeColumns,
  onNotices,
  onOutput,
  outputColumns,
  print,
  writeNotices,
} from "./terminal.js";

/** The largest number of datagrams that are read, answered and printed together. */
const batchDatagrams = 256;

/** The options for the output and the end of `datagram listen`. */
export interface SessionOptions {
  readonly hex?: boolean;
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly full?: boolean;
  /** Whether no datagram is printed. */
  readonly quiet?: boolean;
  readonly count?: number;
  readonly timeout?: number;
  /** Whether the summary has a table of the peers. */
  readonly summary?: boolean;
}

/** The datagrams of one `datagram listen`, from the ready line to the summary. */
export class ListenSession {
  readonly #listeners: readonly Listener[];
  readonly #options: SessionOptions;
  readonly #losses: Losses;
  readonly #peers = new PeerCount();
  readonly #table: PeerTable | undefined;
  /** Aborts when one listener has ended, so that the others end too. */
  readonly #end = new AbortController();
  #failure: Error | undefined;
  #left: number;
  #lastArrivalMs = 0;

  constructor(listeners: readonly Listener[], options: SessionOptions) {
    this.#listeners = listeners;
    this.#options = options;
    this.#left = options.count ?? Infinity;
    this.#table = options.summary ? new PeerTable() : undefined;
    this.#losses = new Losses(
      listeners.map((each) => ({
        socket: each.socket,
        answering: each.answering,
        local: this.#localOf(each),
      })),
      options.json === true,
    );
  }

  /** The number of datagrams so far. */
  get datagrams(): number {
    return this.#listeners.reduce((sum, each) => sum + each.datagrams, 0);
  }

  /** Bytes of all payloads so far, as sent. */
  get #bytes(): number {
    return this.#listeners.reduce((sum, each) => sum + each.bytes, 0);
  }

  /** Reads, answers and prints until `--count` is reached. @throws `TimeoutError`, or the reason of `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stop, this.#end.signal]);
    this.#lastArrivalMs = performance.now();
    const line = showListenStatus(
      this.#listeners.map(({ socket }) => socket),
      () => ({ datagrams: this.datagrams, bytes: this.#bytes, peers: this.#peers.text }),
    );
    try {
      await Promise.all(this.#listeners.map((listener) => this.#read(listener, signal, stop)));
    } finally {
      line.end();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Closes the sockets and prints the summary. */
  async end(): Promise<void> {
    this.#losses.end();
    notice(`${count(this.datagrams, "datagram")}, ${count(this.#bytes, "byte")} from ${this.#peers.text}`);
    for (const listener of this.#listeners) {
      const local = this.#localOf(listener);
      if (local) notice(`on ${local}: ${listener.traffic()}`);
      await listener.end();
    }
    this.#losses.summary();
    if (this.#table) writeNotices(this.#table.text(tableStyle(new Date())));
  }

  /** Reads one listener until the session ends. Keeps the first failure of all listeners. */
  async #read(listener: Listener, signal: AbortSignal, stop: AbortSignal): Promise<void> {
    try {
      while (this.#left > 0) {
        const batch = await this.#receive(listener, signal);
        const wanted = batch.slice(0, this.#left);
        listener.unread += batch.length - wanted.length;
        this.#left -= wanted.length;
        const time = new Date(Number(listener.socket.clock.wall() / 1_000_000n));
        const received = await listener.receive(wanted);
        for (const each of received) this.#count(each, time);
        // Not the signal of the others' end: what was received is printed.
        await print(this.#show(received, listener, time), stop);
      }
    } catch (error) {
      if (!this.#end.signal.aborted) this.#failure = error as Error;
    }
    this.#end.abort();
  }

  #count({ datagram, from }: Received, time: Date): void {
    this.#peers.add(from);
    const { size, timestamp = BigInt(time.getTime()) * 1_000_000n } = datagram;
    this.#table?.add({ source: from, size, timestamp });
  }

  /** Waits for datagrams. @throws `TimeoutError` if none came to any listener for the time of `--timeout`. */
  async #receive(listener: Listener, signal: AbortSignal): Promise<Datagram[]> {
    const { timeout } = this.#options;
    let waitMs = timeout;
    for (;;) {
      const max = Math.min(batchDatagrams, this.#left);
      try {
        const batch = await listener.socket.recvMany(max, { signal, timeoutMs: waitMs });
        this.#lastArrivalMs = performance.now();
        return batch;
      } catch (error) {
        if (!(error instanceof TimeoutError) || timeout === undefined) throw error;
        // Another listener may have received something meanwhile.
        waitMs = this.#lastArrivalMs + timeout - performance.now();
        if (waitMs <= 0) throw error;
      }
    }
  }

  #show(received: readonly Received[], listener: Listener, time: Date): string | Uint8Array {
    if (this.#options.quiet) return "";
    if (this.#options.raw) return Buffer.concat(received.map(({ data }) => data));
    const local = this.#localOf(listener);
    return received.map((each) => this.#line(each, local, time)).join("");
  }

  #line({ datagram, data, from }: Received, local: Address | undefined, time: Date): string {
    const { json, hex = false, full } = this.#options;
    const { source, size } = datagram;
    const truncated = data.length < size;
    if (json) {
      const fields = { source, local, size, truncated, ...payloadFields(data), ...metadataFields(datagram) };
      return jsonLine({ time: time.toISOString(), ...fields });
    }
    const clock = clockTime(time);
    const to = local ? ` > ${local}` : "";
    const bytes = truncated ? `cut to ${data.length} of ${count(size, "byte")}` : count(size, "byte");
    const room = full ? Infinity : outputColumns() - `${clock} ${from}${to} ${bytes} `.length;
    const start = `${onOutput("dim", clock)} ${onOutput("cyan", from)}${to}`;
    return `${start} ${truncated ? onOutput("bold", bytes) : bytes} ${showPayload(data, hex, room)}\n`;
  }

  /** The address of a listener if there are several. */
  #localOf({ address }: Listener): Address | undefined {
    return this.#listeners.length > 1 ? address : undefined;
  }
}

/** The metadata of a datagram as fields of a JSON object. Unknown fields are left out. */
function metadataFields(datagram: Datagram): object {
  const { destination, interface: by, ttl, tos, timestamp, lostBefore } = datagram;
  return { destination, interface: by, ttl, tos, timestamp: timestamp && isoTime(timestamp), lostBefore };
}

/** The style of the table of peers. A time of another day than `now` is a date. */
function tableStyle(now: Date): Parameters<PeerTable["text"]>[0] {
  const timeText = (ns: bigint | undefined): string => {
    const time = new Date(Number((ns ?? 0n) / 1_000_000n));
    return time.toDateString() === now.toDateString()
      ? clockTime(time).slice(0, -".000".length)
      : dateText(time);
  };
  return { paint: onNotices, timeText, columns: noticeColumns() };
}

/** The local time, from hours to milliseconds. */
function clockTime(time: Date): string {
  const seconds = `${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  return `${two(time.getHours())}:${two(time.getMinutes())}:${seconds}`;
}

/** The local date. */
function dateText(time: Date): string {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
