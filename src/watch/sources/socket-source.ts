import { subscribe, unsubscribe } from "node:diagnostics_channel";

import type { Buffer } from "node:buffer";

import { dropCountIsMinimum } from "../../core/capabilities.js";
import { resolveName } from "../../core/socket/callbacks.js";
import { observe } from "../../core/socket/settings.js";
import type { Observation, Observer } from "../../core/socket/taps.js";
import type { Run } from "../../core/receive/inbox.js";
import type {
  Address,
  Datagram,
  Endpoint,
  PathMtuChange,
  Socket,
  Unreachable,
  Warning,
} from "../../index.js";
import type { Model } from "../model/model.js";
import type { WatchedSource } from "./source.js";
import { SourceLosses } from "./source-losses.js";

/** The channel of warnings. A listener for the event would keep Node from showing the warning. */
const warningChannel = "datagram:warning";

/** Watches a socket. The program reads it. */
export class SocketSource implements WatchedSource, Observer {
  readonly #id: number;
  readonly socket: Socket;
  readonly #model: Model;
  readonly #losses: SourceLosses;
  readonly #observation: Observation;
  /** The local address, which is asked for once: it changes only with `bind` and `connect`. */
  #local: Endpoint;

  /** @throws `OSError` `EBADF` if the socket is closed. */
  constructor(socket: Socket, model: Model) {
    this.socket = socket;
    this.#model = model;
    this.#observation = observe(socket, this);
    this.#local = this.#observation.local();
    const simulated = socket.driver === "sim";
    const label = String(this.#local);
    this.#id = model.addSource({ kind: "socket", label, simulated, sends: true }).id;
    const { droppedKernel = 0, droppedQueue } = socket.stats();
    this.#losses = new SourceLosses(this.#id, model, { receiveBuffer: droppedKernel, queue: droppedQueue });
    socket.on("pathMtu", this.#onPathMtu);
    subscribe(warningChannel, this.#onWarning);
  }

  readonly send = (data: Buffer, to: Address): Promise<number> => this.socket.sendto(data, to);

  readonly resolve = (host: string): Promise<Address> => resolveName(this.socket, host);

  report(nowMs: number): void {
    if (!this.socket.closed) this.#local = this.#observation.local();
    const { droppedKernel = 0, droppedQueue, receiveBuffer } = this.socket.stats();
    const atLeast = dropCountIsMinimum(this.socket.capabilities);
    this.#losses.dropped("receiveBuffer", droppedKernel, atLeast, nowMs, receiveBuffer?.advice);
    this.#losses.dropped("queue", droppedQueue, false, nowMs);
    this.#losses.report(nowMs);
  }

  close(): void {
    this.#observation.end();
    this.socket.off("pathMtu", this.#onPathMtu);
    unsubscribe(warningChannel, this.#onWarning);
  }

  received({ data, source, segment, metadata }: Run): void {
    this.#model.arrived(
      this.#id,
      data,
      segment,
      {
        from: source,
        to: metadata?.destination ?? this.#local,
        timestamp: metadata?.timestamp ?? this.socket.clock.wall(),
        lostBefore: metadata?.lostBefore ?? 0,
      },
      Date.now(),
    );
  }

  sent(payload: Buffer, destination: Endpoint): void {
    const timestamp = this.socket.clock.wall();
    const arrival = { from: this.#local, to: destination, timestamp, lostBefore: 0 };
    this.#model.sent(this.#id, payload, arrival, Date.now());
  }

  truncated(datagram: Datagram): void {
    this.#losses.truncated(datagram, Date.now());
  }

  unreachable(report: Unreachable): void {
    this.#losses.unreachable(report, Date.now());
  }

  readonly #onPathMtu = (last: PathMtuChange): void => this.#losses.narrowed(last);

  readonly #onWarning = (published: unknown): void => {
    const { socket, message } = published as { socket: unknown; message: Warning };
    if (socket === this.socket) this.#losses.warned(message.message);
  };
}
