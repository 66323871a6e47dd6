import type { Buffer } from "node:buffer";

import type { Endpoint, OSError, Socket } from "../index.js";
import { type Target, socketFor } from "./target.js";

/** What an upstream socket is given. */
export interface UpstreamHost {
  /** A socket was opened, which is to be read until it is closed. */
  opened(s: Socket): void;
  /** It is connected: datagrams leave from there. */
  connected(s: Socket): void;
  /** A socket is closing: nothing leaves from there any more. */
  closing(s: Socket): void;
  /** A socket has given way to another one. */
  replaced(s: Socket): void;
  /** ICMP said that a datagram did not arrive. */
  unreachable(code: string): void;
  /** A call failed. */
  failed(s: Socket, error: unknown): OSError;
}

/** What stands for one client before one target: a socket that is connected to it, and follows it where it goes. */
export class Upstream {
  readonly target: Target;
  readonly #host: UpstreamHost;
  #at: Endpoint;
  #socket: Socket;
  #connected: Promise<boolean> | undefined;
  #closed = false;

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

  /** Where it sends to. */
  get at(): Endpoint {
    return this.#at;
  }

  /** Connects to where the target is now. @returns what settles when it is known where that is; `undefined` if it is known. */
  start(): Promise<void> | undefined {
    if (this.target.isName) return this.target.find().then((found) => this.move(found));
    void this.#connect();
    return undefined;
  }

  /** Sends to another address from now on. */
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

  /** @returns how many of them the kernel did not take. */
  async send(payloads: readonly Buffer[]): Promise<number> {
    // What could not be reached a while ago may be by now.
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
      // What ICMP said of a datagram before is the error of this one, which is not sent: it is sent now.
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
    s.on("unreachable", ({ code }) => this.#host.unreachable(code));
    this.#host.opened(s);
    return s;
  }

  #connect(): Promise<boolean> {
    const s = this.#socket;
    const connecting = s.connect(this.#at).then(
      () => {
        if (!s.closed) this.#host.connected(s);
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
