import {
  Address,
  type AddressLike,
  type Endpoint,
  destinationOf,
  forFamily,
  isEndpoint,
} from "../core/address/address.js";
import { SOL_SOCKET, SO_RCVBUF } from "../core/constants.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import type { TakeChunks } from "../core/driver/driver.js";
import { type Data, sizeOf, toBytes } from "../core/driver/payload.js";
import { OSError } from "../core/errors/errors.js";
import type { Unreachable } from "../core/ledger/reports.js";
import { engineOf } from "../core/socket/settings.js";
import { type Socket, answerTo, readAll } from "../core/socket/socket.js";
import { type Frame, chunksOf, frameFlag, frameKind } from "../wire/message-frame.js";
import { AddressProofs } from "./address-proofs.js";
import { Alarm } from "./alarm.js";
import { zlibCrc32 } from "./crc32.js";
import { Deliveries, type DeliveriesHost, type Parcel } from "./deliveries.js";
import { arrivedText, causedError } from "./failures.js";
import { FrameDispatch } from "./frame-dispatch.js";
import { goneError } from "./gone.js";
import { MessageInbox } from "./inbox.js";
import type { LostMessage, Message, MessagesStats, PeerStats, Receipt } from "./message.js";
import type { Checked, MessagesOptions, MessageRequestOptions, SendOptions } from "./options.js";
import { onePeer } from "./one-peer.js";
import { statsOf } from "./peer-stats.js";
import { type Peer, Peers } from "./peers.js";
import type { Arrived, ReceiverHost } from "./receiver-host.js";
import { Receiver } from "./receiver.js";
import { type MessageHandler, Requests } from "./requests.js";
import { SpareMemory } from "./spare-memory.js";
import { obstacleOf, unreachableText } from "./unreachable.js";

export type { MessageHandler } from "./requests.js";

/** What `Exchange` tells its owner. */
export interface ExchangeEvents {
  lost(message: LostMessage): void;
  failed(error: unknown, request: Message): void;
}

/** How often idle peers are looked for, in milliseconds. */
const sweepMs = 10_000;
/** Bytes of the receive buffer that one chunk takes: Linux counts the memory of the packet. */
const bufferBytesOfChunk = 2560;

/** Joins the parts: reads the socket, and sends what the receiver, the senders and the requests send. */
export class Exchange implements ReceiverHost, DeliveriesHost {
  readonly inbox: MessageInbox = new MessageInbox((on) => this.waits(on));
  readonly peers: Peers = new Peers((peer) => this.#forget(peer));
  readonly bufferChunks: number;
  readonly takeChunks: TakeChunks | undefined;
  readonly spare: SpareMemory | undefined;
  readonly #socket: Socket;
  readonly #chunkBytes: number;
  readonly #events: ExchangeEvents;
  readonly #receiver: Receiver;
  readonly #deliveries: Deliveries;
  readonly #requests: Requests;
  readonly #proofs: AddressProofs;
  readonly #dispatch: FrameDispatch;
  readonly #reading: ReturnType<typeof readAll>;
  readonly #sweep: Alarm;
  readonly #onUnreachable = (report: Unreachable): void => this.#unreachable(report);
  #received = 0;
  #calls = 0;
  #isClosed = false;
  /** Whether the next sweep is set. */
  #sweeps = false;

  constructor(socket: Socket, options: Checked<MessagesOptions>, events: ExchangeEvents) {
    this.#socket = socket;
    this.#chunkBytes = options.chunkBytes;
    const { of: checksum } = engineOf(socket).crc32 ?? zlibCrc32;
    this.takeChunks = engineOf(socket).takeChunks;
    this.spare = options.reuseMemory ? new SpareMemory() : undefined;
    this.#events = events;
    this.#reading = readAll(socket, "messages()");
    this.bufferChunks = Math.floor(socket.getsockopt(SOL_SOCKET, SO_RCVBUF) / bufferBytesOfChunk);
    this.#receiver = new Receiver(this, options);
    this.#deliveries = new Deliveries(socket, options, this);
    this.#requests = new Requests(socket.clock, this.#deliveries, this.peers, events);
    this.#proofs = new AddressProofs(socket, checksum, (cause) => this.drop(cause));
    this.#dispatch = new FrameDispatch(socket, checksum, {
      receiver: this.#receiver,
      requests: this.#requests,
      proofs: this.#proofs,
      find: (source) => this.peers.find(source),
      peerAt: (source) => this.#peerAt(source),
    });
    this.#sweep = new Alarm(socket.clock, () => this.#sweepPeers());
    socket.unref();
    socket.on("unreachable", this.#onUnreachable);
    void this.#read();
  }

  get clock(): Socket["clock"] {
    return this.#socket.clock;
  }

  get unreadBytes(): number {
    return this.inbox.bytes + this.#requests.waitingBytes;
  }

  get handler(): MessageHandler | undefined {
    return this.#requests.handler;
  }

  serve(handler: MessageHandler): () => void {
    this.#requests.handler = handler;
    this.waits(true);
    let isServing = true;
    return () => {
      if (!isServing) return;
      isServing = false;
      this.#requests.handler = undefined;
      this.waits(false);
    };
  }

  async send(
    data: Data,
    address: AddressLike,
    options: Checked<SendOptions, "deadlineMs" | "signal">,
  ): Promise<Receipt> {
    const { channel, mode, deadlineMs, parity, signal } = options;
    signal?.throwIfAborted();
    const payload = toBytes(data);
    const peer = await this.#peerOf(payload, address, "send");
    const flags = mode === "reliable" ? 0 : frameFlag[mode];
    const parcel: Parcel = { kind: frameKind.data, flags, channel, data: payload, parity, deadlineMs };
    return await this.#deliveries.send(peer, parcel, "send", signal);
  }

  async request(
    data: Data,
    address: AddressLike,
    options: Checked<MessageRequestOptions, "signal">,
  ): Promise<Message> {
    const { signal } = options;
    signal?.throwIfAborted();
    const payload = toBytes(data);
    const peer = await this.#peerOf(payload, address, "request");
    this.waits(true);
    try {
      return await this.#requests.request(peer, payload, options);
    } finally {
      this.waits(false);
    }
  }

  /** Finds the peer of a message. @throws (rejects) also `EFAULT` if the memory of the message is gone when the address is known. */
  async #peerOf(payload: Uint8Array, address: AddressLike, syscall: string): Promise<Peer> {
    const bytes = sizeOf(payload);
    const peer = this.#peerAt(await onePeer(this.#socket, address, syscall));
    if (sizeOf(payload) === bytes) return peer;
    const chunks = chunksOf(bytes, this.#chunkBytes);
    const counts = { chunks, arrivedChunks: 0 };
    throw causedError(goneError(), peer, syscall, counts, arrivedText(0, chunks, bytes));
  }

  peer(address: AddressLike): () => PeerStats {
    const to = forFamily(Address.from(address), this.#socket.family, "peer");
    if (!isEndpoint(to)) {
      throw new OSError("EINVAL", {
        syscall: "peer",
        address: to.host,
        text: "this takes an IP address, not a name",
      });
    }
    return () => statsOf(this.peers.find(destinationOf(to)), this.#chunkBytes, this.clock.now());
  }

  stats(): MessagesStats {
    return {
      received: this.#received,
      lost: Object.fromEntries(this.#receiver.lost),
      dropped: Object.fromEntries(this.#receiver.dropped),
      partialBytes: this.#receiver.bytes,
      unreadBytes: this.unreadBytes,
      unconfirmed: this.#receiver.unconfirmed,
      released: this.#receiver.released,
      refused: this.#receiver.refused,
    };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    void this.#reading.return();
    this.#sweep.close();
    this.#socket.off("unreachable", this.#onUnreachable);
    const error = new OSError("ECANCELED", { text: "the messages were closed" });
    for (const peer of this.peers) {
      peer.sender?.close(error);
      this.#receiver.end(peer);
    }
    this.#receiver.close();
    this.#requests.close(error);
    this.inbox.end();
    if (!this.#socket.closed) this.#socket.ref();
  }

  // For deliveries.

  get isClosed(): boolean {
    return this.#isClosed;
  }

  waits(on: boolean): void {
    this.#calls += on ? 1 : -1;
    if (this.#socket.closed) return;
    if (on && this.#calls === 1) this.#socket.ref();
    else if (this.#calls === 0 && !this.#isClosed) this.#socket.unref();
  }

  askForProof(peer: Peer): void {
    this.#proofs.askInTurn(peer);
  }

  ask(peer: Peer): void {
    this.#proofs.ask(peer);
  }

  drop(cause: string): void {
    this.#receiver.drop(cause);
  }

  // For the receiver.

  answer(peer: Peer, bytes: Uint8Array, route: Ancillary | undefined): void {
    if (!peer.mayAnswer(bytes.length)) {
      this.#receiver.drop("unproven");
      return;
    }
    answerTo(this.#socket, bytes, peer.address, route).catch(() => this.#receiver.drop("unsent"));
  }

  arrived(arrived: Arrived): void {
    const { kind, message } = arrived;
    this.#received++;
    if (kind === frameKind.data) this.inbox.push(message);
    else this.#requests.arrived(arrived);
  }

  again(peer: Peer, frame: Readonly<Frame>): void {
    this.#requests.again(peer, frame);
  }

  lost(message: LostMessage): void {
    this.#events.lost(message);
  }

  async #read(): Promise<void> {
    for (;;) {
      const step = await this.#reading.next().catch(() => undefined);
      if (!step || step.done === true) break;
      if (this.#isClosed) return;
      const now = this.clock.now();
      for (const run of step.value) this.#dispatch.take(run, now);
      this.#receiver.flush(now);
    }
    this.close();
  }

  #peerAt(address: Endpoint): Peer {
    const peer = this.peers.get(address);
    if (!this.#sweeps) {
      this.#sweeps = true;
      this.#sweep.set(this.clock.now() + sweepMs);
    }
    return peer;
  }

  #unreachable(report: Unreachable): void {
    const peer = report.destination && this.peers.find(report.destination);
    if (!peer?.sender) return;
    const obstacle = obstacleOf(report, this.clock.now());
    if (obstacle) {
      peer.sender.obstacle = obstacle;
      return;
    }
    const error = new OSError(report.code, { text: unreachableText(report) });
    peer.sender.close(error);
    this.#requests.fail(error, peer);
  }

  #forget(peer: Peer): void {
    peer.sender?.close(new OSError("ECANCELED"));
    this.#receiver.forget(peer);
  }

  #sweepPeers(): void {
    const now = this.clock.now();
    this.peers.sweep(now);
    this.#sweeps = this.peers.size > 0;
    if (this.#sweeps) this.#sweep.set(now + sweepMs);
  }
}
