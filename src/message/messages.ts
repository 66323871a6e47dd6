import type { AddressLike } from "../core/address/address.js";
import type { Data } from "../core/driver/payload.js";
import { OSError, wrongType } from "../core/errors/errors.js";
import type { Warning } from "../core/ledger/reports.js";
import { type KnownEvents, WarningEmitter } from "../core/socket/emitter.js";
import { runListener } from "../core/socket/events.js";
import { engineOf } from "../core/socket/settings.js";
import { Socket } from "../core/socket/socket.js";
import { showEmitterAs } from "../core/shown.js";
import { type CodecMessages, type CodecOptions, readCodec } from "./codec-reader.js";
import { Exchange, type MessageHandler } from "./exchange.js";
import type { Message, MessagesEvents, MessagesStats, PeerStats, Receipt } from "./message.js";
import {
  type MessagesOptions,
  type MessageRequestOptions,
  type SendOptions,
  checkMessages,
  checkRequest,
  checkSend,
} from "./options.js";
import { stepsThatReuse } from "./reusing-steps.js";
import { textOf } from "./shown.js";

export type { MessageHandler } from "./exchange.js";

/** A peer of `messages()`. */
export interface MessagesPeer {
  /** What is known of the peer now. */
  stats(): PeerStats;
}

/**
 * Starts to send and receive messages of any size over a socket, with peers that do so too (`docs/wire.md`).
 *
 * From now on the messages read the socket, and no other call may: it fails with `EBUSY`. The socket can still send datagrams.
 * A call that waits keeps the process alive; open messages do not, so this call uses `ref()` and `unref()` of the socket.
 *
 * @param socket bound, unless the first datagram leaves from here.
 * @throws `OSError` `EBUSY` if an iteration reads the socket, `EBADF`; `TypeError`, `RangeError` for wrong options.
 */
export function messages(socket: Socket, options?: MessagesOptions): Messages;
/**
 * Reads messages of devices that do not speak these frames, through a codec (`docs/codecs.md`).
 *
 * The socket is read while the loop waits for a message, and meanwhile no other call may read it. Leaving the loop loses nothing. A
 * step of the loop rejects as one of `Socket.batches` does.
 *
 * @throws `TypeError`, `RangeError` for wrong options.
 */
export function messages(socket: Socket, options: CodecOptions): CodecMessages;
export function messages(
  socket: Socket,
  options: MessagesOptions | CodecOptions = {},
): Messages | CodecMessages {
  if (!(socket instanceof Socket)) throw wrongType("socket", "a Socket", socket);
  if (isForDevices(options)) return readCodec(socket, options);
  return new Messages(socket, options);
}

/** What replaces events that programs expect. */
const insteadOf: KnownEvents["insteadOf"] = new Map([
  ["message", '"for await (const message of m)" reads messages'],
  ["data", '"for await (const message of m)" reads messages'],
  ["request", "serve() answers requests"],
  ["close", '"for await (const message of m)" ends when the messages are closed'],
]);
const messagesEvents: KnownEvents = {
  subject: "messages have",
  names: Object.keys({ lost: true, failed: true } satisfies Record<keyof MessagesEvents, true>),
  insteadOf,
};

function isForDevices(options: unknown): options is CodecOptions {
  return typeof options === "object" && options !== null && Object.hasOwn(options, "codec");
}

/**
 * Messages over one socket: made by `messages()`. `for await` reads the messages that arrive, until `close()` or until the socket
 * is closed. Each message is returned once.
 */
export class Messages extends WarningEmitter<MessagesEvents> implements AsyncIterable<Message> {
  readonly #socket: Socket;
  readonly #exchange: Exchange;

  static {
    showEmitterAs(this.prototype, "Messages", (m) => (#exchange in m ? m.#shown : undefined));
  }

  /** Made by `messages()`. */
  constructor(socket: Socket, options: MessagesOptions) {
    super();
    this.#socket = socket;
    this.#exchange = new Exchange(socket, checkMessages(options), {
      lost: (message) => runListener(() => this.emit("lost", message)),
      failed: (error, request) => runListener(() => this.emit("failed", error, request)),
    });
  }

  /**
   * Sends a message. Do not change `data` until the promise settles.
   *
   * @param address of one peer: no group and no broadcast address.
   * @returns once the peer has reported the whole message, or, if it is fleeting, once its last chunk has left, or a newer message
   *   of its channel has replaced it, or its deadline has passed.
   * @throws (rejects) `MessageError` with the number of chunks that arrived: `ETIMEDOUT` after `deadlineMs`, or after `giveUpMs`
   *   without a new report, or in its place `EHOSTUNREACH` and others if ICMP errors said meanwhile that the peer cannot be
   *   reached; at once `ECONNREFUSED` if an ICMP error says that nobody listens there, and others if it says that the traffic is
   *   prohibited; `EMSGSIZE` with `limit` if the peer takes no message of this size, or at once if the message has more than
   *   65,535 chunks (78,642,000 bytes in chunks of 1,200); `EPROTONOSUPPORT` if the peer sends all datagrams back; `ENOBUFS` if
   *   16,384 messages to the peer wait; `EFAULT` if `data` was transferred to another thread or resized meanwhile; `ECANCELED`
   *   after `close()`; the errors of `Socket.sendto`.
   *   `OSError` `EINVAL` for a group or a broadcast address, `ENOTFOUND`, `EBADF`; `TypeError`, `RangeError`; `signal.reason`.
   */
  async send(data: Data, address: AddressLike, options: SendOptions = {}): Promise<Receipt> {
    return await this.#exchange.send(data, address, checkSend(options));
  }

  /**
   * Sends a request, and waits for the reply of the peer's `serve`. The peer runs its handler at most once.
   *
   * @returns the reply.
   * @throws (rejects) as `send`, with `timeoutMs` in place of `deadlineMs`, and `MessageError` `EPROTO` if the handler failed.
   */
  async request(data: Data, address: AddressLike, options: MessageRequestOptions = {}): Promise<Message> {
    return await this.#exchange.request(data, address, checkRequest(options));
  }

  /**
   * Answers requests. At most 64 handlers run at a time; further requests wait, and above 1,024 are dropped and counted.
   *
   * @param handler returns the reply, or a promise of it. If it throws, the event `failed` reports the error, and the requester
   *   gets `EPROTO`.
   * @returns a function that ends this.
   * @throws `OSError` `EBUSY` if a handler is set already; `TypeError`.
   */
  serve(handler: MessageHandler): () => void {
    if (typeof handler !== "function") throw wrongType("handler", "a function", handler);
    if (this.#exchange.handler)
      throw new OSError("EBUSY", { syscall: "serve", text: "a handler answers requests already" });
    return this.#exchange.serve(handler);
  }

  /** The peer at an address, an IP literal. @throws `TypeError`, `RangeError`; `OSError` `EINVAL` for a name. */
  peer(address: AddressLike): MessagesPeer {
    const find = this.#exchange.peer(address);
    return { stats: find };
  }

  /** `messages of 10.0.0.2:9000`. */
  override toString(): string {
    return textOf(this.#socket, this.#exchange.isClosed);
  }

  get #shown(): object {
    const { isClosed } = this.#exchange;
    return { socket: this.#socket, ...(isClosed && { closed: true }), ...this.stats() };
  }

  protected override get knownEvents(): KnownEvents {
    return messagesEvents;
  }

  protected override warnOfListener(warning: Warning): void {
    engineOf(this.#socket).warn(warning);
  }

  /** The counts of what was received and dropped. */
  stats(): MessagesStats {
    return this.#exchange.stats();
  }

  /** The messages that arrive. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const { inbox, spare } = this.#exchange;
    let isDone = false;
    const next = spare ? stepsThatReuse(inbox, spare) : () => inbox.next();
    const iterator: AsyncIterableIterator<Message> = {
      next: () => (isDone ? Promise.resolve({ done: true, value: undefined }) : next()),
      return: () => {
        isDone = true;
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** Ends all calls with `ECANCELED`, and iterations. The socket stays open, and other calls may read it. */
  close(): Promise<void> {
    this.#exchange.close();
    return Promise.resolve();
  }

  /** Calls `close()`, and waits for it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
