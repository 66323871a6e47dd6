import type { Clock } from "../../core/driver/driver.js";
import type { OSError } from "../../core/errors/errors.js";
import { runListener } from "../../core/socket/events.js";
import { BlockWriter } from "../../wire/pcapng.js";
import { type BlockCounts, addBlockCounts, noBlockCounts, sumOfBlockCounts } from "./block-counts.js";
import { type Chunk, ChunkMemory, chunkBytes } from "./chunk-memory.js";
import { ChunkQueue } from "./chunk-queue.js";
import { FileSeries } from "./file-series.js";
import { maxCommentBytes } from "./notes.js";
import {
  type RecordedInterface,
  type RecordingHost,
  blockBytes,
  descriptionBytes,
  maxEndBytes,
} from "./recorded-interface.js";
import type { RecordEnd, RecordOptions, RecordStats, Recording } from "./recording.js";
import { sectionBytes, writeSectionHeader } from "./section-header.js";

/** How long datagrams wait in memory, in milliseconds. */
const flushMs = 250;
/** How long nothing is written after a failure, in milliseconds. */
const retryMs = 1000;
/** What is recorded. */
export interface RecordedInput {
  readonly clock: Clock;
  /** Whether blocks are written during the call that makes them, as in virtual time. */
  readonly atOnce: boolean;
  /** Begins to observe, and returns the interfaces of the file: at least one. */
  readonly open: (host: RecordingHost) => readonly RecordedInterface[];
}

/** A recording to one file, or to one after the other. */
export class FileRecording implements Recording, RecordingHost {
  readonly finished: Promise<RecordStats>;
  readonly #options: RecordOptions;
  readonly #clock: Clock;
  readonly #interfaces: readonly RecordedInterface[];
  readonly #files: FileSeries;
  readonly #memory: ChunkMemory;
  readonly #queue: ChunkQueue;

  /** The chunk that is filled. */
  #chunk: Chunk | undefined;
  /** Whether the current file has its section header. */
  #hasSection = true;
  /** Interfaces that the section describes. */
  #described = 0;
  /** The counts of each interface in the sealed chunks of this section. */
  #sectionCounts: BlockCounts[];
  /** The counts of all sealed chunks that could be written so far. */
  readonly #totals: BlockCounts = noBlockCounts();
  /** Bytes of the current file, with those in memory, and of the files before it. */
  #fileBytes = 0;
  #bytesBefore = 0;
  #cancelFlush: (() => void) | undefined;
  #cancelRotation: (() => void) | undefined;
  /** When to write again after a failure. */
  #retryAt: number | undefined;
  #error: OSError | undefined;
  /** Whether the failure that lasts was told. */
  #isErrorTold = false;
  #ended: RecordEnd | undefined;
  /** Whether the counts of the last file are made. Memory before them may be written, and idle, at once. */
  #isEndMade = false;
  /** The failure to write the end. */
  #endError: OSError | undefined;
  #openInterfaces: number;
  /** Datagrams until the limit. */
  #leftDatagrams: number;
  #resolve: (stats: RecordStats) => void = () => undefined;

  /** @param target a path, or the descriptor of a single file. @throws `OSError`. */
  constructor({ clock, atOnce, open }: RecordedInput, target: string | number, options: RecordOptions) {
    this.#options = options;
    this.#leftDatagrams = options.limitDatagrams ?? Infinity;
    this.#clock = clock;
    this.finished = new Promise((resolve) => (this.#resolve = resolve));
    this.#files = new FileSeries(target, options, clock, atOnce);
    this.#queue = new ChunkQueue(this.#files, {
      written: (chunk) => this.#written(chunk),
      failed: (error, chunks) => this.#failed(error, chunks),
      closeFailed: (error) => this.#tell(error),
      idle: () => {
        if (this.#isEndMade) this.#complete();
      },
    });
    this.#interfaces = open(this);
    this.#memory = new ChunkMemory(this.#interfaces.length);
    this.#sectionCounts = this.#memory.noCounts();
    this.#openInterfaces = this.#interfaces.length;
    try {
      // The file is one that programs can read from now on.
      const writer = new BlockWriter();
      writeSectionHeader(writer);
      this.#files.current().appendNow(writer.written);
      this.#fileBytes = writer.at;
    } catch (error) {
      for (const recorded of this.#interfaces) recorded.end();
      this.#files.close();
      throw error;
    }
    active.add(this);
    if (active.size === 1) process.on("exit", finishRecordings);
  }

  get file(): string {
    return this.#files.lastPath;
  }

  get isOver(): boolean {
    return this.#ended !== undefined;
  }

  stats(): RecordStats {
    const { datagrams, bytes, unreachable } = (this.#chunk?.counts ?? []).reduce(
      sumOfBlockCounts,
      this.#totals,
    );
    return Object.freeze({
      datagrams,
      bytes,
      unreachable,
      missed: this.#interfaces.reduce((total, { missed }) => total + missed, 0),
      lost: this.#interfaces.reduce((total, { lost }) => total + lost, 0),
      fileBytes: this.#files.bytesBefore + this.#files.currentBytes,
      files: this.#files.count,
      ended: this.#ended,
      error: this.#error,
    });
  }

  async close(): Promise<RecordStats> {
    this.#end("closed");
    const stats = await this.finished;
    if (this.#endError) throw this.#endError;
    return stats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Writes what is in memory during the call, because the process ends. */
  finishNow(): void {
    if (!this.#queue.writeAtOnce()) return;
    this.#end("closed");
    this.#queue.writeNext();
  }

  // For the interfaces.

  room(recorded: RecordedInterface, bytes: number): BlockWriter | undefined {
    if (this.#ended !== undefined || this.#isPaused()) return undefined;
    const { rotateBytes = Infinity } = this.#options;
    let needed = bytes + this.#startBytes(recorded);
    if (!this.#hasRoom(needed, this.#leftBytes)) {
      this.#end("limit");
      return undefined;
    }
    if (this.#described > 0 && !this.#hasRoom(needed, rotateBytes - this.#currentBytes)) {
      this.#endFile(false);
      // If that failed, nothing is written for a while, and the listener may have closed the recording.
      if (this.isOver || this.#isPaused()) return undefined;
      needed = bytes + this.#startBytes(recorded);
    }
    const writer = this.#writer(needed, false);
    if (!writer) return undefined;
    if (!this.#hasSection) this.#startSection(writer);
    if (recorded.interfaceId === undefined) this.#describe(recorded, writer);
    return writer;
  }

  written(): void {
    if (--this.#leftDatagrams === 0) this.#end("limit");
  }

  closed(): void {
    this.#openInterfaces--;
    if (this.#openInterfaces === 0) this.#end("sockets");
  }

  // Making blocks.

  /** Bytes of the current file, with all that are in memory. */
  get #currentBytes(): number {
    return this.#fileBytes + (this.#chunk?.writer.at ?? 0);
  }

  /** Bytes until the limit. */
  get #leftBytes(): number {
    const { limitBytes = Infinity } = this.#options;
    return limitBytes - this.#bytesBefore - this.#currentBytes;
  }

  /** Bytes before the first block of an interface, at most. */
  #startBytes({ interfaceId }: RecordedInterface): number {
    return (this.#hasSection ? 0 : sectionBytes) + (interfaceId === undefined ? descriptionBytes : 0);
  }

  /** Whether blocks of `bytes`, and the counts and notes of the file's end, fit `left` bytes. */
  #hasRoom(bytes: number, left: number): boolean {
    let needed = bytes + sectionBytes;
    if (needed + this.#interfaces.length * maxEndBytes <= left) return true;
    for (const { interfaceId, notesBytes } of this.#interfaces) {
      if (interfaceId === undefined && notesBytes > 0) needed += descriptionBytes;
      if (interfaceId !== undefined || notesBytes > 0) needed += blockBytes + notesBytes;
    }
    // The counts of the interface that these blocks describe.
    return needed + blockBytes <= left;
  }

  /**
   * Memory for blocks; `undefined` if there is none, or if the blocks before could not be written.
   *
   * @param isForced whether more chunks than the limit may exist.
   */
  #writer(bytes: number, isForced: boolean): BlockWriter | undefined {
    // The writer wants room for three bytes of each character of a comment.
    if (this.#chunk && this.#chunk.writer.at + bytes + 3 * maxCommentBytes > chunkBytes) {
      const section = this.#sectionCounts;
      this.#seal();
      // A failure ends the section, and its listener may have closed the recording.
      if (this.#sectionCounts !== section) return undefined;
    }
    if (!this.#chunk) {
      this.#chunk = this.#memory.take(isForced);
      if (!this.#chunk) return undefined;
      for (const [index, recorded] of this.#interfaces.entries())
        recorded.counts = this.#chunk.counts[index] ?? noBlockCounts();
      this.#cancelFlush ??= this.#clock.after(flushMs, () => {
        this.#cancelFlush = undefined;
        this.#seal();
      });
    }
    return this.#chunk.writer;
  }

  #startSection(writer: BlockWriter): void {
    this.#hasSection = true;
    writeSectionHeader(writer);
  }

  #describe(recorded: RecordedInterface, writer: BlockWriter): void {
    recorded.describe(writer, this.#described++);
    const { rotateMs } = this.#options;
    if (rotateMs === undefined || this.#cancelRotation) return;
    this.#cancelRotation = this.#clock.after(rotateMs, () => this.#endFile(false));
  }

  /** Writes the counts of the current file, and ends it. */
  #endFile(isLast: boolean): void {
    this.#cancelRotation?.();
    this.#cancelRotation = undefined;
    // If the blocks before cannot be written, a last section has at least the counts of what is missing.
    if (!this.#writeEnds(isLast) && !(isLast && this.#writeEnds(true))) return;
    this.#seal(true);
    this.#forgetSection();
    this.#bytesBefore += this.#fileBytes;
    this.#fileBytes = 0;
  }

  /** @returns whether the counts are in memory: not if there are none, or if the blocks before them could not be written. */
  #writeEnds(isLast: boolean): boolean {
    if (!this.#hasSection && !(isLast && this.#interfaces.some(({ hasNotes }) => hasNotes))) return false;
    const { rotateBytes = Infinity } = this.#options;
    // The counts of interfaces with packets have room, and the others come if there is room.
    let reserved = this.#described * blockBytes;
    for (const [index, recorded] of this.#inOrderOfEnd(isLast)) {
      const isDescribed = recorded.interfaceId !== undefined;
      if (isDescribed) reserved -= blockBytes;
      const needed = this.#startBytes(recorded) + blockBytes;
      const left = this.#leftBytes - needed - reserved;
      const leftOfFile = Math.min(left, rotateBytes - this.#currentBytes - needed - reserved);
      if ((isDescribed ? left : leftOfFile) < 0) continue;
      const writer = this.#writer(sectionBytes + maxEndBytes, true);
      if (!writer) return false;
      if (!this.#hasSection) this.#startSection(writer);
      if (!isDescribed) recorded.describe(writer, this.#described++);
      const before = this.#sectionCounts[index] ?? noBlockCounts();
      const counts = sumOfBlockCounts(before, recorded.counts);
      recorded.endSection(writer, counts, isLast, Math.min(leftOfFile, maxCommentBytes));
    }
    return true;
  }

  /** The interfaces whose counts end a file, with their indexes: those with packets, with notes, and without both. */
  #inOrderOfEnd(isLast: boolean): [number, RecordedInterface][] {
    const rank = ({ interfaceId, hasNotes }: RecordedInterface): number =>
      interfaceId !== undefined ? 0 : hasNotes ? 1 : 2;
    return [...this.#interfaces.entries()]
      .filter(([, recorded]) => isLast || recorded.interfaceId !== undefined)
      .sort(([, one], [, other]) => rank(one) - rank(other));
  }

  /** What follows is in another section. */
  #forgetSection(): void {
    this.#hasSection = false;
    this.#described = 0;
    this.#sectionCounts = this.#memory.noCounts();
    for (const recorded of this.#interfaces) recorded.interfaceId = undefined;
  }

  /** Gives the blocks that are made to the file. */
  #seal(endsFile = false): void {
    const chunk = this.#chunk;
    if (!chunk) return;
    this.#chunk = undefined;
    chunk.endsFile = endsFile;
    this.#fileBytes += chunk.writer.at;
    for (const [index, counts] of chunk.counts.entries()) {
      this.#sectionCounts[index] = sumOfBlockCounts(this.#sectionCounts[index] ?? noBlockCounts(), counts);
      addBlockCounts(this.#totals, counts, 1);
      // The counts of the next chunk are others.
      const recorded = this.#interfaces[index];
      if (recorded) recorded.counts = noBlockCounts();
    }
    this.#queue.push(chunk);
  }

  // After blocks were written.

  #written(chunk: Chunk): void {
    this.#isErrorTold = false;
    this.#memory.release(chunk);
  }

  /** Nothing of the chunks in memory can be written. What follows is another section, or another file. */
  #failed(error: OSError, chunks: readonly Chunk[]): void {
    this.#retryAt = this.#clock.now() + retryMs;
    const closeError = this.#files.isNumbered ? this.#files.close() : undefined;
    if (closeError) this.#tell(closeError);
    for (const { counts } of chunks) for (const each of counts) addBlockCounts(this.#totals, each, -1);
    const dropped = this.#chunk ? [...chunks, this.#chunk] : chunks;
    this.#chunk = undefined;
    for (const chunk of dropped) {
      for (const [index, counts] of chunk.counts.entries()) {
        this.#interfaces[index]?.notWritten(counts);
        this.#leftDatagrams += counts.datagrams;
      }
      this.#memory.release(chunk);
    }
    this.#forgetSection();
    for (const recorded of this.#interfaces) recorded.counts = noBlockCounts();
    this.#bytesBefore = this.#files.bytesBefore;
    this.#fileBytes = this.#files.currentBytes;
    // The listener may close the recording.
    this.#tell(error);
  }

  /** Tells the program of a failure: once, until something could be written again. */
  #tell(error: OSError): void {
    this.#error = error;
    if (this.#ended !== undefined) this.#endError = error;
    if (this.#isErrorTold) return;
    this.#isErrorTold = true;
    const { onError } = this.#options;
    if (onError) runListener(() => onError(error));
    else process.emitWarning(error.message, { type: "DatagramWarning", code: "RECORDING_FAILED" });
  }

  /** Whether nothing is to be written, because writing failed a short time ago. */
  #isPaused(): boolean {
    if (this.#retryAt === undefined) return false;
    if (this.#clock.now() < this.#retryAt) return true;
    this.#retryAt = undefined;
    return false;
  }

  #end(ended: RecordEnd): void {
    if (this.#ended !== undefined) return;
    this.#ended = ended;
    for (const recorded of this.#interfaces) recorded.end();
    this.#cancelFlush?.();
    this.#endFile(true);
    this.#isEndMade = true;
    this.#queue.writeNext();
  }

  #complete(): void {
    this.#queue.stop();
    const error = this.#files.close();
    if (error) this.#tell(error);
    active.delete(this);
    if (active.size === 0) process.off("exit", finishRecordings);
    this.#resolve(this.stats());
  }
}

/** Recordings that are not over. */
const active = new Set<FileRecording>();

/** Ends all recordings, and writes what is in memory during the call: the process is about to end. */
export function finishRecordings(): void {
  for (const recording of active) recording.finishNow();
}
