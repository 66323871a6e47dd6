import { Buffer } from "node:buffer";

import {
  Address,
  type AddressLike,
  type Endpoint,
  destinationOf,
  forFamily,
  isEndpoint,
  isWildcard,
  unmapped,
} from "../core/address/address.js";
import { SOL_SOCKET, SO_RCVBUF } from "../core/constants.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import type { CopyPieces } from "../core/driver/driver.js";
import { type Data, toBytes } from "../core/driver/payload.js";
import { OSError } from "../core/errors/errors.js";
import type { Unreachable } from "../core/ledger/reports.js";
import type { Run } from "../core/receive/inbox.js";
import { engineOf } from "../core/socket/settings.js";
import { type Socket, answerTo, readAll } from "../core/socket/socket.js";
import {
  type Checksum,
  type Frame,
  type Payload,
  endOfSealed,
  frameFlag,
  frameKind,
  frameOverheadBytes,
  newFrame,
  readFrame,
  readSealedFrame,
  sealFrame,
  writeFrame,
} from "../wire/message-frame.js";
import { newReport, readReport } from "../wire/message-report.js";
import { Alarm } from "./alarm.js";
import { zlibCrc32 } from "./crc32.js";
import { Deliveries, type DeliveriesHost, type Parcel, tooLong } from "./deliveries.js";
import { MessageInbox } from "./inbox.js";
import type { LostMessage, Message, MessagesStats, PeerStats, Receipt } from "./message.js";
import type { Checked, MessagesOptions, MessageRequestOptions, SendOptions } from "./options.js";
import { onePeer } from "./one-peer.js";
import { statsOf } from "./peer-stats.js";
import { type Peer, Peers } from "./peers.js";
import type { Arrived, ReceiverHost } from "./receiver-host.js";
import { Receiver } from "./receiver.js";
import { type MessageHandler, Requests } from "./requests.js";
import { Tokens } from "./tokens.js";
import { obstacleOf, unreachableText } from "./unreachable.js";

export type { MessageHandler } from "./requests.js";

/** What `Exchange` tells its owner. */
export interface ExchangeEvents {
  lost(message: LostMessage): void;
  failed(error: unknown, request: Message): void;
}

/** How often idle peers are looked for, in milliseconds. */
const sweepMs = 10_000;
/** The shortest time between two probes of an address, in milliseconds. */
const probeIntervalMs = 200;
/** Bytes of the receive buffer that one chunk takes: Linux counts the memory of the packet. */
const bufferBytesOfChunk = 2560;
/** Joins the parts: reads the socket, passes frames to the receiver, the senders and the requests, and sends what they send. */
export class Exchange implements ReceiverHost, DeliveriesHost {
  readonly inbox: MessageInbox = new MessageInbox((on) => this.waits(on));
  readonly peers: Peers = new Peers((peer) => this.#forget(peer));
  readonly bufferChunks: number;
  readonly copyPieces: CopyPieces | undefined;
  readonly #socket: Socket;
  readonly #chunkBytes: number;
  readonly #crc32: Checksum;
  readonly #events: ExchangeEvents;
  readonly #receiver: Receiver;
  readonly #deliveries: Deliveries;
  readonly #requests: Requests;
  readonly #tokens: Tokens;
  readonly #reading: ReturnType<typeof readAll>;
  readonly #sweep: Alarm;
  readonly #frame = newFrame();
  readonly #payload: Payload<Buffer> = { bytes: Buffer.alloc(0), crc: undefined };
  readonly #report = newReport();
  readonly #onUnreachable = (report: Unreachable): void => this.#unreachable(report);
  #received = 0;
  #calls = 0;
  #isClosed = false;
  /** Whether the socket is bound to a wildcard address; `undefined` until a datagram arrives. */
  #isWildcard: boolean | undefined;
  /** Messages that are in the memory of the run that they came in. */
  #inRuns = 0;
  /** Whether the next sweep is set. */
  #sweeps = false;

  constructor(socket: Socket, options: Checked<MessagesOptions>, events: ExchangeEvents) {
    this.#socket = socket;
    this.#chunkBytes = options.chunkBytes;
    this.#crc32 = (engineOf(socket).crc32 ?? zlibCrc32).of;
    this.copyPieces = engineOf(socket).copyPieces;
    this.#events = events;
    this.#reading = readAll(socket, "messages()");
    this.bufferChunks = Math.floor(socket.getsockopt(SOL_SOCKET, SO_RCVBUF) / bufferBytesOfChunk);
    this.#receiver = new Receiver(this, options);
    this.#deliveries = new Deliveries(socket, options, this);
    this.#requests = new Requests(socket.clock, this.#deliveries, this.peers, events);
    this.#tokens = new Tokens(() => socket.random());
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
    const peer = this.#peerAt(await onePeer(this.#socket, address, "send"));
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
    const peer = this.#peerAt(await onePeer(this.#socket, address, "request"));
    this.waits(true);
    try {
      return await this.#requests.request(peer, payload, options);
    } finally {
      this.waits(false);
    }
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
    const now = this.clock.now();
    if (now - peer.probedAt < probeIntervalMs || !peer.mayAnswer(frameOverheadBytes)) return;
    peer.probedAt = now;
    this.ask(peer);
  }

  ask({ address, route }: Peer): void {
    this.#sendProbe(address, frameKind.probe, this.#tokens.of(address), route);
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
      for (const run of step.value) this.#takeRun(run, now);
      this.#receiver.flush(now);
    }
    this.close();
  }

  #takeRun(run: Run, now: number): void {
    const { data, source, segment, metadata } = run;
    const route = metadata && this.#hasManyAddresses() ? metadata.answer : undefined;
    const sealedEnd = endOfSealed(data, segment, this.#crc32);
    const inRuns = this.#inRuns;
    let start = 0;
    do {
      const end = segment === 0 ? data.length : Math.min(start + segment, data.length);
      const sealed = end <= sealedEnd ? (sealedEnd - start) / segment : 0;
      start = end + segment * this.#take(data, start, end, sealed, source, route, now);
    } while (start < data.length);
    if (this.#inRuns === inRuns) engineOf(this.#socket).reuse(run);
  }

  /**
   * Takes the datagram from `start` to `end`, and perhaps some of those after it.
   *
   * @param sealed the number of datagrams from this one on whose checksums are known to be right.
   * @returns the number of the further datagrams that it took.
   */
  #take(
    data: Buffer,
    start: number,
    end: number,
    sealed: number,
    source: Endpoint,
    route: Ancillary | undefined,
    now: number,
  ): number {
    const frame = this.#frame;
    const payload = this.#payload;
    const fault =
      sealed > 0
        ? readSealedFrame(data, frame, payload, start, end)
        : readFrame(data, frame, this.#crc32, payload, start, end);
    if (fault !== undefined) {
      this.#receiver.drop(fault);
      return 0;
    }
    switch (frame.kind) {
      case frameKind.probe:
        this.#sendProbe(source, frameKind.probeAck, frame.id, route);
        return 0;
      case frameKind.probeAck:
        if (frame.id === this.#tokens.of(source)) {
          const peer = this.#seen(source, end - start, route, now);
          peer.sender?.answered();
          this.#proven(peer);
        } else this.#receiver.drop("token");
        return 0;
      case frameKind.report:
        this.#reported(source, data.subarray(start, end), now);
        return 0;
      case frameKind.request:
        if (!this.#requests.handler || this.#requests.isFull) {
          const isOurs = this.peers.find(source)?.sender?.returned(frame) === true;
          this.#receiver.drop(isOurs ? "returned" : this.#requests.handler ? "busy" : "unserved");
          return 0;
        }
        break;
      case frameKind.reply: {
        const peer = this.peers.find(source);
        if (!peer || !this.#requests.awaits(peer, frame, now)) {
          this.#receiver.drop("unexpected");
          return 0;
        }
      }
    }
    const peer = this.#seen(source, end - start, route, now);
    if (peer.sender?.returned(frame) === true) {
      this.#receiver.drop("returned");
      return 0;
    }
    if (!peer.isProven) this.askForProof(peer);
    const taken = this.#receiver.series(peer, frame, data, start, end - start, sealed, now);
    if (taken > 0) return taken - 1;
    // A message of one chunk is no copy.
    if (payload.bytes.length === frame.length) this.#inRuns++;
    this.#receiver.chunk(peer, frame, payload, now);
    return 0;
  }

  /** Whether the socket receives at all addresses of its host. Otherwise each datagram leaves from its one address. */
  #hasManyAddresses(): boolean {
    // A connected socket has one address, and the wildcard address again after `connect(null)`.
    if (this.#socket.closed || engineOf(this.#socket).peer) return false;
    return (this.#isWildcard ??= isWildcard(unmapped(this.#socket.getsockname()).host));
  }

  #peerAt(address: Endpoint): Peer {
    const peer = this.peers.get(address);
    if (!this.#sweeps) {
      this.#sweeps = true;
      this.#sweep.set(this.clock.now() + sweepMs);
    }
    return peer;
  }

  #seen(source: Endpoint, bytes: number, route: Ancillary | undefined, now: number): Peer {
    const peer = this.#peerAt(source);
    peer.lastSeen = now;
    peer.route = route;
    if (!peer.isProven) peer.receivedBytes += bytes;
    return peer;
  }

  #reported(source: Endpoint, data: Buffer, now: number): void {
    const frame = this.#frame;
    const report = this.#report;
    if (!readReport(data, frame, report)) {
      this.#receiver.drop("report");
      return;
    }
    const peer = this.peers.find(source);
    const sender = peer?.sender;
    const isKnown =
      report.credit === 0
        ? sender?.refused(frame, (limit) => tooLong(peer as Peer, frame, limit), report.limit)
        : sender?.reported(frame, report);
    if (!peer || isKnown !== true) {
      this.#receiver.drop("stray");
      return;
    }
    peer.lastSeen = now;
    this.#proven(peer);
  }

  #proven(peer: Peer): void {
    if (peer.isProven) return;
    this.#receiver.proven(peer);
    peer.sender?.resume();
  }

  #sendProbe(to: Endpoint, kind: number, id: number, route: Ancillary | undefined): void {
    const bytes = new Uint8Array(frameOverheadBytes);
    writeFrame({ ...newFrame(), kind, id }, bytes);
    sealFrame(bytes, this.#crc32);
    answerTo(this.#socket, bytes, to, route).catch(() => this.#receiver.drop("unsent"));
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
