import type { Buffer } from "node:buffer";

import type { Endpoint, Loss, OSError, PathMtuChange, Socket, Unreachable } from "../index.js";
import { type Target, socketFor } from "./target.js";

/** What an upstream socket needs of its relay. */
export interface UpstreamHost {
  /** A socket was opened. Read it until it is closed. */
  opened(s: Socket): void;
  /** The socket is connected, so its local address is known. */
  connected(s: Socket): void;
  /** The socket is closing, and sends no more datagrams. */
  closing(s: Socket): void;
  /** Another socket has replaced this one. */
  replaced(s: Socket): void;
  /** An ICMP error says that a datagram did not arrive. */
  unreachable(report: Unreachable): void;
  /** The path to the target takes only smaller packets than before. */
  pathMtu(change: PathMtuChange): void;
  /** Datagrams of the target were lost before they were read. */
  lost(loss: Loss): void;
  /** A call failed. */
  failed(s: Socket, error: unknown): OSError;
}

/**
 * The socket of one client for one target. It is connected to the target, and again when the address of the target changes.
 */
export class Upstream {
  readonly target: Target;
  readonly #host: UpstreamHost;
  #at: Endpoint;
  #socket: Socket;
  #connected: Promise<boolean> | undefined;
  #closed = false;
  #local: Endpoint | undefined;

  /** @throws `OSError` `EMFILE`. */
  constructor(target: Target, host: UpstreamHost) {
    this.target = target;
    this.#host = host;
    this.#at = target.current;
    this.#socket = this.#open(this.#at);
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** The address that it sends to. */
  get at(): Endpoint {
    return this.#at;
  }

  /** The address that it sends from. It has a port once it is connected. */
  get local(): Endpoint {
    return (this.#local ??= this.#socket.getsockname());
  }

  /** Connects to the target. @returns a promise for the end of the lookup of a name; `undefined` for an IP address. */
  start(): Promise<void> | undefined {
    if (this.target.isName) return this.target.find().then((found) => this.move(found));
    void this.#connect();
    return undefined;
  }

  /** Connects to another address. */
  move(to: Endpoint): void {
    if (this.#closed) return;
    this.#at = to;
    if (to.family !== this.#socket.family) {
      const before = this.#socket;
      try {
        this.#socket = this.#open(to);
      } catch (error) {
        this.#host.failed(before, error);
        return;
      }
      this.#host.replaced(before);
      void this.#retire(before);
    }
    void this.#connect();
  }

  /** Sends payloads. @returns how many of them the kernel did not take. */
  async send(payloads: readonly Buffer[]): Promise<number> {
    // The last connect failed; a route may exist by now.
    if (!this.#connected && !(await this.#connect())) return payloads.length;
    const s = this.#socket;
    try {
      await s.sendMany(payloads);
      return 0;
    } catch (error) {
      const { code, sent = 0, index } = this.#host.failed(s, error);
      const unsent = payloads.length - sent;
      const payload = index === undefined ? undefined : payloads[index];
      if (unsent !== 1 || !payload || !(code in (s.stats().unreachable ?? {}))) return unsent;
      // The send failed with the ICMP error of an earlier datagram, so this datagram was not sent. It is sent now.
      return s.send(payload).then(
        () => 0,
        (again: unknown) => {
          this.#host.failed(s, again);
          return 1;
        },
      );
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#retire(this.#socket);
  }

  #open(to: Endpoint): Socket {
    const s = socketFor(to);
    s.on("unreachable", (report) => this.#host.unreachable(report));
    s.on("pathMtu", (change) => this.#host.pathMtu(change));
    s.on("dropped", (loss) => this.#host.lost(loss));
    this.#host.opened(s);
    return s;
  }

  #connect(): Promise<boolean> {
    const s = this.#socket;
    const connecting = s.connect(this.#at).then(
      () => {
        if (s.closed) return true;
        // At once: a report of an ICMP error may come after the socket is closed, and is about this address.
        this.#local = s.getsockname();
        this.#host.connected(s);
        return true;
      },
      (error: unknown) => {
        this.#host.failed(s, error);
        if (this.#connected === connecting) this.#connected = undefined;
        return false;
      },
    );
    this.#connected = connecting;
    return connecting;
  }

  #retire(s: Socket): Promise<void> {
    this.#host.closing(s);
    return s.close();
  }
}
