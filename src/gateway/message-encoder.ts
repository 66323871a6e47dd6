import { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import type { Datagram } from "../core/receive/datagram.js";
import type { Message } from "../message/message.js";
import { bucketOf, peerToken } from "./subjects.js";

/** The largest number of peers whose texts are kept. When they are full, all are forgotten. */
const maxPeers = 4096;

/** A datagram as a message for the server, or as a packet of a file. */
export interface EncodedMessage {
  /** The token of the peer. */
  readonly peer: string;
  /** Empty for a file. */
  readonly subject: string;
  /** The headers as they are sent, with the line `NATS/1.0`, and after them the payload. For a file: a block. */
  readonly bytes: Buffer;
  readonly headersBytes: number;
  /** Is called when the stream has acknowledged the message. */
  readonly confirm?: (() => void) | undefined;
  /** Is called when the message will not be stored. */
  readonly release?: (() => void) | undefined;
}

/** What the messages of one peer have in common. */
interface PeerTexts {
  readonly token: string;
  readonly subject: string;
  /** The value of `Nats-Msg-Id` without the number. */
  readonly id: string;
  /** The header with the source. */
  readonly source: string;
}

/** Turns datagrams into messages. */
export class MessageEncoder {
  readonly #start: string;
  readonly #run: string;
  readonly #buckets: number | undefined;
  readonly #peers = new Map<Endpoint, PeerTexts>();
  readonly #arrival = new ArrivalHeaders();

  /**
   * @param start the subject without its last token.
   * @param run names this gateway in ids. No other gateway has the same.
   */
  constructor(start: string, run: string, buckets: number | undefined) {
    this.#start = start;
    this.#run = run;
    this.#buckets = buckets;
  }

  /** The token of a peer. */
  tokenOf(peer: Endpoint): string {
    return this.#textsOf(peer).token;
  }

  /** @param number of the datagram, for its id. The message has its own copy of the payload. */
  encode(datagram: Datagram, number: number): EncodedMessage {
    const { data, timestamp, lostBefore } = datagram;
    const { token, subject, id, source } = this.#textsOf(datagram.source);
    // Each line is its own text of ASCII: printable() in header(), and numbers.
    const text =
      `NATS/1.0\r\nNats-Msg-Id: ${id}${number}\r\n${source}${this.#arrival.of(datagram)}` +
      (timestamp === undefined ? "" : `Datagram-Timestamp: ${timestamp}\r\n`) +
      `Datagram-Size: ${datagram.size}\r\n` +
      (datagram.truncated ? "Datagram-Truncated: true\r\n" : "") +
      (lostBefore === undefined ? "\r\n" : `Datagram-Lost-Before: ${lostBefore}\r\n\r\n`);
    // A copy: a small datagram that waits would keep the memory of all datagrams that were received with it.
    return { peer: token, subject, bytes: joined(text, data), headersBytes: text.length };
  }

  /** @param number of the message, for its id. */
  encodeMessage(from: Message, number: number): EncodedMessage {
    const { data, channel, verified, confirm, release } = from;
    const { token, subject, id, source } = this.#textsOf(from.source);
    const text =
      `NATS/1.0\r\nNats-Msg-Id: ${id}${number}\r\n${source}Datagram-Size: ${data.length}\r\n` +
      `Datagram-Channel: ${channel}\r\nDatagram-Verified: ${verified}\r\n\r\n`;
    return { peer: token, subject, bytes: joined(text, data), headersBytes: text.length, confirm, release };
  }

  #textsOf(peer: Endpoint): PeerTexts {
    let texts = this.#peers.get(peer);
    if (texts) return texts;
    if (this.#peers.size >= maxPeers) this.#peers.clear();
    const token = peerToken(peer);
    const last = this.#buckets === undefined ? token : bucketOf(token, this.#buckets);
    texts = {
      token,
      subject: `${this.#start}.${last}`,
      id: `${this.#run}:${token}:`,
      source: header("Source", String(peer)),
    };
    this.#peers.set(peer, texts);
    return texts;
  }
}

/** The headers for the destination and the interface of datagrams. Most have those of the datagram before. */
export class ArrivalHeaders {
  #destination: Endpoint | undefined;
  #interface: string | undefined;
  #text = "";

  /** Returns the lines for a datagram. */
  of({ destination, interface: name }: Datagram): string {
    if (destination === this.#destination && name === this.#interface) return this.#text;
    this.#destination = destination;
    this.#interface = name;
    this.#text =
      (destination === undefined ? "" : header("Destination", String(destination))) +
      (name === undefined ? "" : header("Interface", name));
    return this.#text;
  }
}

function joined(text: string, data: Uint8Array): Buffer {
  const memory = Buffer.allocUnsafe(text.length + data.length);
  memory.write(text, "latin1");
  memory.set(data, text.length);
  return memory;
}

function header(name: string, value: string): string {
  return `Datagram-${name}: ${printable(value)}\r\n`;
}

/** Text without anything that could end a header: other bytes than printable ASCII are escaped. */
export function printable(text: string): string {
  if (/^[!-~]*$/.test(text)) return text;
  return Array.from(Buffer.from(text), (byte) =>
    byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}
