/** `datagram listen --from nats://…`: prints the datagrams of a stream as those of a socket. */

import type { StoredDatagram, StreamReading } from "../gateway/index.js";
import { count } from "../core/ledger/count-text.js";
import { DatagramLines, tableStyle } from "./datagram-lines.js";
import { usage } from "./exit.js";
import { refuseTooFew } from "./listen-options.js";
import type { SessionOptions } from "./listen-session.js";
import { showListenStatus } from "./listen-status.js";
import { PeerCount } from "./peer-count.js";
import { PeerTable } from "./peer-table.js";
import { type StreamOptions, openStream, streamFailure, streamLosses, streamName } from "./stream-options.js";
import { notice, print, stopSignal, wasStopped, writeNotices } from "./terminal.js";

/** Characters of output that are printed at once, and how often fewer are printed, in milliseconds. */
const batchCharacters = 64 * 1024;
const flushMs = 50;

/** The options of `datagram listen` for a stream. */
export interface ListenStreamOptions extends SessionOptions, StreamOptions {
  readonly until?: "now";
}

/** Prints a stream until its end, Ctrl-C or `--count`, and then the summary. @throws `Failure`. */
export async function listenToStream(
  servers: readonly string[],
  options: ListenStreamOptions,
): Promise<void> {
  if (options.since === "new" && options.until) throw usage("--since new with --until now is nothing");
  const stop = stopSignal();
  const reading = openStream(servers, options, {
    until: options.until,
    onConnection: (state) =>
      notice(
        state === "connected" ? "connected to the server again" : "the connection to the server is lost",
      ),
  });
  await new StreamSession(reading, options).run(streamName(servers, options.stream), stop);
}

class StreamSession {
  readonly #reading: StreamReading;
  readonly #options: ListenStreamOptions;
  readonly #lines: DatagramLines;
  readonly #peers = new PeerCount();
  readonly #table: PeerTable | undefined;
  #datagrams = 0;
  #bytes = 0;
  #lost = 0;
  #waiting: StoredDatagram[] = [];
  /** The last datagram that was printed. */
  #last: StoredDatagram | undefined;
  #timedOut = false;

  constructor(reading: StreamReading, options: ListenStreamOptions) {
    this.#reading = reading;
    this.#options = options;
    this.#lines = new DatagramLines(options);
    this.#table = options.summary ? new PeerTable() : undefined;
  }

  /** @param name of the stream, for people. */
  async run(name: string, stop: AbortSignal): Promise<void> {
    // `watchOutput` reports failures to write.
    const timer = setInterval(() => void this.#print(stop).catch(() => undefined), flushMs);
    const end = (): void => void this.#reading.return().catch(() => undefined);
    stop.addEventListener("abort", end, { once: true });
    const line = showListenStatus([], () => ({
      datagrams: this.#datagrams,
      bytes: this.#bytes,
      peers: this.#peers.text,
      lost: this.#lost,
    }));
    let failure: unknown;
    try {
      // Before the time of --timeout begins.
      await this.#reading.open();
      if (!stop.aborted) notice(`reading ${name}`);
      await this.#read(stop);
    } catch (error) {
      failure = error;
    } finally {
      clearInterval(timer);
      line.end();
      stop.removeEventListener("abort", end);
    }
    await this.#reading.return();
    if (failure === undefined || this.#datagrams > 0) this.#summary();
    if (failure !== undefined && !wasStopped(failure)) throw streamFailure(failure);
    this.#checkCount();
  }

  async #read(stop: AbortSignal): Promise<void> {
    const { count: most = Infinity } = this.#options;
    let characters = 0;
    while (this.#datagrams < most) {
      const { value: datagram } = await this.#next();
      if (!datagram) break;
      this.#last = datagram;
      this.#count(datagram);
      this.#waiting.push(datagram);
      characters += datagram.data.length + 64;
      if (characters < batchCharacters) continue;
      characters = 0;
      await this.#print(stop);
    }
    await this.#print(stop);
  }

  /** The next datagram, for the time of `--timeout`. */
  async #next(): ReturnType<StreamReading["next"]> {
    const { timeout } = this.#options;
    if (timeout === undefined) return await this.#reading.next();
    const timer = setTimeout(() => {
      this.#timedOut = true;
      // The step that waits ends by it.
      void this.#reading.return().catch(() => undefined);
    }, timeout);
    try {
      return await this.#reading.next();
    } finally {
      clearTimeout(timer);
    }
  }

  #count(datagram: StoredDatagram): void {
    const { source, size, lostBefore = 0 } = datagram;
    const from = String(source);
    this.#datagrams++;
    this.#bytes += size;
    this.#lost += lostBefore;
    this.#peers.add(from);
    this.#table?.add({ source: from, size, timestamp: nsOf(datagram) });
  }

  async #print(stop: AbortSignal): Promise<void> {
    const shown = this.#waiting.map((datagram) => ({
      datagram,
      data: datagram.data,
      from: String(datagram.source),
    }));
    this.#waiting = [];
    const timeOf = (datagram: StoredDatagram): Date => new Date(Number(nsOf(datagram) / 1_000_000n));
    if (shown.length > 0) await print(this.#lines.show(shown, timeOf, undefined), stop);
  }

  #summary(): void {
    const stats = this.#reading.stats();
    notice(`${count(this.#datagrams, "datagram")}, ${count(this.#bytes, "byte")} from ${this.#peers.text}`);
    for (const line of streamLosses(stats)) notice(line);
    if (this.#lost > 0) notice(`  dropped by the kernel of the gateway, before them: ${this.#lost} at least`);
    const hint = resumeHint(stats.sequence, this.#last);
    if (hint !== undefined) notice(`  ${hint}`);
    if (this.#table) writeNotices(this.#table.text(tableStyle(new Date())));
  }

  #checkCount(): void {
    const { timeout = 0, count: most } = this.#options;
    if (this.#timedOut) refuseTooFew(this.#datagrams, most, timeout);
  }
}

/**
 * How to go on later, without a datagram that is never printed.
 *
 * @param whole the number of the last message of which all datagrams were read.
 * @param last the last datagram that was printed.
 */
function resumeHint(whole: number | undefined, last: StoredDatagram | undefined): string | undefined {
  if (last !== undefined && last.sequence > (whole ?? 0)) {
    const { sequence, index } = last;
    return `the bundle in message number ${sequence} was read up to index ${index}: --since ${sequence} begins with it again`;
  }
  return whole === undefined
    ? undefined
    : `the last message is number ${whole}: --since ${whole + 1} goes on after it`;
}

/** The time of the kernel, or that of the server. */
function nsOf({ timestamp, storedAt }: StoredDatagram): bigint {
  return timestamp ?? storedAt;
}
