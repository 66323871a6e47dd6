import type { Endpoint } from "../core/address/address.js";
import { wholeNumber, wrongType } from "../core/errors/errors.js";
import { fieldsOf, refuseUnknown } from "../core/errors/fields.js";
import type { Warning } from "../core/ledger/reports.js";
import type { Datagram } from "../core/receive/datagram.js";
import { type KnownEvents, WarningEmitter } from "../core/socket/emitter.js";
import { runListener } from "../core/socket/events.js";
import { engineOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";
import { showEmitterAs } from "../core/shown.js";
import type { Codec, DecodedMessage, Decoder, DecoderLoss, DecoderSink } from "./codec.js";
import { DeviceMessage, textOf } from "./shown.js";

/** The options of `messages()` with a codec. */
export interface CodecOptions {
  /** The format of the devices: `rtpJpeg()`, `jpegSlices()`, `shortEnds()`, `gelf()` or a codec of the program. */
  readonly codec: Codec;
  /** Bytes of memory for the messages of one source that are not complete, and so of the largest message. @default 2 MiB */
  readonly maxSourceBytes?: number | undefined;
  /** Bytes of memory for all messages that are not complete. @default 64 MiB */
  readonly maxBytes?: number | undefined;
  /** The number of sources that are remembered, 1 to 1,000,000. @default 4096 */
  readonly maxSources?: number | undefined;
  /** Milliseconds after which a message of which nothing more came is lost, 100 to an hour. @default 2000 */
  readonly idleMs?: number | undefined;
}

/** A message of a device. */
export interface CodecMessage {
  /** The bytes. They belong to the program. */
  readonly data: Buffer;
  /** The address of the device. */
  readonly source: Endpoint;
  /** The number of datagrams that it was made of. */
  readonly chunks: number;
  /** Whether it is certain that all parts are there, in their order. `false` if the format has no numbers to tell. */
  readonly verified: boolean;
  /** `5 bytes from 10.0.0.7:9000`. */
  toString(): string;
}

/** A message of a device that did not arrive completely. */
export interface CodecLoss extends DecoderLoss {
  /** The address of the device. */
  readonly source: Endpoint;
}

/** The events of `messages()` with a codec. */
export interface CodecEvents {
  /** A message did not arrive completely. */
  lost: [loss: CodecLoss];
}

/** Counts since `messages()` was called. */
export interface CodecStats {
  /** Messages that arrived completely. */
  readonly received: number;
  /** Messages that did not arrive completely, by cause. */
  readonly lost: Readonly<Record<DecoderLoss["cause"], number>>;
  /** Datagrams that are no part of a message: of another format, too late, or twice. */
  readonly ignored: number;
  /** Sources that are remembered now. */
  readonly sources: number;
  /** Bytes of memory for messages that are not complete. */
  readonly partialBytes: number;
}

const fields = fieldsOf<CodecOptions>({
  codec: true,
  maxSourceBytes: true,
  maxBytes: true,
  maxSources: true,
  idleMs: true,
});
const codecEvents: KnownEvents = {
  subject: "messages of a codec have",
  names: Object.keys({ lost: true } satisfies Record<keyof CodecEvents, true>),
  insteadOf: new Map([
    ["message", '"for await (const message of m)" reads messages'],
    ["data", '"for await (const message of m)" reads messages'],
  ]),
};
const hourMs = 3_600_000;
/** Milliseconds after which a silent source is forgotten. */
const forgetMs = 60_000;

/** Checks the options of `messages()` with a codec, and returns the messages. @throws `TypeError`, `RangeError`. */
export function readCodec(socket: Socket, options: CodecOptions): CodecMessages {
  refuseUnknown(options, fields, "options: a field");
  const { codec } = options;
  if (typeof (codec as Partial<Codec> | null)?.decoder !== "function")
    throw wrongType("codec", "a codec", codec);
  const { maxSourceBytes = 2 << 20, maxBytes, maxSources = 4096, idleMs = 2000 } = options;
  wholeNumber("maxSourceBytes", maxSourceBytes, 1, 0xffff_ffff);
  return new CodecMessages(socket, codec, {
    maxSourceBytes,
    maxBytes: wholeNumber(
      "maxBytes",
      maxBytes ?? Math.max(64 << 20, 2 * maxSourceBytes),
      maxSourceBytes,
      Number.MAX_SAFE_INTEGER,
    ),
    maxSources: wholeNumber("maxSources", maxSources, 1, 1_000_000),
    idleMs: wholeNumber("idleMs", idleMs, 100, hourMs),
  });
}

/** The numbers of the options. */
type Limits = Required<Record<Exclude<keyof CodecOptions, "codec">, number>>;

/** A source that has sent a datagram. */
interface Source {
  readonly key: string;
  readonly decoder: Decoder;
  lastMs: number;
  /** `decoder.heldBytes` after the last call. */
  heldBytes: number;
  /** Whether a message of it was complete. Others are forgotten before it is: anybody can send a first part. */
  isKnown: boolean;
}

/** The messages that arrive at one socket, through a codec: made by `messages()`. `close()` of the socket ends them. */
export class CodecMessages extends WarningEmitter<CodecEvents> implements AsyncIterable<CodecMessage> {
  readonly #socket: Socket;
  readonly #codec: Codec;
  readonly #limits: Limits;
  /** The sources by address, in the order of their last datagrams. */
  readonly #strangers = new Map<string, Source>();
  readonly #known = new Map<string, Source>();
  #heldBytes = 0;
  /** Datagrams that were read, and messages that are complete, while the program took none. */
  #unread: Datagram[] = [];
  readonly #complete: CodecMessage[] = [];
  #received = 0;
  readonly #lost = { gap: 0, idle: 0, size: 0, invalid: 0, evicted: 0 };
  #ignored = 0;
  #lastSource: Endpoint | undefined;
  #last: Source | undefined;

  static {
    showEmitterAs(this.prototype, "CodecMessages", (m) => (#socket in m ? m.#shown : undefined));
  }

  /** Made by `messages()`. */
  constructor(socket: Socket, codec: Codec, limits: Limits) {
    super();
    this.#socket = socket;
    this.#codec = codec;
    this.#limits = limits;
  }

  /** The messages as they are completed, until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<CodecMessage, undefined> {
    const { clock } = this.#socket;
    let cancel = (): void => undefined;
    const sweep = (): void => {
      this.#sweep(clock.now());
      cancel = clock.after(this.#limits.idleMs, sweep);
    };
    const batches = this.#socket.batches();
    try {
      cancel = clock.after(this.#limits.idleMs, sweep);
      for (;;) {
        for (let message = this.#next(); message; message = this.#next()) yield message;
        const step = await batches.next();
        if (step.done === true) return undefined;
        this.#unread = step.value.reverse();
      }
    } finally {
      cancel();
      await batches.return();
    }
  }

  /** The counts of what arrived. */
  stats(): CodecStats {
    return {
      received: this.#received,
      lost: { ...this.#lost },
      ignored: this.#ignored,
      sources: this.#strangers.size + this.#known.size,
      partialBytes: this.#heldBytes,
    };
  }

  /** `messages of 10.0.0.2:9000`. */
  override toString(): string {
    return textOf(this.#socket, false);
  }

  get #shown(): object {
    return { socket: this.#socket, ...this.stats() };
  }

  protected override get knownEvents(): KnownEvents {
    return codecEvents;
  }

  protected override warnOfListener(warning: Warning): void {
    engineOf(this.#socket).warn(warning);
  }

  /** The next complete message of the datagrams that were read. */
  #next(): CodecMessage | undefined {
    while (this.#complete.length === 0) {
      const datagram = this.#unread.pop();
      if (datagram === undefined) return undefined;
      const nowMs = this.#socket.clock.now();
      const source = this.#sourceOf(datagram.source, nowMs);
      source.decoder.push(datagram.data, nowMs);
      this.#weigh(source);
      this.#keepWithinLimits(source);
    }
    return this.#complete.shift();
  }

  #sourceOf(address: Endpoint, nowMs: number): Source {
    // Datagrams of one source often come one after the other.
    if (address === this.#lastSource && this.#last !== undefined) {
      this.#last.lastMs = nowMs;
      return this.#last;
    }
    const key = String(address);
    const source = this.#known.get(key) ?? this.#strangers.get(key) ?? this.#add(key, address);
    source.lastMs = nowMs;
    const map = source.isKnown ? this.#known : this.#strangers;
    map.delete(key);
    map.set(key, source);
    this.#lastSource = address;
    this.#last = source;
    return source;
  }

  #add(key: string, address: Endpoint): Source {
    if (this.#strangers.size + this.#known.size >= this.#limits.maxSources) {
      const [oldest] = this.#strangers.size > 0 ? this.#strangers.values() : this.#known.values();
      if (oldest !== undefined) this.#forget(oldest, "evicted");
    }
    const sink: DecoderSink = {
      message: (message) => this.#message(source, address, message),
      lost: (loss) => {
        this.#lost[loss.cause]++;
        if (this.listenerCount("lost") > 0)
          runListener(() => this.emit("lost", { source: address, ...loss }));
      },
      ignored: () => {
        this.#ignored++;
      },
    };
    const { maxSourceBytes, idleMs } = this.#limits;
    const decoder = this.#codec.decoder(sink, { maxSourceBytes, idleMs });
    const source: Source = { key, decoder, lastMs: 0, heldBytes: 0, isKnown: false };
    this.#strangers.set(key, source);
    return source;
  }

  #message(source: Source, address: Endpoint, message: DecodedMessage): void {
    this.#received++;
    this.#complete.push(new DeviceMessage(address, message));
    if (source.isKnown) return;
    source.isKnown = true;
    this.#strangers.delete(source.key);
    this.#known.set(source.key, source);
  }

  #weigh(source: Source): void {
    const { heldBytes } = source.decoder;
    this.#heldBytes += heldBytes - source.heldBytes;
    source.heldBytes = heldBytes;
  }

  /** Frees memory: first of the strangers, from the one that was silent for longest on, then of the source that wants it. */
  #keepWithinLimits(source: Source): void {
    if (source.heldBytes > this.#limits.maxSourceBytes) this.#giveUp(source, "size");
    if (this.#heldBytes <= this.#limits.maxBytes) return;
    for (const stranger of this.#strangers.values()) {
      if (this.#heldBytes <= this.#limits.maxBytes) return;
      if (stranger !== source) this.#forget(stranger, "evicted");
    }
    if (this.#heldBytes > this.#limits.maxBytes) this.#giveUp(source, "evicted");
  }

  #giveUp(source: Source, cause: DecoderLoss["cause"]): void {
    source.decoder.giveUp(cause);
    this.#weigh(source);
  }

  #forget(source: Source, cause: DecoderLoss["cause"]): void {
    source.decoder.giveUp(cause);
    this.#heldBytes -= source.heldBytes;
    (source.isKnown ? this.#known : this.#strangers).delete(source.key);
    if (this.#last === source) this.#last = undefined;
  }

  /** Gives up idle messages, and forgets sources that are silent. */
  #sweep(nowMs: number): void {
    for (const map of [this.#strangers, this.#known]) {
      for (const source of map.values()) {
        source.decoder.expire(nowMs);
        this.#weigh(source);
        if (nowMs - source.lastMs > Math.max(forgetMs, this.#limits.idleMs)) this.#forget(source, "idle");
      }
    }
  }
}
