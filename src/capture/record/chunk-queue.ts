import { assert } from "../../core/assert.js";
import type { OSError } from "../../core/errors/errors.js";
import type { Chunk } from "./chunk-memory.js";
import type { FileSeries } from "./file-series.js";

/** What a queue tells the recording. */
export interface ChunkQueueListener {
  /** The chunk is in its file. */
  written(chunk: Chunk): void;
  /** Nothing of these chunks is in a file. */
  failed(error: OSError, chunks: readonly Chunk[]): void;
  /** A file that has its blocks could not be closed. */
  closeFailed(error: OSError): void;
  /** All chunks are written, or dropped. */
  idle(): void;
}

/** Writes chunks to the files in their order, one at a time. */
export class ChunkQueue {
  readonly #files: FileSeries;
  readonly #listener: ChunkQueueListener;
  readonly #chunks: Chunk[] = [];
  #isWriting = false;
  #isExiting = false;
  #isStopped = false;

  constructor(files: FileSeries, listener: ChunkQueueListener) {
    this.#files = files;
    this.#listener = listener;
  }

  push(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.writeNext();
  }

  /** Writes the next chunk, unless a write is under way. */
  writeNext(): void {
    while (!this.#isWriting && !this.#isStopped) {
      const [chunk] = this.#chunks;
      if (!chunk) {
        this.#listener.idle();
        return;
      }
      this.#isWriting = true;
      try {
        const file = this.#files.current();
        if (this.#isExiting) {
          file.appendNow(chunk.writer.written);
          this.#written(undefined);
        } else file.append(chunk.writer.written, (error) => this.#written(error));
      } catch (error) {
        this.#written(error as OSError);
      }
    }
  }

  /** From now on, chunks are written during the call, because the process ends. @returns whether that is possible. */
  writeAtOnce(): boolean {
    this.#isExiting = true;
    if (!this.#isWriting || this.#files.writeWaiting()) return true;
    if (!this.#files.hasPositions) return false;
    // The write that is under way has the same bytes for the same place.
    this.#isWriting = false;
    return true;
  }

  /** Writes nothing more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** The first chunk was written, or not. */
  #written(error: OSError | undefined): void {
    if (this.#isStopped || !this.#isWriting) return;
    this.#isWriting = false;
    if (error) {
      // The chunks follow what is missing, and may lack a section header.
      this.#listener.failed(error, this.#chunks.splice(0));
    } else {
      const chunk = this.#chunks.shift();
      assert(chunk !== undefined, "a chunk that is written was in the queue");
      const { endsFile } = chunk;
      this.#listener.written(chunk);
      this.#files.removeOldest();
      const failure = endsFile ? this.#files.close() : undefined;
      if (failure) this.#listener.closeFailed(failure);
    }
    this.writeNext();
  }
}
