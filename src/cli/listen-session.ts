import { type Address, type Datagram, TimeoutError } from "../index.js";
import { count } from "../core/ledger/count-text.js";
import { DatagramLines, type LineOptions, tableStyle } from "./datagram-lines.js";
import { showListenStatus } from "./listen-status.js";
import type { Listener, Received } from "./listener.js";
import { Losses } from "./losses.js";
import { PeerCount } from "./peer-count.js";
import { PeerTable } from "./peer-table.js";
import { notice, print, writeNotices } from "./terminal.js";

/** The largest number of datagrams that are read, answered and printed together. */
const batchDatagrams = 256;

/** The options for the output and the end of `datagram listen`. */
export interface SessionOptions extends LineOptions {
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
  readonly #lines: DatagramLines;
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
    this.#lines = new DatagramLines(options);
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
        await print(
          this.#lines.show(received, () => time, this.#localOf(listener)),
          stop,
        );
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

  /** The address of a listener if there are several. */
  #localOf({ address }: Listener): Address | undefined {
    return this.#listeners.length > 1 ? address : undefined;
  }
}
