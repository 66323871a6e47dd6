import type { Buffer } from "node:buffer";

import type { Endpoint } from "../core/address/address.js";
import { dropCountIsMinimum } from "../core/capabilities.js";
import { type Datagram, SOCK_DGRAM, SOL_SOCKET, SO_REUSEPORT, type Socket, socket } from "../index.js";
import { count } from "../core/ledger/count-text.js";
import {
  type ListenAddress,
  type ListenTarget,
  type ListenTargetOptions,
  bindAndJoin,
  listenTarget,
} from "./listen-target.js";
import { Replies } from "./replies.js";
import { openReplySocket } from "./reply-socket.js";
import type { RouteOptions } from "./route-options.js";
import { applyOptions } from "./sender-sockets.js";
import { notice } from "./terminal.js";

/** The options of an address that `datagram listen` listens on. */
export interface ListenerOptions extends RouteOptions {
  readonly echo?: boolean;
  readonly reply?: string;
  readonly recvfrom?: number;
  /** Bytes of the receive buffer. */
  readonly buffer?: number;
  /** Whether other sockets with this option may have the same port: the kernel shares the datagrams among them. */
  readonly reusePort?: boolean;
}

/** A datagram, the part of its payload that `--recvfrom` keeps, and its source as text. */
export interface Received {
  readonly datagram: Datagram;
  readonly data: Buffer;
  readonly from: string;
}

/** One address of `datagram listen`: its sockets and its counts. */
export class Listener {
  readonly target: ListenTarget;
  readonly socket: Socket;
  /** The socket that sends the answers. */
  readonly answering: Socket;
  /** The address that the socket is bound to. */
  readonly address: Endpoint;
  datagrams = 0;
  bytes = 0;
  /** Datagrams that were read after the last one that was wanted. */
  unread = 0;
  readonly #recvfrom: number | undefined;
  readonly #replies: Replies | undefined;
  #cut = 0;

  /** Binds a socket to an address, and joins the groups of the address and of the options. */
  static async open(
    address: ListenAddress,
    options: ListenerOptions & ListenTargetOptions,
  ): Promise<Listener> {
    const target = await listenTarget(address, options);
    const s = socket(target.at.family, SOCK_DGRAM, { receiveBuffer: options.buffer });
    let answering: Socket | undefined;
    try {
      applyOptions(s, options);
      if (options.reusePort) s.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
      const replySocket = await openReplySocket(s, options);
      answering = replySocket.socket;
      await bindAndJoin(s, target);
      const template = options.echo ? "{}" : options.reply;
      const replies = template === undefined ? undefined : new Replies(s, replySocket, template);
      return new Listener(target, s, answering, replies, options.recvfrom);
    } catch (error) {
      await answering?.close();
      await s.close();
      throw error;
    }
  }

  private constructor(
    target: ListenTarget,
    s: Socket,
    answering: Socket,
    replies: Replies | undefined,
    recvfrom: number | undefined,
  ) {
    this.target = target;
    this.socket = s;
    this.answering = answering;
    this.address = s.getsockname();
    this.#replies = replies;
    this.#recvfrom = recvfrom;
  }

  /** Counts datagrams, cuts them as `--recvfrom` asks, and answers them. */
  async receive(datagrams: readonly Datagram[]): Promise<Received[]> {
    const received = datagrams.map((datagram) => this.#receive(datagram));
    await this.#replies?.send(received);
    return received;
  }

  /** Closes the receiving socket, and prints what was lost and answered. */
  async end(): Promise<void> {
    const { droppedQueue } = this.socket.stats();
    await this.socket.close();
    const stats = this.socket.stats();
    if (this.#recvfrom !== undefined) notice(`  cut by --recvfrom: ${this.#cut}`);
    notice(`  dropped by the kernel: ${this.#droppedByKernel(stats.droppedKernel)}`);
    if (stats.droppedKernel) notice("    merged datagrams count as one: with DATAGRAM_GRO=off each counts");
    const { askedBytes = 0, givenBytes = 0, advice } = stats.receiveBuffer ?? {};
    if (givenBytes < askedBytes) {
      const more = advice === undefined ? "" : `: ${advice}`;
      notice(`  the receive buffer has ${givenBytes} of ${askedBytes} bytes asked for${more}`);
    }
    notice(`  dropped by this process: ${droppedQueue}`);
    notice(`  unread at the end: ${stats.droppedQueue - droppedQueue + this.unread}`);
    this.#replies?.summary();
  }

  /** `3 datagrams, 9 bytes`. */
  traffic(): string {
    return `${count(this.datagrams, "datagram")}, ${count(this.bytes, "byte")}`;
  }

  /** Closes the sockets. */
  async close(): Promise<void> {
    await Promise.all([this.socket.close(), this.answering.close()]);
  }

  #receive(datagram: Datagram): Received {
    const { data, source, size } = datagram;
    const most = this.#recvfrom ?? Infinity;
    this.datagrams++;
    this.bytes += size;
    if (size > most) this.#cut++;
    return { datagram, data: data.length > most ? data.subarray(0, most) : data, from: String(source) };
  }

  #droppedByKernel(dropped: number | undefined): string {
    const { capabilities } = this.socket;
    if (dropped !== undefined)
      return dropped > 0 && dropCountIsMinimum(capabilities) ? `${dropped} at least` : String(dropped);
    const { kernelDropCount } = capabilities;
    return kernelDropCount.available ? "unknown" : `unknown, ${kernelDropCount.reason}`;
  }
}
