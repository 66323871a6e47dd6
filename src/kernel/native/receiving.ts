/** The receive side of the native driver. */

import type { Buffer } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";

import type { Endpoint } from "../../core/address/address.js";
import { Chunks } from "../../core/driver/chunks.js";
import type { Sink } from "../../core/driver/driver.js";
import type { Metadata } from "../../core/driver/metadata.js";
import { assert } from "../../core/assert.js";
import type { Traffic } from "../../core/ledger/ledger.js";
import { MetadataReader } from "./message-metadata.js";
import { layout } from "./layout.js";
import { Leftovers } from "./reopen.js";
import type { KernelSocket } from "./socket.js";

const { slotBytes, piecesEach } = layout.arrays;
const { countBits } = layout.receiveResult;
const countMask = (1 << countBits) - 1;
/** Bytes of memory that the datagrams of merged runs share. */
const runChunkBytes = 32_768;
/**
 * Memory for the merged runs that the sockets of this thread receive. Single datagrams are in smaller chunks
 * (`Addon.receiveBatch`): they may arrive slowly, so a chunk may hold the datagrams of many minutes, and one kept datagram
 * keeps its whole chunk in memory.
 */
const runs = new Chunks(runChunkBytes, markAsUntransferable);

/** Receives the datagrams of one socket. */
export class Receiving {
  readonly #socket: KernelSocket;
  readonly #metadataReader: MetadataReader | undefined;
  /** Datagrams that the kernel sockets before this one received. */
  #leftovers: Leftovers | undefined;
  /** Datagrams that the kernel sockets before this one dropped. */
  #droppedBefore = 0;
  #calls = 0;

  constructor(socket: KernelSocket) {
    this.#socket = socket;
    if (socket.options.metadata && socket.capabilities.packetInfo.available)
      this.#metadataReader = new MetadataReader(socket.names, socket.family, () => socket.local().port);
  }

  /** System calls that were made to receive. */
  get calls(): number {
    return this.#calls;
  }

  get droppedBefore(): number {
    return this.#droppedBefore;
  }

  /** Datagrams that were read from the kernel and never handed over. */
  get unread(): Traffic {
    return this.#leftovers?.unread ?? { datagrams: 0, bytes: 0 };
  }

  /** As `Driver.receive`. */
  receive(sink: Sink): boolean {
    const socket = this.#socket;
    socket.prepareToReceive();
    const pending = socket.icmpErrors.takePendingError();
    if (pending) socket.check(-pending.errno, "recvfrom", socket.peer, pending.text);
    if (this.#leftovers) {
      this.#leftovers.handOver(sink);
      this.#leftovers = undefined;
      return true;
    }
    return this.#read(sink);
  }

  /** Reads all datagrams of the kernel socket, before another one takes its place, and keeps them for the next `receive`. */
  drain(): void {
    this.#socket.prepareToReceive();
    const leftovers = this.#leftovers ?? new Leftovers();
    leftovers.drain((sink) => this.#read(sink));
    this.#socket.readErrors();
    this.#droppedBefore += this.#socket.memory()?.drops ?? 0;
    this.#metadataReader?.startAgain(this.#droppedBefore);
    if (leftovers.empty) return;
    this.#leftovers = leftovers;
    this.#socket.readableSoon();
  }

  /** Hands over the datagrams of one system call. @returns whether more may be there. */
  #read(sink: Sink): boolean {
    this.#calls++;
    const received = this.#socket.handle.receive();
    this.#socket.reportIcmpErrors();
    const result =
      received < 0
        ? this.#socket.check(received, "recvfrom", this.#socket.peer, this.#socket.icmpErrors.text())
        : received;
    const count = result & countMask;
    const { receiveBatch } = this.#socket.addon;
    const { slab, lengths, segments, pieceLengths, metadata: allMetadata } = receiveBatch;
    const before = this.#metadataReader?.drops;
    assert(count <= layout.arrays.received, "a receive has no more messages than slots");
    for (let index = 0; index < count; index++) {
      const source = this.#socket.names.readSource(index);
      const segment = segments[index] ?? 0;
      const metadata = this.#metadataReader?.read(allMetadata, index);
      if (segment === 0) {
        sink.push(receiveBatch.takeDatagram(index, count), source, 0, metadata);
        continue;
      }
      const start = index * slotBytes;
      const end = start + (lengths[index] ?? 0);
      const pieceLength = pieceLengths[index] ?? 0;
      const inPieces =
        pieceLength > 0 ? this.#pushPieces(sink, index, pieceLength, source, segment, metadata) : 0;
      this.#pushRun(
        sink,
        slab,
        start + inPieces,
        end,
        source,
        segment,
        inPieces > 0 ? metadata?.withoutLoss : metadata,
      );
    }
    if (this.#metadataReader && this.#metadataReader.drops !== before)
      this.#socket.report({ type: "droppedKernel", total: this.#metadataReader.drops });
    return result >> countBits > 0;
  }

  /** Hands over the pieces of a merged run without a copy. @returns the bytes of the run that the pieces hold. */
  #pushPieces(
    sink: Sink,
    index: number,
    pieceLength: number,
    source: Endpoint,
    segment: number,
    metadata: Metadata | undefined,
  ): number {
    const { receiveBatch } = this.#socket.addon;
    const length = receiveBatch.lengths[index] ?? 0;
    let from = 0;
    for (let part = 0; part < piecesEach && from < length; part++) {
      const piece = receiveBatch.takePiece(index * piecesEach + part);
      const end = Math.min(from + pieceLength, length);
      const partMetadata = from === 0 ? metadata : metadata?.withoutLoss;
      sink.push(piece.subarray(0, end - from), source, segment, partMetadata, true);
      from = end;
    }
    return from;
  }

  /** Copies a merged run from the slab, which the next receive overwrites, in parts that fit a chunk. */
  #pushRun(
    sink: Sink,
    slab: Buffer,
    start: number,
    end: number,
    source: Endpoint,
    segment: number,
    metadata: Metadata | undefined,
  ): void {
    const maxBytes = segment > runChunkBytes ? segment : runChunkBytes - (runChunkBytes % segment);
    for (let from = start; from < end; from += maxBytes) {
      const partMetadata = from === start ? metadata : metadata?.withoutLoss;
      const to = Math.min(from + maxBytes, end);
      const copy = runs.take(to - from);
      slab.copy(copy, 0, from, to);
      sink.push(copy, source, segment, partMetadata);
    }
  }
}
