import { OSError } from "../../core/errors/errors.js";
import { onAbort } from "../../core/receive/abort.js";
import { Lateness } from "./lateness.js";
import type { DatagramReading } from "./input.js";
import type { ReplayStats, ReplayTerms } from "./options.js";
import { type ReplayEntry, ReplayReadAhead } from "./read-ahead.js";
import type { ReplayTarget } from "./target.js";

/** Timers are set to end so many milliseconds early, because a timer of Node may be late by 1 ms and more. */
const timerSlackMs = 2;
/** In the last milliseconds before a datagram, the clock is read without a break. */
const spinMs = 0.05;
/**
 * The time of the first datagram comes when many are read, and the reading no longer keeps the event loop busy: the first
 * datagrams of a stream take longest. An input without another datagram in `lullMs` is slow itself, and does not delay the
 * start. No input delays it by more than `maxLeadMs`.
 */
const lullMs = 20;
const maxLeadMs = 2000;
/** A timer that is later than this shows that the event loop was busy. */
const busyMs = 5;
/** For how many milliseconds the event loop may not turn. */
const maxTurnMs = 2;
/** Virtual time has whole nanoseconds. */
const halfNsMs = 5e-7;
/** Milliseconds between two reports of progress. */
const progressMs = 100;
/** The largest number of datagrams that are passed to the socket together. */
const maxBatch = 1024;

/** Errors of one datagram that can be over by the next one. All other errors end the replay. */
const passingErrors: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EMSGSIZE",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOBUFS",
  "EPERM",
]);

/** One replay: takes the datagrams from the reader, waits for their times, and sends them. */
export class ReplayRun<Route extends object> {
  readonly #target: ReplayTarget<Route>;
  readonly #terms: ReplayTerms;
  readonly #readAhead: ReplayReadAhead<Route>;
  readonly #lateness: Lateness;
  readonly #failed: Record<string, number> = {};
  #datagrams = 0;
  #bytes = 0;
  #last: ReplayEntry<Route> | undefined;
  #startMs: number | undefined;
  #endMs: number | undefined;
  #turnedMs = 0;
  /** Ends the current wait. */
  #wake: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(open: () => DatagramReading, target: ReplayTarget<Route>, terms: ReplayTerms) {
    this.#target = target;
    this.#terms = terms;
    this.#lateness = new Lateness(terms.lateMs);
    this.#readAhead = new ReplayReadAhead(open, target, terms, () => this.#wake?.());
  }

  /** Sends all datagrams. */
  async run(): Promise<ReplayStats> {
    const { signal } = this.#terms;
    const forget = signal && onAbort(signal, () => this.#fail(signal.reason));
    if (signal?.aborted) this.#fail(signal.reason);
    const release = this.#target.clock.keepAlive?.();
    const stopReports = this.#reportProgress();
    try {
      await this.#sendAll();
    } finally {
      this.#endMs = this.#target.clock.now();
      release?.();
      forget?.();
      stopReports();
      this.#readAhead.close();
      this.#terms.onProgress?.(this.stats());
    }
    return this.stats();
  }

  stats(): ReplayStats {
    const { clock } = this.#target;
    const last = this.#last;
    const isDone = this.#endMs !== undefined && !this.#failure && this.#readAhead.peek() === undefined;
    return Object.freeze({
      datagrams: this.#datagrams,
      bytes: this.#bytes,
      failed: Object.freeze({ ...this.#failed }),
      skipped: Object.freeze({ ...this.#readAhead.skipped }),
      loops: isDone ? this.#readAhead.loops : (last?.loop ?? 0),
      recordedMs: last?.recordedMs ?? 0,
      elapsedMs: Math.max(0, (this.#endMs ?? clock.now()) - (this.#startMs ?? Infinity)),
      lateness: this.#terms.speed === Infinity ? undefined : this.#lateness.summary(),
    });
  }

  async #sendAll(): Promise<void> {
    const readAhead = this.#readAhead;
    for (;;) {
      this.#throwFailure();
      const entry = readAhead.peek();
      if (!entry) {
        if (readAhead.isOver) return;
        await this.#sleep(() => undefined);
        continue;
      }
      if (this.#startMs === undefined) {
        await this.#readFirst();
        this.#startMs = this.#target.clock.now();
      }
      await this.#waitUntil(this.#startMs + entry.atMs);
      readAhead.take();
      if (this.#target.sendMany) await this.#sendRun(entry);
      else await this.#send(entry);
    }
  }

  /** Waits until the datagrams of the first times are read. Virtual time does not pass while they are. */
  async #readFirst(): Promise<void> {
    const { clock } = this.#target;
    if (clock.at || this.#terms.speed === Infinity) return;
    const lastMs = clock.now() + maxLeadMs;
    let [before, isBusy] = [0, true];
    while (!this.#readAhead.isRead && clock.now() < lastMs) {
      const isLull = this.#readAhead.waiting === before || this.#readAhead.isFull;
      if (isLull && !isBusy) return;
      before = this.#readAhead.waiting;
      const dueMs = clock.now() + lullMs;
      await this.#sleep((wake) => clock.after(lullMs, wake));
      // After a turn that took long, the timer ends before the input is looked at.
      await new Promise<void>((resolve) => clock.turn(resolve));
      this.#throwFailure();
      isBusy = clock.now() > dueMs + busyMs;
    }
  }

  async #send(entry: ReplayEntry<Route>): Promise<void> {
    try {
      await this.#target.send(entry.datagram.data, entry.route);
      this.#sent([entry]);
    } catch (error) {
      this.#count(error, 1);
    }
  }

  /** Sends a datagram together with those after it that have the same time. */
  async #sendRun(first: ReplayEntry<Route>): Promise<void> {
    const run = [first];
    for (let next = this.#readAhead.peek(); next?.atMs === first.atMs; next = this.#readAhead.peek()) {
      if (run.length === maxBatch) break;
      run.push(next);
      this.#readAhead.take();
    }
    try {
      await this.#target.sendMany?.(run.map(({ datagram, route }) => ({ data: datagram.data, route })));
      this.#sent(run);
    } catch (error) {
      const sent = (error as OSError).sent ?? 0;
      this.#sent(run.slice(0, sent));
      this.#count(error, run.length - sent);
    }
  }

  #sent(entries: readonly ReplayEntry<Route>[]): void {
    const nowMs = this.#target.clock.now() - (this.#startMs ?? 0);
    for (const entry of entries) {
      this.#datagrams++;
      this.#bytes += entry.datagram.data.length;
      // Sums of milliseconds are exact to about a nanosecond.
      this.#lateness.add(Math.max(0, Math.round((nowMs - entry.atMs) * 1e6) / 1e6));
      this.#last = entry;
    }
  }

  #count(error: unknown, datagrams: number): void {
    if (!(error instanceof OSError && passingErrors.has(error.code))) throw error;
    this.#failed[error.code] = (this.#failed[error.code] ?? 0) + datagrams;
  }

  /** Waits until a time of the clock, or until the replay fails. The event loop turns at least every 2 ms. */
  async #waitUntil(dueMs: number): Promise<void> {
    const { clock } = this.#target;
    const { at } = clock;
    for (;;) {
      this.#throwFailure();
      const nowMs = clock.now();
      const leftMs = dueMs - nowMs;
      if (at) {
        if (leftMs < halfNsMs) return;
        await this.#sleep((wake) => at(dueMs, wake));
      } else if (leftMs > timerSlackMs) {
        await this.#sleep((wake) => clock.after(leftMs - timerSlackMs, wake));
        this.#turnedMs = clock.now();
      } else if (leftMs > spinMs || nowMs - this.#turnedMs > maxTurnMs) {
        await new Promise<void>((resolve) => clock.turn(resolve));
        this.#turnedMs = clock.now();
      } else {
        while (clock.now() < dueMs);
        return;
      }
    }
  }

  /** Waits until `start` calls its argument, or until something else wakes the replay. */
  async #sleep(start: (wake: () => void) => (() => void) | undefined): Promise<void> {
    let cancel: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      cancel = start(resolve);
    });
    this.#wake = undefined;
    cancel?.();
  }

  #reportProgress(): () => void {
    const { onProgress } = this.#terms;
    if (!onProgress) return () => undefined;
    const { clock } = this.#target;
    let cancel = (): void => undefined;
    const again = (): void => {
      cancel = clock.after(progressMs, () => {
        try {
          onProgress(this.stats());
          again();
        } catch (error) {
          this.#fail(error);
        }
      });
    };
    again();
    return () => cancel();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
