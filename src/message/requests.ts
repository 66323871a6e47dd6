import { Buffer } from "node:buffer";

import type { Clock } from "../core/driver/driver.js";
import { type Data, sizeOf, toBytes } from "../core/driver/payload.js";
import { OSError } from "../core/errors/errors.js";
import { onAbort } from "../core/receive/abort.js";
import { type Frame, frameFlag, frameKind } from "../wire/message-frame.js";
import type { Deliveries, Parcel, SendProgress } from "./deliveries.js";
import { type MessageCounts, arrivedText, causedError, reasonOfSilence, timeoutError } from "./failures.js";
import { type Message, MessageError } from "./message.js";
import type { Checked, MessageRequestOptions } from "./options.js";
import type { Peer } from "./peers.js";
import type { Arrived } from "./receiver-host.js";
import { Replies, type Reply } from "./replies.js";

/** Returns the reply to a request. */
export type MessageHandler = (request: Message) => Data | Promise<Data>;

/** What requests report. */
export interface RequestsEvents {
  failed(error: unknown, request: Message): void;
}

/** A request that waits for its reply. */
interface Pending {
  readonly peer: Peer;
  readonly resolve: (reply: Message) => void;
  readonly reject: (error: unknown) => void;
  readonly bytes: number;
  /** How much of the request has arrived. */
  progress: SendProgress;
  /** Whether all of it has. */
  isThere: boolean;
}

/** The first and the longest time between two reminders of a request. */
const nudgeMs = 250;
const maxNudgeMs = 1000;
/** Handlers that run at a time, and requests that wait for one. */
const maxRunning = 64;
const maxWaiting = 1024;

/** Both ends of requests: those of this side that wait for a reply, and those of peers that a handler answers. */
export class Requests {
  handler: MessageHandler | undefined;
  readonly #clock: Clock;
  readonly #deliveries: Deliveries;
  readonly #peers: Iterable<Peer>;
  readonly #events: RequestsEvents;
  readonly #pending = new Map<string, Pending>();
  readonly #waiting: { readonly bytes: number; readonly run: () => void }[] = [];
  /** Bytes of the requests that wait for a handler. */
  waitingBytes = 0;
  #running = 0;

  constructor(clock: Clock, deliveries: Deliveries, peers: Iterable<Peer>, events: RequestsEvents) {
    this.#clock = clock;
    this.#deliveries = deliveries;
    this.#peers = peers;
    this.#events = events;
  }

  /** Whether no more requests are taken now. */
  get isFull(): boolean {
    return this.#waiting.length >= maxWaiting;
  }

  /** Sends a request, and waits for its reply. */
  async request(
    peer: Peer,
    data: Uint8Array,
    { channel, timeoutMs, signal }: Checked<MessageRequestOptions, "signal">,
  ): Promise<Message> {
    const ended = new AbortController();
    let requestId: number | undefined;
    const forget: (() => void)[] = [];
    try {
      return await new Promise<Message>((resolve, reject) => {
        const progress = { chunks: 0, ackedChunks: 0 };
        const pending: Pending = { peer, resolve, reject, bytes: data.length, progress, isThere: false };
        const started = (id: number): void => {
          requestId = id;
          this.#pending.set(keyOf(peer, id), pending);
        };
        const parcel: Parcel = {
          kind: frameKind.request,
          flags: 0,
          channel,
          data,
          parity: 0,
          deadlineMs: undefined,
          divided: (progress) => (pending.progress = progress),
          started,
        };
        this.#deliveries.send(peer, parcel, "request", ended.signal).then(() => {
          pending.isThere = true;
          forget.push(this.#nudge(peer, parcel, requestId as number, pending.bytes));
        }, reject);
        const cancel = this.#clock.after(timeoutMs, () => {
          const what = pending.isThere
            ? "the request arrived, and its reply did not"
            : `the request did not arrive: ${arrivedOf(pending)}`;
          const counts = countsOf(pending);
          const reason = counts.arrivedChunks === 0 ? reasonOfSilence("request") : undefined;
          const text = `${what} within timeoutMs, ${timeoutMs} ms`;
          reject(timeoutError(peer, "request", counts, text, reason));
        });
        forget.push(cancel);
        if (signal) forget.push(onAbort(signal, () => reject(signal.reason as Error)));
      });
    } finally {
      for (const each of forget) each();
      if (requestId !== undefined) this.#pending.delete(keyOf(peer, requestId));
      ended.abort();
    }
  }

  /** Whether a chunk of a reply belongs to a request that waits, or to a reply that was delivered. */
  awaits(peer: Peer, { id, crc }: Readonly<Frame>, now: number): boolean {
    return this.#pending.has(keyOf(peer, id)) || peer.wasDelivered(id, crc, now);
  }

  /** A request or a reply is complete. */
  arrived({ kind, peer, message, flags, id, crc }: Arrived): void {
    if (kind === frameKind.request) {
      this.#queue(peer, message, id, crc);
      return;
    }
    const pending = this.#pending.get(keyOf(peer, id));
    if (!pending) return;
    if ((flags & frameFlag.fleeting) === 0) {
      pending.resolve(message);
      return;
    }
    const { host: address, port } = peer.address;
    const reason = message.data.toString("utf8", 0, 200);
    const text = `the peer's handler failed${reason === "" ? "" : `: ${reason}`}`;
    pending.isThere = true;
    pending.reject(
      new MessageError("EPROTO", { syscall: "request", address, port, text, ...countsOf(pending) }),
    );
  }

  /** A request that was delivered came again: its reply may be lost for good. */
  again(peer: Peer, { id, crc, channel }: Readonly<Frame>): void {
    const reply = peer.replies?.find(id, crc) ?? this.#moved(peer, id, crc);
    if (!reply?.data || reply.isDone) return;
    if (reply.isSending) {
      peer.sender?.requestedAgain(id);
      return;
    }
    reply.route = peer.route;
    this.#sendReply(peer, reply, id, channel);
  }

  /** Copies the reply to a request whose sender has a new port or address since. */
  #moved(peer: Peer, id: number, crc: number): Reply | undefined {
    for (const { replies } of this.#peers) {
      const reply = replies?.find(id, crc);
      if (!reply?.data) continue;
      peer.replies ??= new Replies();
      const moved = peer.replies.begin(id, crc, peer.route, reply.request);
      peer.replies.end(moved, reply.data, reply.failed);
      return moved;
    }
    return undefined;
  }

  /** The requests that wait fail with an error. @param of those to one peer alone. */
  fail(error: OSError, of?: Peer): void {
    for (const pending of this.#pending.values()) {
      const { peer, reject } = pending;
      if (of === undefined || peer === of)
        reject(causedError(error, peer, "request", countsOf(pending), arrivedOf(pending)));
    }
  }

  close(error: OSError): void {
    this.#waiting.length = this.waitingBytes = 0;
    this.fail(error);
  }

  /**
   * Reminds a peer of a request until its reply begins. The peer may answer only three times the bytes that came from an address
   * without proof: if its probe is lost as well as the reply, it may send nothing more (RFC 9002, section 6.2.2.1).
   *
   * @param bytes of the request. If the program has taken its memory away, there are no more reminders.
   * @returns a function that ends this.
   */
  #nudge(peer: Peer, parcel: Parcel, id: number, bytes: number): () => void {
    let waitMs = nudgeMs;
    let cancel = (): void => undefined;
    const wait = (): void => {
      cancel = this.#clock.after(waitMs, () => {
        const isGone = sizeOf(parcel.data) !== bytes;
        if (!isGone && !this.#isArriving(peer, id)) this.#deliveries.nudge(peer, parcel, id);
        waitMs = Math.min(maxNudgeMs, waitMs * 2);
        wait();
      });
    };
    if (this.#pending.has(keyOf(peer, id))) wait();
    return () => cancel();
  }

  /** Whether a part of the reply is there. */
  #isArriving(peer: Peer, id: number): boolean {
    for (const { frame } of peer.partials.values()) {
      if (frame.kind === frameKind.reply && frame.id === id) return true;
    }
    return false;
  }

  #queue(peer: Peer, request: Message, id: number, crc: number): void {
    peer.replies ??= new Replies();
    const reply = peer.replies.begin(id, crc, peer.route, request);
    const bytes = request.data.length;
    this.#waiting.push({ bytes, run: () => void this.#handle(peer, request, reply, id) });
    this.waitingBytes += bytes;
    this.#next();
  }

  #next(): void {
    while (this.#running < maxRunning) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.waitingBytes -= next.bytes;
      this.#running++;
      next.run();
    }
  }

  async #handle(peer: Peer, request: Message, reply: Reply, id: number): Promise<void> {
    let data: Uint8Array = Buffer.alloc(0);
    let failed = false;
    try {
      if (!this.handler) throw new OSError("ECANCELED", { syscall: "serve" });
      // The handler may use the bytes again.
      data = Buffer.from(toBytes(await this.handler(request)));
    } catch (error) {
      failed = true;
      this.#events.failed(error, request);
    }
    this.#running--;
    peer.replies?.end(reply, Buffer.from(data.buffer, data.byteOffset, data.length), failed);
    this.#sendReply(peer, reply, id, request.channel);
    this.#next();
  }

  #sendReply(peer: Peer, reply: Reply, id: number, channel: number): void {
    const { data, failed, route } = reply;
    if (!data) return;
    reply.isSending = true;
    const flags = failed ? frameFlag.fleeting : 0;
    const parcel: Parcel = {
      kind: frameKind.reply,
      flags,
      channel,
      data,
      parity: 0,
      deadlineMs: undefined,
      id,
      route,
    };
    this.#deliveries.send(peer, parcel, "serve").then(
      () => {
        reply.isSending = false;
        peer.replies?.done(reply);
      },
      // The request comes again if its sender still waits.
      (error: unknown) => {
        reply.isSending = false;
        if (!reply.request || failed || !(error instanceof OSError) || error.code !== "EMSGSIZE") return;
        // The reply is longer than the peer takes, so it is a fault of the handler, and the peer is told.
        peer.replies?.end(reply, Buffer.alloc(0), true);
        this.#events.failed(error, reply.request);
        this.#sendReply(peer, reply, id, channel);
      },
    );
  }
}

function countsOf({ progress: { chunks, ackedChunks }, isThere }: Pending): MessageCounts {
  return { chunks, arrivedChunks: isThere ? chunks : ackedChunks };
}

function arrivedOf({ progress: { chunks, ackedChunks }, bytes, isThere }: Pending): string {
  return isThere ? "the request arrived" : arrivedText(ackedChunks, chunks, bytes);
}

function keyOf({ key }: Peer, id: number): string {
  return `${key} ${id}`;
}
