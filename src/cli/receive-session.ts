import type { Endpoint } from "../core/address/address.js";
import { type Address, SOCK_DGRAM, type Socket, socket } from "../index.js";
import {
  type Codec,
  type CodecLoss,
  type CodecMessage,
  type CodecMessages,
  type Message,
  type Messages,
  type PictureSize,
  messages,
} from "../message/index.js";
import { count } from "../core/ledger/count-text.js";
import type { FileStore } from "./file-store.js";
import { foreignDatagrams, foreignSummary, warnOfForeign } from "./foreign-datagrams.js";
import { type ListenTarget, bindAndJoin } from "./listen-target.js";
import { Losses } from "./losses.js";
import { MessageLosses } from "./message-losses.js";
import { jsonLine, printable } from "./payload.js";
import { PeerCount } from "./peer-count.js";
import { notice, onOutput, print, warn } from "./terminal.js";

/** Milliseconds after which a message that is still not complete is lost: an hour. */
const totalMs = 3_600_000;
/** Milliseconds for which the peer of the last message is answered after its last datagram, and in all. */
const [lingerMs, maxLingerMs] = [1500, 5000] as const;
const lingerStepMs = 100;

/** The options for the output and the end of `datagram receive`. */
export interface ReceiveSessionOptions {
  readonly json?: boolean;
  readonly count?: number;
  readonly timeout?: number;
  readonly codec?: string;
  readonly pictureSize?: PictureSize;
}

/** One address of `datagram receive`. */
export interface Receiver {
  readonly target: ListenTarget;
  readonly socket: Socket;
  readonly address: Endpoint;
  readonly incoming: Messages | CodecMessages;
}

interface ReceiverOptions {
  readonly codec: Codec | undefined;
  readonly maxSize: number;
  /** Bytes of the receive buffer. */
  readonly buffer: number | undefined;
}

/** Binds a socket to a target, and reads its messages. */
export async function openReceiver(
  target: ListenTarget,
  { codec, maxSize, buffer }: ReceiverOptions,
): Promise<Receiver> {
  const s = socket(target.at.family, SOCK_DGRAM, { receiveBuffer: buffer });
  try {
    await bindAndJoin(s, target);
    const incoming = codec
      ? messages(s, { codec, maxSourceBytes: maxSize })
      : messages(s, { maxSourceBytes: maxSize, totalMs });
    return { target, socket: s, address: s.getsockname(), incoming };
  } catch (error) {
    await s.close();
    throw error;
  }
}

/** The messages of one `datagram receive`, from the ready line to the summary. */
export class ReceiveSession {
  readonly receivers: Receiver[] = [];
  /** Whether the time of `--timeout` has ended the session. */
  timedOut = false;
  readonly #store: FileStore;
  readonly #options: ReceiveSessionOptions;
  readonly #losses: MessageLosses;
  #isSizeTold = false;
  readonly #peers = new PeerCount();
  #left: number;
  #failure: { readonly reason: unknown } | undefined;
  #ending = false;
  #endWait: (() => void) | undefined;
  #last: { readonly receiver: Receiver; readonly source: Endpoint } | undefined;

  constructor(store: FileStore, options: ReceiveSessionOptions) {
    this.#store = store;
    this.#options = options;
    this.#losses = new MessageLosses(options.json === true);
    this.#left = options.count ?? Infinity;
  }

  get files(): number {
    return this.#store.files;
  }

  add(receiver: Receiver): void {
    this.receivers.push(receiver);
    const { incoming } = receiver;
    if (isMessages(incoming)) incoming.on("lost", (loss) => this.#losses.add(loss));
    else incoming.on("lost", (loss) => this.#addLoss(loss));
  }

  /** Writes messages to files until the end, and prints the summary. @throws the first failure of a file. */
  async run(stop: AbortSignal): Promise<void> {
    const sources = this.receivers.map((each) => {
      return { socket: each.socket, answering: each.socket, local: this.#localOf(each) };
    });
    const losses = new Losses(sources, this.#options.json === true);
    const endWarning = warnOfForeign(() => this.#foreignWarning());
    const end = (): void => void this.#stopReading();
    stop.addEventListener("abort", end);
    this.#awaitNext();
    await Promise.all(this.receivers.map((receiver) => this.#read(receiver)));
    this.#endWait?.();
    endWarning();
    if (this.#left === 0 && !stop.aborted) await this.#linger(stop);
    losses.end();
    this.#losses.end();
    this.#summary();
    await this.close();
    losses.summary();
    if (this.#failure) throw this.#failure.reason;
  }

  async close(): Promise<void> {
    await Promise.all(this.receivers.map((each) => each.socket.close()));
  }

  /** Writes the messages of one receiver until the session ends. */
  async #read(receiver: Receiver): Promise<void> {
    try {
      for await (const message of receiver.incoming) {
        if (this.#left === 0) break;
        this.#left--;
        this.#last = { receiver, source: message.source };
        await this.#write(message, receiver);
        this.#awaitNext();
        if (this.#left === 0) break;
      }
    } catch (error) {
      this.#failure ??= { reason: error };
    }
    // The others end too.
    await this.#stopReading();
  }

  async #write(message: Message | CodecMessage, receiver: Receiver): Promise<void> {
    const { data, source } = message;
    const time = new Date(Number(receiver.socket.clock.wall() / 1_000_000n));
    const file = await this.#store.write({ data, source, time });
    this.#peers.add(String(source));
    await print(this.#options.json ? this.#object(message, file, time, receiver) : line(message, file));
  }

  #object(message: Message | CodecMessage, file: string, time: Date, receiver: Receiver): string {
    const { data, source, chunks, verified } = message;
    const more = "channel" in message ? { repaired: message.repaired, channel: message.channel } : {};
    const fields = { source, local: this.#localOf(receiver), size: data.length, chunks, ...more, verified };
    return jsonLine({ time: time.toISOString(), file, ...fields });
  }

  /** Ends the session if no message comes for the time of `--timeout`. */
  #awaitNext(): void {
    const { timeout } = this.#options;
    if (timeout === undefined) return;
    this.#endWait?.();
    // The clock of a socket reads what has come before a late timer runs.
    this.#endWait = this.receivers[0]?.socket.clock.after(timeout, () => {
      this.timedOut = true;
      void this.#stopReading();
    });
  }

  /** Ends the loops. With `--count`, sockets of messages stay open for their senders. */
  async #stopReading(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    for (const each of this.receivers) {
      if (each === this.#lingering) continue;
      await (isMessages(each.incoming) ? each.incoming.close() : each.socket.close());
    }
  }

  /** The receiver of the last message of `--count`, if it has to answer the sender. */
  get #lingering(): Receiver | undefined {
    const last = this.#left === 0 ? this.#last?.receiver : undefined;
    return last && isMessages(last.incoming) ? last : undefined;
  }

  /** Answers the sender of the last message: its report may have been lost. */
  async #linger(stop: AbortSignal): Promise<void> {
    const receiver = this.#lingering;
    if (!receiver || !this.#last || !isMessages(receiver.incoming)) return;
    const peer = receiver.incoming.peer(this.#last.source);
    const { clock } = receiver.socket;
    const end = clock.now() + maxLingerMs;
    const last = (): number => peer.stats().lastSeenMs ?? 0;
    while (!stop.aborted && clock.now() < Math.min(end, last() + lingerMs)) {
      await new Promise((resolve) => setTimeout(resolve, lingerStepMs));
    }
  }

  #addLoss(loss: CodecLoss): void {
    this.#losses.add(loss);
    const { codec, pictureSize } = this.#options;
    if (loss.cause !== "invalid" || codec !== "rtp-jpeg" || pictureSize || this.#isSizeTold) return;
    this.#isSizeTold = true;
    warn(
      "RTP has no sizes above 2040 pixels: if the pictures are larger, say their --picture-size, such as 2592x1944",
    );
  }

  #foreignWarning(): string | undefined {
    const { codec } = this.#options;
    const found = this.receivers.find(({ incoming }) => foreign(incoming) > 0);
    if (!found) return undefined;
    return codec === undefined
      ? `datagrams come to ${found.address} that are no messages: datagram send --message sends messages, --codec reads those of devices, and datagram listen shows any`
      : `datagrams come to ${found.address} that are no part of ${codec}: datagram listen shows them`;
  }

  #summary(): void {
    const { files, bytes } = this.#store;
    notice(`${count(files, "file")}, ${count(bytes, "byte")} from ${this.#peers.text}`);
    this.#losses.summary();
    foreignSummary(this.receivers.reduce((sum, { incoming }) => sum + foreign(incoming), 0));
  }

  /** The address of a receiver if there are several. */
  #localOf({ address }: Receiver): Address | undefined {
    return this.receivers.length > 1 ? address : undefined;
  }
}

function isMessages(incoming: Messages | CodecMessages): incoming is Messages {
  return "peer" in incoming;
}

/** Datagrams that are no part of a message. */
function foreign(incoming: Messages | CodecMessages): number {
  if (!isMessages(incoming)) {
    const { ignored, received } = incoming.stats();
    // A codec also ignores datagrams that come late or twice.
    return received === 0 ? ignored : 0;
  }
  return foreignDatagrams(incoming.stats().dropped);
}

function line(message: Message | CodecMessage, file: string): string {
  const size = count(message.data.length, "byte");
  const repaired = "repaired" in message ? message.repaired : 0;
  const repairs = repaired > 0 ? `, ${repaired} of ${count(message.chunks, "chunk")} repaired` : "";
  return `${onOutput("cyan", printable(file))} ${size}${repairs}\n`;
}
