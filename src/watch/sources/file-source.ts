import { basename } from "node:path";

import { type CapturedDatagram, type CapturedUnreachable, type Reading, read } from "../../capture/index.js";
import type { Model } from "../model/model.js";
import { type FileSides, PlainFile, pathMtuOf, unreachableOf } from "./file-side.js";
import { RelayFile, RelayTraces } from "./relay-file.js";
import type { WatchedSource } from "./source.js";

/** Parts of the overview. */
const overviewParts = 600;
/** Milliseconds between two steps of the playback. */
const stepMs = 50;
/** Datagrams after which others have their turn. */
const turnDatagrams = 2048;
/** ICMP errors that wait for their time. A file may have any number of them between two datagrams: more are shown early. */
const maxWaitingErrors = 1024;

/**
 * Plays a capture file to a model, which has the state at the position: all datagrams up to there. A file of a relay is two
 * sources: before and after its faults.
 *
 * @throws (rejects) the errors of `read`; `RangeError` if the file has no datagram and no ICMP error with a time.
 */
export async function fileSources(file: string, model: Model): Promise<readonly WatchedSource[]> {
  const source = await FileSource.open(file, model);
  if (!source.relay) return [source];
  const after = { send: undefined, socket: undefined, report: () => undefined, close: () => undefined };
  return [source, after];
}

class FileSource implements WatchedSource {
  readonly send: undefined = undefined;
  readonly socket: undefined = undefined;
  readonly relay: FileSides["relay"];
  readonly #sides: FileSides;
  readonly #file: string;
  readonly #model: Model;
  readonly #firstMs: number;
  readonly #lastMs: number;
  #reading: Reading | undefined;
  /** The next datagram, which was read already. */
  #next: CapturedDatagram | undefined;
  /** ICMP errors that were read before the next datagram, and that the model does not have yet. */
  #errors: CapturedUnreachable[] = [];
  #positionMs: number;
  /** Losses that were not reported yet, all of one second of the file. */
  #lost: { readonly second: number; readonly atMs: number; datagrams: number } | undefined;
  /** The second of the file whose reports are made next. */
  #second = 0;
  #speed = 1;
  /** Goes up with each seek, so that an older one ends. */
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Reads a file to its end for the overview, and begins to play it. */
  static async open(file: string, model: Model): Promise<FileSource> {
    let [firstMs, lastMs] = [Infinity, -Infinity];
    const traces = new RelayTraces();
    const see = ({ timestamp }: { readonly timestamp: bigint | undefined }): void => {
      if (timestamp === undefined) return;
      const ms = msOf(timestamp);
      firstMs = Math.min(firstMs, ms);
      lastMs = Math.max(lastMs, ms);
    };
    for await (const datagram of read(file, { onUnreachable: see })) {
      traces.add(datagram);
      see(datagram);
    }
    if (firstMs > lastMs) throw new RangeError(`${file} has no datagram with a time`);
    const overview = Array<number>(overviewParts).fill(0);
    const partMs = (lastMs - firstMs) / overviewParts || 1;
    for await (const { timestamp } of read(file)) {
      if (timestamp === undefined) continue;
      const part = Math.min(Math.floor((msOf(timestamp) - firstMs) / partMs), overviewParts - 1);
      overview[part] = (overview[part] as number) + 1;
    }
    const { labels } = traces;
    const sides = labels ? new RelayFile(labels, model) : new PlainFile(basename(file), model);
    const source = new FileSource(file, model, sides, firstMs, lastMs, overview);
    await source.seek(firstMs, 1);
    return source;
  }

  private constructor(
    file: string,
    model: Model,
    sides: FileSides,
    firstMs: number,
    lastMs: number,
    overview: readonly number[],
  ) {
    this.#file = file;
    this.#model = model;
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#positionMs = firstMs;
    this.#sides = sides;
    this.relay = sides.relay;
    model.playback = { type: "playback", firstMs, lastMs, positionMs: firstMs, speed: 1, overview };
    model.now = () => this.#positionMs;
  }

  /** Moves to a position, and goes on at a speed; 0 is paused. */
  readonly seek = async (positionMs: number, speed: number): Promise<void> => {
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    this.#speed = speed;
    const to = Math.min(Math.max(positionMs, this.#firstMs), this.#lastMs);
    // To pause and to go on needs no new start.
    if (!this.#reading || Math.abs(to - this.#positionMs) > 2 * stepMs) {
      await this.#reading?.return();
      if (turn !== this.#turn) return;
      this.#model.clear();
      this.#reading = this.#begin();
      this.#next = undefined;
      this.#errors = [];
      this.#positionMs = this.#firstMs;
      this.#lost = undefined;
      this.#sides.clear();
    }
    // A move of two steps or less may be a pause: what was shown stays.
    await this.#playTo(Math.max(to, this.#positionMs), turn);
    if (turn !== this.#turn) return;
    this.#showPosition();
    if (speed > 0) this.#goOn(turn);
  };

  report(): void {
    // What a file says of losses comes with its datagrams.
  }

  close(): void {
    this.#turn++;
    clearTimeout(this.#timer);
    void this.#reading?.return().catch(() => undefined);
  }

  #begin(): Reading {
    return read(this.#file, {
      onUnreachable: (error) => {
        const [oldest] = this.#errors;
        if (oldest && this.#errors.length >= maxWaitingErrors) {
          this.#errors.shift();
          this.#showError(oldest);
        }
        this.#errors.push(error);
      },
    });
  }

  #goOn(turn: number): void {
    const beganMs = performance.now();
    const fromMs = this.#positionMs;
    const step = async (): Promise<void> => {
      if (turn !== this.#turn) return;
      const to = fromMs + (performance.now() - beganMs) * this.#speed;
      await this.#playTo(Math.min(to, this.#lastMs), turn);
      if (turn !== this.#turn) return;
      if (to >= this.#lastMs) this.#speed = 0;
      else this.#timer = setTimeout(() => void step(), stepMs);
      this.#showPosition();
    };
    this.#timer = setTimeout(() => void step(), stepMs);
  }

  /** Shows all datagrams up to a position. */
  async #playTo(positionMs: number, turn: number): Promise<void> {
    const reading = this.#reading as Reading;
    for (let shown = 0; turn === this.#turn; shown++) {
      this.#next ??= await this.#read(reading);
      this.#showErrors(positionMs);
      if (!this.#next || msOf(this.#next.timestamp ?? 0n) > positionMs) break;
      this.#show(this.#next);
      this.#next = undefined;
      if (shown % turnDatagrams === turnDatagrams - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    if (turn !== this.#turn) return;
    this.#positionMs = positionMs;
    const isOver = positionMs >= this.#lastMs || Math.floor(positionMs / 1000) !== this.#lost?.second;
    if (isOver || this.#speed === 0) this.#reportLost();
    if (positionMs >= this.#lastMs || this.#speed === 0) this.#sides.report(positionMs);
    else this.#enterSecond(positionMs);
  }

  /** The next datagram; `undefined` at the end. A file that was cut since `open` ends there. */
  async #read(reading: Reading): Promise<CapturedDatagram | undefined> {
    try {
      return (await reading.next()).value;
    } catch {
      return undefined;
    }
  }

  #show(datagram: CapturedDatagram): void {
    const { source, destination, timestamp = 0n, lostBefore = 0 } = datagram;
    const nowMs = msOf(timestamp);
    this.#positionMs = Math.max(this.#positionMs, nowMs);
    const arrival = {
      from: source,
      to: destination,
      timestamp: timestamp > lastKept ? lastKept : timestamp,
      lostBefore,
    };
    const second = this.#enterSecond(nowMs);
    this.#sides.show(datagram, arrival, nowMs);
    if (lostBefore === 0) return;
    if (this.#lost?.second !== second) this.#reportLost();
    this.#lost ??= { second, atMs: nowMs, datagrams: 0 };
    this.#lost.datagrams += lostBefore;
  }

  /** Shows the ICMP errors up to a position. */
  #showErrors(positionMs: number): void {
    for (;;) {
      const [error] = this.#errors;
      if (!error || msOf(error.timestamp ?? 0n) > positionMs) return;
      this.#errors.shift();
      this.#showError(error);
    }
  }

  #showError(error: CapturedUnreachable): void {
    const nowMs = msOf(error.timestamp ?? 0n);
    this.#enterSecond(nowMs);
    const change = pathMtuOf(error);
    if (change) this.#sides.narrowed(change);
    else this.#sides.unreachable(unreachableOf(error), nowMs);
  }

  /** Reports what came together in the second before. @returns the second. */
  #enterSecond(nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#sides.report(nowMs);
    this.#second = second;
    return second;
  }

  #reportLost(): void {
    if (!this.#lost) return;
    const { atMs, datagrams } = this.#lost;
    this.#lost = undefined;
    this.#model.lost({
      ...{
        cause: "recording",
        atMs,
        source: this.#sides.lossSource,
        peer: undefined,
        datagrams,
        atLeast: true,
      },
      sentence: `At least ${datagrams} ${datagrams === 1 ? "packet was" : "packets were"} lost before they were recorded.`,
      advice: this.#sides.lossAdvice,
    });
  }

  #showPosition(): void {
    const { playback } = this.#model;
    if (playback) this.#model.playback = { ...playback, positionMs: this.#positionMs, speed: this.#speed };
  }
}

/** The last time that the model keeps, in nanoseconds since 1970: in the year 2262. */
const lastKept = 2n ** 63n - 1n;
/** The last time that a `Date` can have, in milliseconds since 1970 (ECMA-262, "Time Values and Time Range"). */
const lastDateMs = 8.64e15;

/** A file may claim any time. One that no clock of a page can show becomes the nearest that it can. */
function msOf(timestamp: bigint): number {
  return Math.min(Math.max(Number(timestamp / 1000n) / 1000, 0), lastDateMs);
}
