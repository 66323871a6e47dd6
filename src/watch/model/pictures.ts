import type { Buffer } from "node:buffer";

import type { Decoder, DecoderSink } from "../../message/codec.js";
import { jpegSlices } from "../../message/codecs/jpeg-slices.js";
import { rtpJpeg } from "../../message/codecs/rtp-jpeg.js";
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
  format: Format;
  decoder: Decoder;
}

/**
 * Finds out which peers send JPEG pictures, and joins the pictures of those that pages show. The others cost a look at two bytes of
 * each datagram.
 */
export class Pictures {
  readonly #onPicture: (peer: Peer, picture: Buffer) => void;
  readonly #onFound: (peer: Peer) => void;
  /** The numbers of the peers that pages show. */
  #wanted: ReadonlySet<number> = new Set();
  readonly #streams = new Map<number, Stream>();

  /**
   * @param onPicture gets each picture that is complete.
   * @param onFound is called when a peer is found to send pictures, or to send them in another way.
   */
  constructor(onPicture: (peer: Peer, picture: Buffer) => void, onFound: (peer: Peer) => void) {
    this.#onPicture = onPicture;
    this.#onFound = onFound;
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

  /** Takes a datagram of a peer. */
  take(peer: Peer, data: Buffer, nowMs: number): void {
    const format = formatOf(data);
    if (format !== undefined && format !== formatOfPeer(peer)) this.#found(peer, format, data);
    if (this.#wanted.size === 0 || peer.picture === undefined || !this.#wanted.has(peer.id)) return;
    this.#streamOf(peer).decoder.push(data, nowMs);
  }

  clear(): void {
    this.#wanted = new Set();
    this.#streams.clear();
  }

  #found(peer: Peer, format: Format, data: Buffer): void {
    // Pictures inside a stream of another format are part of it: a slice may begin like RTP.
    if (peer.picture !== undefined && format === "rtp") return;
    peer.picture = format === "slices" && isWhole(data) ? "datagram" : format;
    this.#onFound(peer);
  }

  #streamOf(peer: Peer): Stream {
    const format = formatOfPeer(peer) as Format;
    const known = this.#streams.get(peer.id);
    if (known?.format === format) return known;
    const sink: DecoderSink = {
      message: ({ data, chunks }) => {
        if (!beginsJpeg(data)) return;
        if (format === "slices") this.#slicesOf(peer, chunks);
        this.#onPicture(peer, data);
      },
      lost: () => undefined,
      ignored: () => undefined,
    };
    const decoderLimits = { maxSourceBytes: maxPictureBytes, idleMs };
    const decoder =
      format === "message"
        ? new MessageDecoder(sink, decoderLimits)
        : (format === "rtp" ? rtpJpeg() : jpegSlices()).decoder(sink, decoderLimits);
    const stream = { format, decoder };
    this.#streams.set(peer.id, stream);
    return stream;
  }

  /** Notes whether the pictures of a peer are whole in a datagram. */
  #slicesOf(peer: Peer, chunks: number): void {
    const picture = chunks === 1 ? "datagram" : "slices";
    if (peer.picture === picture) return;
    peer.picture = picture;
    this.#onFound(peer);
  }
}

function formatOfPeer({ picture }: Peer): Format | undefined {
  return picture === "datagram" ? "slices" : picture;
}

/** The format of a datagram that begins a picture; `undefined` if it does not look like one. */
function formatOf(data: Buffer): Format | undefined {
  if (beginsJpeg(data)) return "slices";
  const second = data[1] as number;
  if (data[0] === 0x0d) {
    const kind = second & 0x0f;
    const isFirstChunk = data[8] === 0 && data[9] === 0;
    const begins = (kind === frameKind.data || kind === frameKind.request) && isFirstChunk;
    return begins && beginsJpeg(data, frameHeaderBytes) ? "message" : undefined;
  }
  // RFC 3550 section 5.1: version 2, and 12 bytes of header. RFC 2435 section 3.1: 8 bytes more.
  return data.length > 20 && (second & 0x7f) === rtpJpegType && (data[0] as number) >> 6 === 2
    ? "rtp"
    : undefined;
}

function isWhole(data: Buffer): boolean {
  return data[data.length - 2] === 0xff && data[data.length - 1] === 0xd9;
}
