/// <reference types="node" preserve="true" />
/**
 * Protocols that work over any `Socket`: messages of any size, the messages of devices as they are, and the search for the path
 * MTU.
 *
 * `messages.ts` has the public class, `message.ts` and `options.ts` its types. `exchange.ts` joins the parts. It reads the socket, and
 * `frame-dispatch.ts` passes each frame on by its kind. `receiver.ts` joins chunks (`incoming.ts`) to messages, within limits
 * (`partials.ts`), reports them (`due-reports.ts`), and hands complete ones to the program (`handover.ts`). `sender.ts` sends the chunks
 * of `outgoing.ts`, at the pace of `congestion.ts`. `requests.ts` has both ends of requests, `address-proofs.ts` asks peers to prove
 * their addresses, and `peers.ts` has what is kept of each address. `shown.ts` has what `console.log` shows.
 *
 * `any-peer/` has requests to peers that do not speak this protocol. `codec-reader.ts` reads what devices send, through codecs
 * (`codec.ts` and `codecs/`). `path-mtu.ts` is the search for the path MTU, with the probes of `probes.ts`. `peer-counts.ts` counts
 * what the peers of a socket send.
 *
 * @module message
 */

export type { Codec, DecodedMessage, Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "./codec.js";
export {
  type CodecEvents,
  type CodecLoss,
  type CodecMessage,
  type CodecMessages,
  type CodecOptions,
  type CodecStats,
} from "./codec-reader.js";
export { type GelfOptions, gelf } from "./codecs/gelf.js";
export { type JpegSlicesOptions, jpegSlices } from "./codecs/jpeg-slices.js";
export { type PictureSize, type RtpJpegOptions, rtpJpeg } from "./codecs/rtp-jpeg.js";
export { type ShortEndsOptions, shortEnds } from "./codecs/short-ends.js";
export {
  type LossCause,
  type LostMessage,
  type Message,
  MessageError,
  type MessageErrorDetails,
  type MessagesEvents,
  type MessagesStats,
  type PeerStats,
  type Receipt,
} from "./message.js";
export { type MessageHandler, type Messages, type MessagesPeer, messages } from "./messages.js";
export type {
  ConfirmPolicy,
  MessageRequestOptions,
  MessagesOptions,
  SendMode,
  SendOptions,
} from "./options.js";
export {
  type PathMtuOptions,
  type PathMtuProbe,
  type PathMtuResult,
  type ProbeOutcome,
  probePathMtu,
} from "./path-mtu.js";
export { type CountPeersOptions, type PeerCounters, type PeerCounts, countPeers } from "./peer-counts.js";
export {
  type CollectOptions,
  type Handler,
  type RequestOptions,
  type ServeOptions,
  type ServeStats,
  type Service,
  collect,
  request,
  serve,
} from "./any-peer/index.js";
