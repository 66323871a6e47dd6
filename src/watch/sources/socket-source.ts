import { subscribe, unsubscribe } from "node:diagnostics_channel";

import {
  Address,
  type Datagram,
  type Packet,
  type PathMtuChange,
  type Socket,
  type Unreachable,
  type Warning,
} from "../../index.js";
import type { Model } from "../model/model.js";
import type { WatchedSource } from "./source.js";
import { SourceLosses } from "./source-losses.js";

/** The channel of warnings. A listener for the event would keep Node from showing the warning. */
const warningChannel = "datagram:warning";

/** Watches a socket. The program reads it. */
export class SocketSource implements WatchedSource {
  readonly #id: number;
  readonly #socket: Socket;
  readonly #model: Model;
  readonly #losses: SourceLosses;
  readonly #untap: () => void;

  constructor(socket: Socket, model: Model) {
    this.#socket = socket;
    this.#model = model;
    const simulated = socket.driver === "sim";
    this.#id = model.addSource({ kind: "socket", label: labelOf(socket), simulated, sends: true }).id;
    const { droppedKernel = 0, droppedQueue } = socket.stats();
    this.#losses = new SourceLosses(this.#id, model, { receiveBuffer: droppedKernel, queue: droppedQueue });
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
    this.#losses.dropped("receiveBuffer", droppedKernel, nowMs, receiveBuffer?.advice);
    this.#losses.dropped("queue", droppedQueue, nowMs);
    this.#losses.report(nowMs);
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

  readonly #onTruncated = (last: Datagram): void => this.#losses.truncated(last, Date.now());

  readonly #onUnreachable = (last: Unreachable): void => this.#losses.unreachable(last, Date.now());

  readonly #onPathMtu = (last: PathMtuChange): void => this.#losses.narrowed(last);

  readonly #onWarning = (published: unknown): void => {
    const { socket, message } = published as { socket: unknown; message: Warning };
    if (socket === this.#socket) this.#losses.warned(message.message);
  };
}

/** Such as `127.0.0.1:9000`. */
function labelOf(socket: Socket): string {
  try {
    return String(socket.getsockname());
  } catch {
    return "a socket without an address";
  }
}
