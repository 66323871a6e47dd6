import type { Buffer } from "node:buffer";

import type { Decoder, DecoderLoss, DecoderSink } from "../../message/codec.js";
import { jpegSlices } from "../../message/codecs/jpeg-slices.js";
import { rtpJpeg } from "../../message/codecs/rtp-jpeg.js";
import { readRtpJpeg } from "../../message/codecs/rtp-packet.js";
import { frameKind, frameHeaderBytes } from "../../wire/message-frame.js";
import { limits } from "../protocol.js";
import { MessageDecoder } from "./message-decoder.js";
import { beginsJpeg } from "./payload-look.js";
import type { Peer } from "./peer.js";

/** Bytes of the largest picture, and of the memory for the pictures of one peer that are not complete. */
const maxPictureBytes = 2 << 20;
/** Milliseconds without a datagram after which a picture is lost. */
const idleMs = 2000;
/** The payload type of JPEG in RTP (RFC 3551 section 6). */
const rtpJpegType = 26;

/** The formats in which pictures are sent. */
type Format = "slices" | "message" | "rtp";

/** The pictures of one peer that a page shows. */
interface Stream {
  readonly format: Format;
  readonly decoder: Decoder;
}

/** What `Pictures` finds out. */
export interface PictureListener {
  /** A picture is complete. */
  picture(peer: Peer, picture: Buffer): void;
  /** A peer is found to send pictures, or to send them in another way. */
  found(peer: Peer): void;
  /** A picture of a peer that pages show is not complete. */
  broken(peer: Peer, loss: DecoderLoss): void;
}

/**
 * Finds out which peers send JPEG pictures, and joins the pictures of those that pages show. The others cost a look at two bytes of
 * each datagram.
 */
export class Pictures {
  readonly #listener: PictureListener;
  /** The numbers of the peers that pages show. */
  #wanted: ReadonlySet<number> = new Set();
  readonly #streams = new Map<number, Stream>();

  constructor(listener: PictureListener) {
    this.#listener = listener;
  }

  /** Sets the peers whose pictures are joined, at most `limits.pictures`. */
  want(ids: Iterable<number>): void {
    this.#wanted = new Set([...ids].slice(0, limits.pictures));
    for (const id of this.#streams.keys()) if (!this.#wanted.has(id)) this.#streams.delete(id);
  }

  /** Whether `take` must see a datagram, which begins at a byte of `data`. */
  mayTake(peer: Peer, data: Uint8Array, start: number): boolean {
    const first = data[start] ?? 0;
    if (first === 0xff || first === 0x0d || first >> 6 === 2) return true;
    return peer.picture !== undefined && this.#wanted.has(peer.id);
  }

  /** Takes a datagram of a peer. @returns whether it begins a picture, as far as it looks. */
  take(peer: Peer, data: Buffer, nowMs: number): boolean {
    const format = formatOf(data);
    if (format !== undefined && format !== formatOfPeer(peer)) this.#found(peer, format, data);
    if (this.#wanted.size > 0 && peer.picture !== undefined && this.#wanted.has(peer.id))
      this.#streamOf(peer).decoder.push(data, nowMs);
    return format !== undefined;
  }

  /** Joins the pictures in datagrams of a peer, apart from those that arrive. */
  joiner(peer: Peer): PictureJoiner {
    return new PictureJoiner(formatOfPeer(peer));
  }

  clear(): void {
    this.#wanted = new Set();
    this.#streams.clear();
  }

  #found(peer: Peer, format: Format, data: Buffer): void {
    // Pictures inside a stream of another format are part of it: a slice may begin like RTP.
    if (peer.picture !== undefined && format === "rtp") return;
    peer.picture = format === "slices" && isWhole(data) ? "datagram" : format;
    this.#listener.found(peer);
  }

  #streamOf(peer: Peer): Stream {
    const format = formatOfPeer(peer) as Format;
    const known = this.#streams.get(peer.id);
    if (known?.format === format) return known;
    // A page may begin to look in the middle of a picture: its first part is not lost.
    let hasBegun = false;
    const sink: DecoderSink = {
      message: ({ data, chunks }) => {
        if (!beginsJpeg(data)) return;
        hasBegun = true;
        if (format === "slices") this.#slicesOf(peer, chunks);
        this.#listener.picture(peer, data);
      },
      lost: (loss) => {
        if (hasBegun) this.#listener.broken(peer, loss);
      },
      ignored: () => undefined,
    };
    const stream = { format, decoder: decoderOf(format, sink) };
    this.#streams.set(peer.id, stream);
    return stream;
  }

  /** Notes whether the pictures of a peer are whole in a datagram. */
  #slicesOf(peer: Peer, chunks: number): void {
    const picture = chunks === 1 ? "datagram" : "slices";
    if (peer.picture === picture) return;
    peer.picture = picture;
    this.#listener.found(peer);
  }
}

/** Joins pictures, and keeps the last one. */
class PictureJoiner {
  /** The last picture that is whole. */
  last: Buffer | undefined;
  readonly #decoder: Decoder | undefined;

  /** @param format `undefined` joins nothing. */
  constructor(format: Format | undefined) {
    const message: DecoderSink["message"] = ({ data }) => {
      if (beginsJpeg(data)) this.last = data;
    };
    const sink = { message, lost: () => undefined, ignored: () => undefined };
    this.#decoder = format && decoderOf(format, sink);
  }

  /** Takes the next datagram, and keeps no part of its memory. */
  push(data: Buffer): void {
    this.#decoder?.push(data, 0);
  }
}

function decoderOf(format: Format, sink: DecoderSink): Decoder {
  const decoderLimits = { maxSourceBytes: maxPictureBytes, idleMs };
  if (format === "message") return new MessageDecoder(sink, decoderLimits);
  return (format === "rtp" ? rtpJpeg() : jpegSlices()).decoder(sink, decoderLimits);
}

function formatOfPeer({ picture }: Peer): Format | undefined {
  return picture === "datagram" ? "slices" : picture;
}

/** The format of a datagram that begins a picture; `undefined` if it does not look like one. */
function formatOf(data: Buffer): Format | undefined {
  if (beginsJpeg(data)) return "slices";
  if (data[0] === 0x0d) {
    const kind = (data[1] as number) & 0x0f;
    const isFirstChunk = data[8] === 0 && data[9] === 0;
    const begins = (kind === frameKind.data || kind === frameKind.request) && isFirstChunk;
    return begins && beginsJpeg(data, frameHeaderBytes) ? "message" : undefined;
  }
  // Other bytes may look like RTP, but hardly like the first packet of a picture (RFC 2435 section 3.1).
  const packet = readRtpJpeg(data, rtpJpegType);
  if (packet?.offset !== 0 || packet.data.length === 0) return undefined;
  const { type, q, width, height } = packet;
  const isKnown = (type & ~0x41) === 0 && q > 0 && (q < 100 || q > 127) && width > 0 && height > 0;
  return isKnown || beginsJpeg(packet.data) ? "rtp" : undefined;
}

function isWhole(data: Buffer): boolean {
  return data[data.length - 2] === 0xff && data[data.length - 1] === 0xd9;
}
