import type { Buffer } from "node:buffer";
import type dgram from "node:dgram";

import { type Endpoint, type Family, anyAddress } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { AF_INET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import { realClock } from "../clock.js";
import { checkBindScope, hostFor } from "../interfaces.js";
import { claimDescriptor, lentHandle, releaseDescriptor } from "./adoption.js";
import { toOSError } from "./errors.js";
import { createSocket } from "./original.js";
import { DgramOptions } from "./options.js";

/** What a socket of `node:dgram` reports. */
export interface DgramListener {
  arrived(data: Buffer, host: string, port: number): void;
  failed(error: Error): void;
}

/**
 * The socket of `node:dgram` of one driver. It is opened at its first use, because `node:dgram` sets most options only on a
 * bound socket. Another one takes its place if the peer is dissolved (`Association`).
 */
export class DgramSocket {
  readonly family: Family;
  readonly options: DgramOptions;
  /** The descriptor of a socket that was opened and bound elsewhere. */
  readonly fd: number | undefined;
  readonly #listener: DgramListener;
  #current: dgram.Socket | undefined;
  #boundTo: Endpoint;
  #closed = false;
  /** Node waits for the close of a lent handle, and is told. */
  #onClosed: (() => void) | undefined;

  constructor(family: Family, fd: number | undefined, listener: DgramListener) {
    this.family = family;
    this.options = new DgramOptions(family);
    this.fd = fd;
    this.#listener = listener;
    this.#boundTo = anyAddress(family);
    if (fd === undefined) return;
    claimDescriptor(fd, family);
    try {
      this.#current = this.#adopt(fd);
      this.#boundTo = this.local();
    } catch (error) {
      releaseDescriptor(fd);
      throw toOSError(error, "socket");
    }
  }

  /** The open socket; `undefined` before the first use and after `close()`. */
  get current(): dgram.Socket | undefined {
    return this.#current;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The address of the last `bind`; any address and port 0 without one. */
  get boundTo(): Endpoint {
    return this.#boundTo;
  }

  /** Binds the socket. Returns a promise only on a runtime that does not bind at once. */
  bind(at: Endpoint): Promise<void> | undefined {
    if (this.#current) throw new OSError("EINVAL", { syscall: "bind", address: at.host, port: at.port });
    const opening = this.#open(at);
    const bound = (socket: dgram.Socket): void => {
      this.#current = socket;
      this.#boundTo = at;
    };
    if (opening instanceof Promise) return opening.then(bound);
    bound(opening);
    return undefined;
  }

  /** The open socket. If none is open, one is bound to any address first. Only one call may wait at a time. */
  async use(): Promise<dgram.Socket> {
    return (this.#current ??= await this.open(anyAddress(this.family)));
  }

  local(): Endpoint {
    if (!this.#current) return anyAddress(this.family);
    const { address, port } = this.#current.address();
    return sharedAddress(address, port) as Endpoint;
  }

  /** Opens another socket, bound to `at`. */
  async open(at: Endpoint): Promise<dgram.Socket> {
    return this.#open(at);
  }

  /**
   * Replaces the open socket. The old one is closed a turn later, because it may have received datagrams that nobody read
   * yet.
   */
  replace(fresh: dgram.Socket): void {
    const old = this.#current;
    this.#current = fresh;
    realClock.turn(() => closeSocket(old));
  }

  /** Closes the open socket, then opens another one, bound to `at`: for a port that the two cannot share. */
  async reopen(at: Endpoint): Promise<void> {
    closeSocket(this.#current);
    this.#current = undefined;
    this.#current = await this.open(at);
  }

  close(): void {
    this.#closed = true;
    closeSocket(this.#current, this.#onClosed);
    this.#current = undefined;
    if (this.fd !== undefined) releaseDescriptor(this.fd);
  }

  /**
   * Opens another socket, bound to `at`. Node and Deno bind at once, because no address here needs the resolver. Bun opens the
   * descriptor a turn later, and refuses options until then.
   */
  #open(at: Endpoint): dgram.Socket | Promise<dgram.Socket> {
    this.#assertOpen(at);
    const host = hostFor(at, "bind");
    checkBindScope(at);
    const socket = this.#create();
    let settled: { readonly error?: Error } | undefined;
    let later: (() => void) | undefined;
    const settle = (error?: Error): void => {
      settled = error ? { error } : {};
      later?.();
    };
    const finish = (): dgram.Socket => {
      try {
        if (settled?.error) throw settled.error;
        this.#assertOpen(at);
      } catch (error) {
        socket.removeAllListeners().close();
        throw toOSError(error, "bind", at);
      }
      return this.#begin(socket);
    };
    socket.once("listening", settle).once("error", settle);
    try {
      socket.bind({ address: host, port: at.port, exclusive: true });
    } catch (error) {
      settle(error as Error);
    }
    if (settled) return finish();
    return new Promise<void>((resolve) => (later = resolve)).then(finish);
  }

  #assertOpen(at: Endpoint): void {
    if (this.#closed) throw new OSError("EBADF", { syscall: "bind", address: at.host, port: at.port });
  }

  #create(): dgram.Socket {
    return createSocket({
      type: this.family === AF_INET ? "udp4" : "udp6",
      lookup: (host, _options, done) => done(null, host, this.family === AF_INET ? 4 : 6),
      ...this.options.atOpening,
    });
  }

  /** Makes a socket of a descriptor. It is open when this returns. */
  #adopt(fd: number): dgram.Socket {
    const socket = this.#create();
    let failed: Error | undefined;
    socket.on("error", (error) => (failed = error));
    const lent = lentHandle(fd);
    // `bind` of a handle is not documented. It is how Node itself makes a socket of a handle from another process.
    socket.bind((lent?.handle ?? { fd, exclusive: true }) as dgram.BindOptions);
    if (failed) {
      socket.close();
      throw failed;
    }
    this.#begin(socket);
    // `disconnect()` of a worker closes Node's socket. The layers above must close it.
    if (lent)
      socket.close = (done) => {
        this.#onClosed = done;
        lent.closeAsked();
        return socket;
      };
    return socket;
  }

  /** Sets the options on a socket that has just been bound, and listens to it. */
  #begin(socket: dgram.Socket): dgram.Socket {
    socket.unref();
    const listener = this.#listener;
    socket.removeAllListeners();
    socket.on("error", (error) => listener.failed(error));
    socket.on("message", (data, { address, port }) => listener.arrived(data, address, port));
    try {
      this.options.replay(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
    return socket;
  }
}

function closeSocket(socket: dgram.Socket | undefined, done?: () => void): void {
  if (!socket) return;
  // The socket of a lent handle has a method of its own, which is for Node.
  Reflect.deleteProperty(socket, "close");
  socket.removeAllListeners().close(done);
}
