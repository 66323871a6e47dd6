/// <reference types="node" preserve="true" />
/**
 * Protocols that work over any `Socket`: the search for the path MTU (`path-mtu.ts`), which sends probes and matches their answers
 * (`probes.ts`), and the messages of devices as they are (`codec-reader.ts`), through codecs (`codec.ts` and `codecs/`).
 *
 * @module message
 */

export type { Codec, DecodedMessage, Decoder, DecoderLimits, DecoderLoss, DecoderSink } from "./codec.js";
export {
  type CodecEvents,
  type CodecLoss,
  type CodecMessage,
  CodecMessages,
  type CodecOptions,
  type CodecStats,
  readCodec,
} from "./codec-reader.js";
export { type GelfOptions, gelf } from "./codecs/gelf.js";
export { type JpegSlicesOptions, jpegSlices } from "./codecs/jpeg-slices.js";
export { type RtpJpegOptions, rtpJpeg } from "./codecs/rtp-jpeg.js";
export { type ShortEndsOptions, shortEnds } from "./codecs/short-ends.js";

export {
  type PathMtuOptions,
  type PathMtuProbe,
  type PathMtuResult,
  type ProbeOutcome,
  probePathMtu,
} from "./path-mtu.js";
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
