import { unlinkSync } from "node:fs";

import { assert } from "../../core/assert.js";
import { attempt } from "../../core/driver/driver-errors.js";
import type { Clock } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import { runListener } from "../../core/socket/events.js";
import { BlockWriter } from "../../wire/pcapng.js";
import { BlockFile } from "./block-file.js";
import { numberedPath } from "./file-names.js";
import {
  type BlockCounts,
  type RecordedInterface,
  type RecordingHost,
  blockBytes,
  maxCountsBytes,
  noBlockCounts,
} from "./recorded-interface.js";
import type { RecordEnd, RecordOptions, RecordStats, Recording } from "./recording.js";

/** Bytes that are written at once. Any block is shorter. */
const chunkBytes = 1 << 20;
/** Chunks of a recording, filled or empty: 16 MiB. While all are filled, datagrams are missed. */
const maxChunks = 16;
/** Empty chunks that are kept. */
const maxIdleChunks = 2;
/** How long datagrams wait in memory, in milliseconds. */
const flushMs = 250;
/** How long nothing is written after a failure, in milliseconds. */
const retryMs = 1000;
/** How often the file is looked for, in milliseconds. */
const lookMs = 1000;
/** Bytes of the start of a section, and of a description of an interface, at most. */
const startBytes = 1024;

const sectionComment =
  "Recorded above the socket: payloads, addresses, times and losses are real. IP and UDP headers are made up from them.";

/** Blocks in memory, in the order of the file. */
interface Chunk {
  readonly writer: BlockWriter;
  /** The counts of each socket. */
  counts: BlockCounts[];
  /** Whether the file ends after these blocks. */
  endsFile: boolean;
}

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
  readonly #path: string;
  readonly #options: RecordOptions;
  readonly #clock: Clock;
  readonly #sockets: readonly RecordedInterface[];
  /** Whether the recording has numbered files. */
  readonly #isNumbered: boolean;
  /** Whether blocks are written during the call that makes them. */
  readonly #atOnce: boolean;

  // The blocks that are made.
  #chunk: Chunk | undefined;
  readonly #idle: Chunk[] = [];
  /** Chunks that exist. */
  #chunks = 0;
  /** Whether the current file has its section header. */
  #hasSection = true;
  #interfaces = 0;
  /** The counts of each socket in the sealed chunks of this section. */
  #sectionCounts: BlockCounts[];
  /** The counts of all sealed chunks that could be written so far. */
  readonly #totals: BlockCounts = noBlockCounts();
  /** Bytes of the current file, with those in memory, and of the files before it. */
  #fileBytes = 0;
  #bytesBefore = 0;
  #cancelFlush: (() => void) | undefined;
  #cancelRotation: (() => void) | undefined;

  // The blocks that are written.
  readonly #queue: Chunk[] = [];
  #isWriting = false;
  #file: BlockFile | undefined;
  #lastPath = "";
  /** The paths of the files, if the oldest ones are removed. */
  readonly #paths: string[] = [];
  #files = 0;
  /** Bytes of the files before this one. */
  #writtenBefore = 0;
  #lookAt = 0;
  /** When to write again after a failure. */
  #retryAt: number | undefined;
  #error: OSError | undefined;
  /** Whether the failure that lasts was told. */
  #isErrorTold = false;
  #ended: RecordEnd | undefined;
  /** The failure to write the end. */
  #endError: OSError | undefined;
  #openSockets: number;
  #isExiting = false;
  #isOver = false;
  #resolve: (stats: RecordStats) => void = () => undefined;

  /** @throws `OSError`. */
  constructor({ clock, atOnce, open }: RecordedInput, path: string, options: RecordOptions) {
    this.#path = path;
    this.#options = options;
    this.#isNumbered = options.rotateBytes !== undefined || options.rotateMs !== undefined;
    this.#clock = clock;
    this.#atOnce = atOnce;
    this.finished = new Promise((resolve) => (this.#resolve = resolve));
    this.#sockets = open(this);
    try {
      this.#sectionCounts = this.#noCounts();
      this.#openFile();
      // The file is one that programs can read from now on.
      const writer = new BlockWriter();
      writeSectionHeader(writer);
      this.#file?.appendNow(writer.written);
      this.#fileBytes = writer.at;
    } catch (error) {
      for (const each of this.#sockets) each.end();
      this.#closeFile();
      throw error;
    }
    this.#openSockets = this.#sockets.length;
    active.add(this);
    if (active.size === 1) process.on("exit", finishAll);
  }

  get file(): string {
    return this.#lastPath;
  }

  get isOver(): boolean {
    return this.#ended !== undefined;
  }

  stats(): RecordStats {
    const { datagrams, bytes, unreachable } = (this.#chunk?.counts ?? []).reduce(sum, this.#totals);
    return Object.freeze({
      datagrams,
      bytes,
      unreachable,
      missed: this.#sockets.reduce((missed, socket) => missed + socket.missed, 0),
      lost: this.#sockets.reduce((lost, socket) => lost + socket.lost, 0),
      fileBytes: this.#writtenBefore + (this.#file?.bytes ?? 0),
      files: this.#files,
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
    if (this.#isWriting) {
      if (this.#file?.isRegular !== true) return;
      // The write that is under way has the same bytes for the same place.
      this.#isWriting = false;
    }
    this.#isExiting = true;
    this.#end("closed");
    this.#writeNext();
  }

  // For the sockets.

  room(socket: RecordedInterface, bytes: number): BlockWriter | undefined {
    if (this.#ended !== undefined || this.#isPaused()) return undefined;
    const { rotateBytes = Infinity, limitBytes = Infinity } = this.#options;
    const isDescribed = socket.interfaceId !== undefined;
    let needed = isDescribed && this.#hasSection ? bytes : bytes + 2 * startBytes;
    const end = needed + this.#sockets.length * blockBytes;
    if (this.#bytesBefore + this.#fileBytes + this.#chunkBytes + end > limitBytes) {
      this.#end("limit");
      return undefined;
    }
    if (this.#interfaces > 0 && this.#fileBytes + this.#chunkBytes + end > rotateBytes) {
      this.#endFile(false);
      needed = bytes + 2 * startBytes;
    }
    const writer = this.#writer(needed, false);
    if (!writer) return undefined;
    if (!this.#hasSection) this.#startSection(writer);
    if (socket.interfaceId === undefined) this.#describe(socket, writer);
    return writer;
  }

  closed(): void {
    this.#openSockets--;
    if (this.#openSockets === 0) this.#end("sockets");
  }

  // Making blocks.

  /** Bytes of the chunk that is filled. */
  get #chunkBytes(): number {
    return this.#chunk?.writer.at ?? 0;
  }

  /** Memory for blocks. @param isForced whether more chunks than the limit may exist. */
  #writer(bytes: number, isForced: boolean): BlockWriter | undefined {
    if (this.#chunk && this.#chunk.writer.at + bytes > chunkBytes) this.#seal();
    if (!this.#chunk) {
      if (!isForced && this.#idle.length === 0 && this.#chunks >= maxChunks) return undefined;
      this.#chunk = this.#idle.pop() ?? this.#newChunk();
      for (const [index, socket] of this.#sockets.entries())
        socket.counts = this.#chunk.counts[index] ?? noBlockCounts();
      this.#cancelFlush ??= this.#clock.after(flushMs, () => {
        this.#cancelFlush = undefined;
        this.#seal();
      });
    }
    return this.#chunk.writer;
  }

  #newChunk(): Chunk {
    this.#chunks++;
    const memory = new Uint8Array(new ArrayBuffer(chunkBytes));
    return { writer: new BlockWriter(memory), counts: this.#noCounts(), endsFile: false };
  }

  #noCounts(): BlockCounts[] {
    return this.#sockets.map(noBlockCounts);
  }

  #startSection(writer: BlockWriter): void {
    this.#hasSection = true;
    writeSectionHeader(writer);
  }

  #describe(socket: RecordedInterface, writer: BlockWriter): void {
    socket.describe(writer, this.#interfaces++);
    const { rotateMs } = this.#options;
    if (rotateMs === undefined || this.#cancelRotation) return;
    this.#cancelRotation = this.#clock.after(rotateMs, () => this.#endFile(false));
  }

  /** Writes the counts of the current file, and ends it. */
  #endFile(isLast: boolean): void {
    this.#cancelRotation?.();
    this.#cancelRotation = undefined;
    if (!this.#hasSection && !(isLast && this.#sockets.some((socket) => socket.hasNotes))) return;
    for (const [index, socket] of this.#sockets.entries()) {
      if (socket.interfaceId === undefined && !isLast) continue;
      const writer = this.#writer(2 * startBytes + maxCountsBytes, true);
      assert(writer !== undefined, "the end of a file has memory");
      if (!this.#hasSection) this.#startSection(writer);
      if (socket.interfaceId === undefined) socket.describe(writer, this.#interfaces++);
      const counts = [socket.counts].reduce(sum, this.#sectionCounts[index] ?? noBlockCounts());
      socket.endSection(writer, counts, isLast);
    }
    this.#seal(true);
    this.#forgetSection();
    this.#bytesBefore += this.#fileBytes;
    this.#fileBytes = 0;
  }

  /** What follows is in another section. */
  #forgetSection(): void {
    this.#hasSection = false;
    this.#interfaces = 0;
    this.#sectionCounts = this.#noCounts();
    for (const socket of this.#sockets) socket.interfaceId = undefined;
  }

  /** Gives the blocks that are made to the file. */
  #seal(endsFile = false): void {
    const chunk = this.#chunk;
    if (!chunk) return;
    this.#chunk = undefined;
    chunk.endsFile = endsFile;
    this.#fileBytes += chunk.writer.at;
    for (const [index, counts] of chunk.counts.entries()) {
      this.#sectionCounts[index] = sum(this.#sectionCounts[index] ?? noBlockCounts(), counts);
      add(this.#totals, counts, 1);
      // The counts of the next chunk are others.
      const socket = this.#sockets[index];
      if (socket) socket.counts = noBlockCounts();
    }
    this.#queue.push(chunk);
    this.#writeNext();
  }

  // Writing blocks.

  #writeNext(): void {
    while (!this.#isWriting && !this.#isOver) {
      const [chunk] = this.#queue;
      if (!chunk) {
        if (this.#ended !== undefined) this.#complete();
        return;
      }
      this.#isWriting = true;
      try {
        const file = this.#openFile();
        if (this.#isExiting) {
          file.appendNow(chunk.writer.written);
          this.#written(undefined);
        } else file.append(chunk.writer.written, (error) => this.#written(error));
      } catch (error) {
        this.#written(error as OSError);
      }
    }
  }

  /** The first chunk of the queue was written, or not. */
  #written(error: OSError | undefined): void {
    if (this.#isOver || !this.#isWriting) return;
    this.#isWriting = false;
    if (error) {
      this.#fail(error);
    } else {
      this.#isErrorTold = false;
      const chunk = this.#queue.shift();
      assert(chunk !== undefined, "a chunk that is written was in the queue");
      this.#removeOldFiles();
      if (chunk.endsFile) this.#closeFile();
      this.#release(chunk);
    }
    this.#writeNext();
  }

  /** Keeps an empty chunk for later, or lets its memory go. */
  #release(chunk: Chunk): void {
    if (this.#idle.length >= maxIdleChunks) {
      this.#chunks--;
      return;
    }
    chunk.writer.at = 0;
    chunk.counts = this.#noCounts();
    this.#idle.push(chunk);
  }

  /** The file that is written now. @throws `OSError`. */
  #openFile(): BlockFile {
    const now = this.#clock.now();
    if (this.#file && now >= this.#lookAt) {
      this.#lookAt = now + lookMs;
      if (this.#file.isRemoved) {
        const text = `${this.#file.path} was removed while it was written`;
        this.#closeFile();
        throw new OSError("ENOENT", { syscall: "write", text });
      }
    }
    if (this.#file) return this.#file;
    const { overwrite = false, maxFiles = Infinity } = this.#options;
    const wallMs = Number(this.#clock.wall() / 1_000_000n);
    const path = this.#isNumbered ? numberedPath(this.#path, this.#files + 1, wallMs) : this.#path;
    this.#file = new BlockFile(path, overwrite, this.#atOnce);
    this.#lookAt = now + lookMs;
    this.#files++;
    this.#lastPath = path;
    if (maxFiles !== Infinity && this.#isNumbered) this.#paths.push(path);
    return this.#file;
  }

  /** Removes the oldest files above `maxFiles`, once a newer file has something in it. */
  #removeOldFiles(): void {
    const { maxFiles = Infinity } = this.#options;
    // A file that cannot be removed may be gone already.
    while (this.#paths.length > maxFiles) attempt(() => unlinkSync(this.#paths.shift() ?? ""));
  }

  #closeFile(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    // Each retry would leave one.
    if (this.#isNumbered && file.bytes === 0 && !file.isRemoved) {
      attempt(() => unlinkSync(file.path));
      this.#files--;
      if (this.#paths.at(-1) === file.path) this.#paths.pop();
    }
    this.#writtenBefore += file.bytes;
    try {
      file.close();
    } catch (error) {
      this.#tell(error as OSError);
    }
  }

  /** Nothing of the chunks in memory can be written. What follows is another section, or another file. */
  #fail(error: OSError): void {
    this.#retryAt = this.#clock.now() + retryMs;
    if (this.#isNumbered) this.#closeFile();
    // They follow what is missing, and may lack a section header.
    const dropped = this.#queue.splice(0);
    for (const { counts } of dropped) for (const each of counts) add(this.#totals, each, -1);
    if (this.#chunk) dropped.push(this.#chunk);
    this.#chunk = undefined;
    for (const chunk of dropped) {
      for (const [index, counts] of chunk.counts.entries()) this.#sockets[index]?.notWritten(counts);
      this.#release(chunk);
    }
    this.#forgetSection();
    for (const socket of this.#sockets) socket.counts = noBlockCounts();
    this.#bytesBefore = this.#writtenBefore;
    this.#fileBytes = this.#file?.bytes ?? 0;
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
    for (const socket of this.#sockets) socket.end();
    this.#cancelFlush?.();
    this.#endFile(true);
    this.#writeNext();
  }

  #complete(): void {
    this.#isOver = true;
    this.#closeFile();
    active.delete(this);
    if (active.size === 0) process.off("exit", finishAll);
    this.#resolve(this.stats());
  }
}

/** Recordings that are not over. */
const active = new Set<FileRecording>();

function finishAll(): void {
  for (const recording of active) recording.finishNow();
}

function writeSectionHeader(writer: BlockWriter): void {
  writer.sectionHeader({ application: "datagram", comment: sectionComment });
}

function add(
  to: BlockCounts,
  { datagrams, bytes, unreachable, lost, missed }: BlockCounts,
  factor: 1 | -1,
): void {
  to.datagrams += factor * datagrams;
  to.bytes += factor * bytes;
  to.unreachable += factor * unreachable;
  to.lost += factor * lost;
  to.missed += factor * missed;
}

/** The sum of two counts, as a new object. */
function sum(one: BlockCounts, other: BlockCounts): BlockCounts {
  const both = { ...one };
  add(both, other, 1);
  return both;
}
