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

/** Turns datagrams into packets of a capture file, as `record` writes them. Those that arrive together are stored together. */
export class PacketEncoder implements Bundler {
  readonly #clock: Clock;
  readonly #local: Endpoint;
  readonly #flows = new Flows();
  readonly #notes = new Notes();
  readonly #tokens = new Map<Endpoint, string>();
  /** The packets of the open bundle: those that were just read, and after them those that have waited. */
  readonly #open = new BlockWriter();
  #waited: Buffer[] = [];
  #waitedBytes = 0;
  #number = 0;
  #count = 0;
  readonly #single = new BlockWriter();

  /** @param local the address of the socket, for datagrams whose destination the system does not report. */
  constructor(clock: Clock, local: Endpoint) {
    this.#clock = clock;
    this.#local = local;
  }

  get openBytes(): number {
    return this.#open.at + this.#waitedBytes;
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
    const complete = this.#add(datagram.data.length + overheadBytes, number, this.#waitedBytes > 0);
    this.#write(datagram, this.#open);
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
    const complete = this.#add(bytes.length, number, false);
    this.#waited.push(bytes);
    this.#waitedBytes += bytes.length;
    return complete;
  }

  finish(): Bundle[] {
    return this.#count === 0 ? [] : [this.#complete()];
  }

  /** Counts a packet of the open bundle. @returns the bundle before, if it is complete. */
  #add(bytes: number, number: number, mustStart: boolean): Bundle | undefined {
    const isFull = mustStart || this.openBytes + bytes > maxBundleBytes;
    const complete = this.#count > 0 && isFull ? this.#complete() : undefined;
    if (this.#count === 0) this.#number = number;
    this.#count++;
    return complete;
  }

  #complete(): Bundle {
    const [number, count] = [this.#number, this.#count];
    const bytes = Buffer.concat([this.#open.written, ...this.#waited]);
    this.#open.at = 0;
    this.#waited = [];
    this.#waitedBytes = this.#count = 0;
    return { peer: "", subject: "", bytes, headersBytes: 0, number, count };
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
