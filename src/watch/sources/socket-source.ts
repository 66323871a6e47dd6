/**
 * What is watched: sockets (`socket-source.ts`), the two sides of a relay, and capture files. A source tells the model (`../model`)
 * what happens.
 */

import { subscribe, unsubscribe } from "node:diagnostics_channel";

import { lossTexts, narrowText, refusalText } from "../../core/ledger/report-texts.js";
import {
  Address,
  type Datagram,
  type Packet,
  type PathMtuChange,
  type Socket,
  type Unreachable,
  type Warning,
} from "../../index.js";
import type { NewLoss } from "../model/loss-log.js";
import type { Model } from "../model/model.js";

/** A source of a model. */
export interface WatchedSource {
  /** Sends a datagram, if pages can send from this source. */
  readonly send: ((data: Buffer, to: string) => Promise<number>) | undefined;
  /** Reports what was lost since the last call. Called once a second. */
  report(nowMs: number): void;
  /** Ends the watching. */
  close(): void;
}

/** The name of the channel of warnings. A listener for the event would keep Node from showing the warning. */
const warningChannel = "datagram:warning";

/** Watches a socket. The program reads it. */
export class SocketSource implements WatchedSource {
  readonly #id: number;
  readonly #socket: Socket;
  readonly #model: Model;
  readonly #untap: () => void;
  /** How many losses were reported. */
  readonly #told: { receiveBuffer: number; queue: number };
  // What the next reports are about.
  #unreachable: { last: Unreachable; reports: number } | undefined;
  #narrowed: { last: PathMtuChange; paths: number } | undefined;
  #truncated: { last: Datagram; peer: number; datagrams: number } | undefined;
  #warning: Warning | undefined;

  constructor(socket: Socket, model: Model) {
    this.#socket = socket;
    this.#model = model;
    const simulated = socket.driver === "sim";
    this.#id = model.addSource({ kind: "socket", label: labelOf(socket), simulated, sends: true }).id;
    const { droppedKernel = 0, droppedQueue } = socket.stats();
    this.#told = { receiveBuffer: droppedKernel, queue: droppedQueue };
    this.#untap = socket.tap(this.#onPacket);
    socket
      .on("truncated", this.#onTruncated)
      .on("unreachable", this.#onUnreachable)
      .on("pathMtu", this.#onPathMtu);
    subscribe(warningChannel, this.#onWarning);
  }

  readonly send = (data: Buffer, to: string): Promise<number> => this.#socket.sendto(data, Address.parse(to));

  report(nowMs: number): void {
    const { droppedKernel = 0, droppedQueue, receiveBuffer } = this.#socket.stats();
    this.#dropped("receiveBuffer", droppedKernel, nowMs, receiveBuffer?.advice);
    this.#dropped("queue", droppedQueue, nowMs, undefined);
    this.#reportTruncated(nowMs);
    this.#reportUnreachable(nowMs);
    const narrowed = this.#narrowed;
    this.#narrowed = undefined;
    if (narrowed) {
      const text = narrowText(narrowed.last);
      const more = narrowed.paths === 1 ? "" : ` (the last of ${narrowed.paths} paths)`;
      this.#lost({ cause: "pathMtu", atMs: nowMs, sentence: sentence(`${text}${more}`) });
    }
    const warning = this.#warning;
    this.#warning = undefined;
    if (warning) this.#lost({ cause: "warning", atMs: nowMs, sentence: sentence(warning.message) });
  }

  close(): void {
    this.#untap();
    this.#socket
      .off("truncated", this.#onTruncated)
      .off("unreachable", this.#onUnreachable)
      .off("pathMtu", this.#onPathMtu);
    unsubscribe(warningChannel, this.#onWarning);
  }

  readonly #onPacket = ({ direction, data, source, destination, timestamp }: Packet): void => {
    const nowMs = Date.now();
    if (direction === "in") this.#model.arrived(this.#id, data, source, destination, timestamp, 0, nowMs);
    else this.#model.sent(this.#id, data, source, destination, timestamp, nowMs);
  };

  readonly #onTruncated = (last: Datagram): void => {
    const peer = this.#model.count(this.#id, last.source, "truncated", Date.now());
    this.#truncated = { last, peer, datagrams: (this.#truncated?.datagrams ?? 0) + 1 };
  };

  readonly #onUnreachable = (last: Unreachable): void => {
    if (last.destination) this.#model.count(this.#id, last.destination, "icmp", Date.now());
    this.#unreachable = { last, reports: (this.#unreachable?.reports ?? 0) + 1 };
  };

  readonly #onPathMtu = (last: PathMtuChange): void => {
    this.#narrowed = { last, paths: (this.#narrowed?.paths ?? 0) + 1 };
  };

  readonly #onWarning = (published: unknown): void => {
    const { socket, message } = published as { socket: unknown; message: Warning };
    if (socket === this.#socket) this.#warning = message;
  };

  #dropped(cause: "receiveBuffer" | "queue", total: number, atMs: number, advice: string | undefined): void {
    const datagrams = total - this.#told[cause];
    this.#told[cause] = total;
    if (datagrams <= 0) return;
    const atLeast = cause === "receiveBuffer";
    const what = `${atLeast ? "At least " : ""}${datagrams} ${datagrams === 1 ? "datagram was" : "datagrams were"} lost`;
    this.#lost({
      ...{ cause, atMs, datagrams, atLeast },
      sentence: `${what}: ${lossTexts[cause]}.`,
      advice: adviceOf(cause, advice),
    });
  }

  #reportTruncated(atMs: number): void {
    const truncated = this.#truncated;
    this.#truncated = undefined;
    if (!truncated) return;
    const { last, peer, datagrams } = truncated;
    const what = datagrams === 1 ? "A datagram" : `${datagrams} datagrams, the last one`;
    this.#lost({
      ...{ cause: "truncated", atMs, peer, datagrams },
      sentence: `${what} from ${last.source} had ${last.size} bytes and was cut to ${last.data.length}.`,
      advice: "Receive with a larger bufsize: 65,535 is enough for every datagram.",
    });
  }

  #reportUnreachable(atMs: number): void {
    const unreachable = this.#unreachable;
    this.#unreachable = undefined;
    if (!unreachable) return;
    const { last, reports } = unreachable;
    const what = reports === 1 ? "a datagram did" : `the last of at least ${reports} datagrams that did`;
    const peer = last.destination && this.#model.peers.find(this.#id, String(last.destination))?.id;
    this.#lost({
      ...{ cause: "unreachable", atMs, peer, datagrams: reports, atLeast: true },
      sentence: sentence(`${refusalText(last, last.destination)}: ${what} not arrive`),
    });
  }

  #lost(loss: Pick<NewLoss, "cause" | "atMs" | "sentence"> & Partial<NewLoss>): void {
    const unknown = { peer: undefined, datagrams: undefined, atLeast: false, advice: undefined };
    this.#model.lost({ ...unknown, source: this.#id, ...loss });
  }
}

/** What to do about datagrams that were dropped. @param command raises the limit of the receive buffer, if there is one. */
function adviceOf(cause: "receiveBuffer" | "queue", command: string | undefined): string {
  if (cause === "queue") return "Read the datagrams faster, or several at a time with recvMany().";
  return command === undefined
    ? "Read the datagrams faster, or open the socket with a larger receiveBuffer."
    : `Raise net.core.rmem_max: ${command}`;
}

/** Makes a sentence of a text that the command prints as a line. */
function sentence(text: string): string {
  const start = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** Such as `127.0.0.1:9000`. */
function labelOf(socket: Socket): string {
  try {
    return String(socket.getsockname());
  } catch {
    return "a closed socket";
  }
}
