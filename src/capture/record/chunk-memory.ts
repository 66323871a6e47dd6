import { BlockWriter } from "../../wire/pcapng.js";
import { type BlockCounts, noBlockCounts } from "./block-counts.js";

/** Bytes that are written at once. Any block is shorter. */
export const chunkBytes: number = 1 << 20;
/** Chunks of a recording, filled or empty: 16 MiB. While all are filled, datagrams are missed. */
const maxChunks = 16;
/** Empty chunks that are kept. */
const maxIdleChunks = 2;

/** Blocks in memory, in the order of the file. */
export interface Chunk {
  readonly writer: BlockWriter;
  /** The counts of each interface. */
  counts: BlockCounts[];
  /** Whether the file ends after these blocks. */
  endsFile: boolean;
}

/** The memory of a recording. */
export class ChunkMemory {
  readonly #interfaces: number;
  readonly #idle: Chunk[] = [];
  /** Chunks that exist. */
  #chunks = 0;

  /** @param interfaces whose blocks the chunks have. */
  constructor(interfaces: number) {
    this.#interfaces = interfaces;
  }

  /**
   * An empty chunk.
   *
   * @param isForced whether more chunks than the limit may exist.
   * @returns `undefined` if all chunks are in use.
   */
  take(isForced: boolean): Chunk | undefined {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (!isForced && this.#chunks >= maxChunks) return undefined;
    this.#chunks++;
    const memory = new Uint8Array(new ArrayBuffer(chunkBytes));
    return { writer: new BlockWriter(memory), counts: this.noCounts(), endsFile: false };
  }

  /** Keeps a chunk for later as an empty one, or lets its memory go. */
  release(chunk: Chunk): void {
    if (this.#idle.length >= maxIdleChunks) {
      this.#chunks--;
      return;
    }
    chunk.writer.at = 0;
    chunk.counts = this.noCounts();
    this.#idle.push(chunk);
  }

  /** Counts of 0 for each interface. */
  noCounts(): BlockCounts[] {
    return Array.from({ length: this.#interfaces }, noBlockCounts);
  }
}
