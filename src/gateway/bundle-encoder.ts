import { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import { Datagram } from "../core/receive/datagram.js";
import { maxBundleDatagrams, recordBytes, writeRecord } from "./bundle.js";
import type { Bundle, Bundler } from "./bundler.js";
import { ArrivalHeaders, type EncodedMessage, printable } from "./message-encoder.js";
import { bucketOf, peerToken } from "./subjects.js";

/** A bundle ends before it would have more bytes of records, unless it has a single datagram. */
const maxRecordsBytes = 32_768;
/** Bytes that are kept for the headers of a bundle. */
const maxHeadersBytes = 512;
/** The largest number of peers whose texts are kept. When they are full, all are forgotten. */
const maxPeers = 4096;

/** A datagram that waits for its bundle. */
interface WaitingRecord extends EncodedMessage {
  /** The headers of its bundle: destination and interface. */
  readonly arrival: string;
}

/** A bundle that is not complete. */
interface OpenBundle {
  readonly subject: string;
  readonly arrival: string;
  /** The number of its first datagram. */
  readonly number: number;
  /** A datagram that was just read, or the record of one that has waited. */
  readonly parts: (Datagram | Buffer)[];
  /** Bytes of the records. */
  bytes: number;
}

/** What the records of one peer have in common. */
interface PeerTexts {
  readonly token: string;
  readonly subject: string;
  readonly source: Buffer;
}

/**
 * Turns datagrams into bundles: messages with the datagrams of one bucket that arrived together, for one destination and on one
 * interface.
 */
export class BundleEncoder implements Bundler {
  readonly #start: string;
  readonly #run: string;
  readonly #buckets: number;
  readonly #peers = new Map<Endpoint, PeerTexts>();
  readonly #arrival = new ArrivalHeaders();
  /** The open bundles by subject. */
  readonly #open = new Map<string, OpenBundle>();
  #openBytes = 0;
  #maxBytes = maxRecordsBytes;

  /**
   * @param start the subject without its last token.
   * @param run names this gateway in ids. No other gateway has the same.
   */
  constructor(start: string, run: string, buckets: number) {
    this.#start = start;
    this.#run = run;
    this.#buckets = buckets;
  }

  get openBytes(): number {
    return this.#openBytes;
  }

  limit(maxMessageBytes: number): void {
    this.#maxBytes = Math.min(maxRecordsBytes, maxMessageBytes - maxHeadersBytes);
  }

  tokenOf(peer: Endpoint): string {
    return this.#textsOf(peer).token;
  }

  append(datagram: Datagram, number: number): Bundle | undefined {
    const { subject, source } = this.#textsOf(datagram.source);
    return this.#add(subject, this.#arrival.of(datagram), number, datagram, recordBytes(datagram, source));
  }

  encode(datagram: Datagram): WaitingRecord {
    const { token, subject, source } = this.#textsOf(datagram.source);
    const bytes = Buffer.allocUnsafe(recordBytes(datagram, source));
    writeRecord(viewOf(bytes), 0, datagram, source);
    return { peer: token, subject, bytes, headersBytes: 0, arrival: this.#arrival.of(datagram) };
  }

  appendWaiting(waiting: EncodedMessage, number: number): Bundle | undefined {
    const { subject, arrival, bytes } = waiting as WaitingRecord;
    return this.#add(subject, arrival, number, bytes, bytes.length);
  }

  finish(): Bundle[] {
    const bundles = Array.from(this.#open.values(), (bundle) => this.#complete(bundle));
    this.#open.clear();
    this.#openBytes = 0;
    return bundles;
  }

  #add(
    subject: string,
    arrival: string,
    number: number,
    part: Datagram | Buffer,
    bytes: number,
  ): Bundle | undefined {
    this.#openBytes += bytes;
    const open = this.#open.get(subject);
    if (
      open?.arrival === arrival &&
      open.bytes + bytes <= this.#maxBytes &&
      open.parts.length < maxBundleDatagrams
    ) {
      open.parts.push(part);
      open.bytes += bytes;
      return undefined;
    }
    this.#open.set(subject, { subject, arrival, number, parts: [part], bytes });
    if (!open) return undefined;
    this.#openBytes -= open.bytes;
    return this.#complete(open);
  }

  #complete({ subject, arrival, number, parts, bytes: recordsBytes }: OpenBundle): Bundle {
    const bucket = subject.slice(this.#start.length + 1);
    const text = `NATS/1.0\r\nNats-Msg-Id: ${this.#run}:${bucket}:${number}\r\n${arrival}Datagram-Bundle: ${parts.length}\r\n\r\n`;
    const bytes = Buffer.allocUnsafe(text.length + recordsBytes);
    const memory = viewOf(bytes);
    let at = bytes.write(text, "latin1");
    for (const part of parts) {
      if (part instanceof Datagram) at = writeRecord(memory, at, part, this.#textsOf(part.source).source);
      else {
        bytes.set(part, at);
        at += part.length;
      }
    }
    return { peer: bucket, subject, bytes, headersBytes: text.length, number, count: parts.length };
  }

  #textsOf(peer: Endpoint): PeerTexts {
    let texts = this.#peers.get(peer);
    if (texts) return texts;
    if (this.#peers.size >= maxPeers) this.#peers.clear();
    const token = peerToken(peer);
    texts = {
      token,
      subject: `${this.#start}.${bucketOf(token, this.#buckets)}`,
      source: Buffer.from(printable(String(peer)), "latin1"),
    };
    this.#peers.set(peer, texts);
    return texts;
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}
