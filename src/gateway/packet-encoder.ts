import { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import type { Clock } from "../core/driver/driver.js";
import type { Datagram } from "../core/receive/datagram.js";
import { Flows, defaultTtl, payloadSum, writeHeaders } from "../capture/record/flows.js";
import { Notes } from "../capture/record/notes.js";
import { BlockWriter, captureTime } from "../wire/pcapng.js";
import type { Bundle, Bundler } from "./bundler.js";
import type { EncodedMessage } from "./message-encoder.js";
import { peerToken } from "./subjects.js";

/** The largest number of peers whose tokens are kept. When they are full, all are forgotten. */
const maxPeers = 4096;

/** Blocks that are written together end before they would have more bytes, unless there is a single packet. */
const maxBundleBytes = 65_536;
/** Bytes of a packet beside the datagram, at most: headers, options and a note. */
const overheadBytes = 512;
/** Bytes of memory that bundles share. Bundles that follow each other in memory are written with one call. */
const chunkBytes = 2 << 20;
/** Chunks that are kept for later bundles. */
const maxFreeChunks = 4;

/** Memory of bundles, one after the other. */
interface Chunk {
  readonly writer: BlockWriter;
  /** Complete bundles that are not settled. */
  unsettled: number;
}

/**
 * Turns datagrams into packets of a capture file, as `record` writes them. Those that arrive together are stored together.
 *
 * The memory of a bundle is used again after it is settled: memory that is new for each bundle would make V8 collect garbage several
 * times a second, because it counts the bytes of buffers too.
 */
export class PacketEncoder implements Bundler {
  readonly #clock: Clock;
  readonly #local: Endpoint;
  readonly #flows = new Flows();
  readonly #notes = new Notes();
  readonly #tokens = new Map<Endpoint, string>();
  #chunk: Chunk = newChunk();
  readonly #free: Chunk[] = [];
  /** Where the open bundle starts in the chunk. */
  #start = 0;
  #number = 0;
  #count = 0;
  readonly #single = new BlockWriter();

  /** @param local the address of the socket, for datagrams whose destination the system does not report. */
  constructor(clock: Clock, local: Endpoint) {
    this.#clock = clock;
    this.#local = local;
  }

  get openBytes(): number {
    return this.#chunk.writer.at - this.#start;
  }

  tokenOf(peer: Endpoint): string {
    let token = this.#tokens.get(peer);
    if (token !== undefined) return token;
    if (this.#tokens.size >= maxPeers) this.#tokens.clear();
    token = peerToken(peer);
    this.#tokens.set(peer, token);
    return token;
  }

  append(datagram: Datagram, number: number): Bundle | undefined {
    const complete = this.#add(datagram.data.length + overheadBytes, number);
    this.#write(datagram, this.#chunk.writer);
    return complete;
  }

  encode(datagram: Datagram): EncodedMessage {
    const writer = this.#single;
    writer.at = 0;
    this.#write(datagram, writer);
    return {
      peer: this.tokenOf(datagram.source),
      subject: "",
      bytes: Buffer.from(writer.written),
      headersBytes: 0,
    };
  }

  appendWaiting({ bytes }: EncodedMessage, number: number): Bundle | undefined {
    const complete = this.#add(bytes.length, number);
    const { writer } = this.#chunk;
    writer.bytes.set(bytes, writer.at);
    writer.at += bytes.length;
    return complete;
  }

  finish(): Bundle[] {
    return this.#count === 0 ? [] : [this.#complete()];
  }

  /** Counts a packet of the open bundle, for which there is memory then. @returns the bundle before, if it is complete. */
  #add(bytes: number, number: number): Bundle | undefined {
    const isChunkFull = this.#chunk.writer.at + bytes > chunkBytes;
    const isFull = isChunkFull || this.openBytes + bytes > maxBundleBytes;
    const complete = this.#count > 0 && isFull ? this.#complete() : undefined;
    if (isChunkFull) this.#changeChunk();
    if (this.#count === 0) this.#number = number;
    this.#count++;
    return complete;
  }

  #complete(): Bundle {
    const chunk = this.#chunk;
    const [number, count, start] = [this.#number, this.#count, this.#start];
    const { bytes: memory, at } = chunk.writer;
    const bytes = Buffer.from(memory.buffer, memory.byteOffset + start, at - start);
    this.#start = at;
    this.#count = 0;
    chunk.unsettled++;
    const settled = (): void => {
      if (--chunk.unsettled === 0 && chunk !== this.#chunk) this.#keep(chunk);
    };
    return {
      peer: "",
      subject: "",
      bytes,
      headersBytes: 0,
      number,
      count,
      confirm: settled,
      release: settled,
    };
  }

  #changeChunk(): void {
    const full = this.#chunk;
    if (full.unsettled === 0) this.#keep(full);
    this.#chunk = this.#free.pop() ?? newChunk();
    this.#chunk.writer.at = this.#start = 0;
  }

  #keep(chunk: Chunk): void {
    if (this.#free.length < maxFreeChunks) this.#free.push(chunk);
  }

  #write(datagram: Datagram, writer: BlockWriter): void {
    const { data, source, destination = this.#local, timestamp, ttl = defaultTtl, tos = 0 } = datagram;
    const { lostBefore = 0 } = datagram;
    const flow = this.#flows.of(source, destination);
    const headerBytes = flow.headers.length;
    const length = headerBytes + data.length;
    const at = writer.beginPacket(0, captureTime(timestamp ?? this.#clock.wall()), length, length);
    writer.bytes.set(data, at + headerBytes);
    const sum = payloadSum(writer.words, at + headerBytes, data.length);
    writeHeaders(flow, writer.bytes, at, data.length, sum, ttl, tos);
    if (lostBefore > 0) this.#notes.lostAtBuffer(lostBefore);
    const told = this.#notes.take();
    writer.endPacket({ direction: "in", dropCount: told?.lost, comment: told?.comment });
  }
}

function newChunk(): Chunk {
  return { writer: new BlockWriter(new Uint8Array(chunkBytes)), unsettled: 0 };
}
