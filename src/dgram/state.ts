/** The life of one socket: what it is bound and connected to, and what waits until it is. */

import { AsyncResource } from "node:async_hooks";
import { EventEmitter } from "node:events";
import { nextTick } from "node:process";

import { type Family, anyAddress } from "../core/address/address.js";
import { AF_INET } from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import { closeThen, connectNow, resolveName } from "../core/socket/callbacks.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import type { HandleSocket, NodeHandle, SharedRequest } from "../kernel/node-handles.js";
import { type SendArguments, isLiteral } from "./arguments.js";
import { MessageReader } from "./deliveries.js";
import { addressError, callError, codeFor, lookupError, wrong } from "./errors.js";
import { Opening, literalOf } from "./opening.js";
import { Outgoing, isBlocked } from "./outgoing.js";
import type { LookupCallback, RealHost, SocketOptions } from "./types.js";

/** How the program looks up a host, if it does. */
type Lookup = (host: string, family: 4 | 6, callback: LookupCallback) => void;

/** The state of a socket of this module. The core's socket is opened when it is bound, as in `node:dgram`. */
export class SocketState {
  readonly family: Family;
  /** The core's socket; `undefined` until the socket is bound. */
  core: CoreSocket | undefined;
  bound: "no" | "binding" | "yes" = "no";
  connected: "no" | "connecting" | "yes" = "no";
  isClosed = false;
  readonly #opening: Opening;
  readonly #outgoing: Outgoing;
  readonly #emitter: EventEmitter;
  readonly #options: Partial<SocketOptions>;
  /** The async context of `createSocket`, for the events that no call of the program causes. */
  readonly #scope = new AsyncResource("UDPWRAP");
  readonly #unwatch: (() => void) | undefined;
  /** Calls that wait until the socket is bound. */
  #queue: (() => void)[] | undefined;
  #reader: MessageReader | undefined;
  #referenced = true;
  /** Closes the handle of Node below the core's socket, if there is one. */
  #release: (() => void) | undefined;

  constructor(host: RealHost, emitter: EventEmitter, family: Family, options: Partial<SocketOptions>) {
    this.#emitter = emitter;
    this.family = family;
    this.#options = options;
    this.#opening = new Opening(host, family, options);
    this.#outgoing = new Outgoing(emitter, this.#scope, family, options);
    const { signal } = options;
    if (!signal) return;
    const abort = (): void => {
      if (!this.isClosed) this.close();
    };
    if (signal.aborted) nextTick(abort);
    else {
      signal.addEventListener("abort", abort, { once: true });
      this.#unwatch = () => signal.removeEventListener("abort", abort);
    }
  }

  /** @throws `ERR_SOCKET_DGRAM_NOT_RUNNING` after `close()`. */
  assertOpen(): void {
    if (this.isClosed) throw wrong.notRunning();
  }

  /** The core's socket. @throws `EBADF` if the socket is not bound; `ERR_SOCKET_DGRAM_NOT_RUNNING`. */
  opened(syscall: string): CoreSocket {
    this.assertOpen();
    if (!this.core) throw callError("EBADF", syscall);
    return this.core;
  }

  /**
   * Binds in a later tick, or at once if the program's `lookup` answers at once.
   *
   * @param exclusive a worker of `node:cluster` does not share the port.
   */
  bind(host: string, port: number, exclusive: boolean): void {
    this.bound = "binding";
    this.#lookup(host, (error, ip) => {
      if (this.isClosed) return;
      const failed = (reason: unknown): void => this.#bindFailed(addressError(reason, "bind", ip, port));
      const isAlone = exclusive || this.#options.reusePort === true;
      if (error) this.#bindFailed(error);
      else if (isAlone || !this.#share({ host: ip, port }, failed)) this.#bindTo(ip, port, failed);
    });
  }

  /** Binds to a literal during this call. Emits "listening" in the next tick. @throws the error of the bind. */
  bindSync(host: string, port: number): void {
    this.bound = "binding";
    try {
      const later = this.#begin(host, port);
      if (later) throw notNow(later, "bind");
    } catch (error) {
      this.#forget();
      throw addressError(error, "bind", host, port);
    }
    this.#bound();
    nextTick(() => this.#emitter.emit("listening"));
  }

  /**
   * Adopts a descriptor: of the primary process in a worker of `node:cluster`, unless it is `exclusive`.
   *
   * @throws `TypeError` `ERR_INVALID_FD_TYPE`.
   */
  bindDescriptor(fd: number, exclusive: boolean): void {
    this.bound = "binding";
    const failed = (reason: unknown): void => this.#bindFailed(callError(codeFor(reason), "open", reason));
    if (!exclusive && this.#share({ fd }, failed)) return;
    try {
      this.core = this.#opening.open(fd);
    } catch (error) {
      this.#forget();
      throw wrong.fdType(error);
    }
    this.#bound();
    this.#emitter.emit("listening");
  }

  /** Whether `bindHandle` works: a host that the program gave has no handles of Node. */
  get takesHandles(): boolean {
    return this.#opening.takesHandles;
  }

  /** Uses a handle of Node, which must be open and bound. */
  bindHandle(handle: NodeHandle): void {
    this.#useHandle(this.#opening.adopt(handle, () => this.#closeAsked()));
  }

  /** The core's socket, bound to any port if it was not bound: a membership needs a socket. `bind` fails after this. */
  boundForMembership(syscall: string): CoreSocket {
    this.assertOpen();
    if (this.core) return this.core;
    try {
      const later = this.#begin(anyAddress(this.family).host, 0);
      if (later) throw notNow(later, syscall);
    } catch (error) {
      this.#forget();
      throw addressError(error, syscall, undefined, undefined);
    }
    return this.core as unknown as CoreSocket;
  }

  connect(host: string, port: number, callback: (() => void) | undefined): void {
    if (callback) this.#emitter.once("connect", callback);
    this.#lookup(host, (error, ip) => {
      if (this.isClosed) return;
      const failed = (reason: unknown): void => {
        this.connected = "no";
        const error = lookupError(reason, host) ?? ownError(reason, "connect", host, port);
        nextTick(() => {
          if (!callback) {
            this.#emitter.emit("error", error);
            return;
          }
          this.#emitter.removeListener("connect", callback);
          (callback as (error: Error) => void)(error);
        });
      };
      if (error) {
        failed(error);
        return;
      }
      try {
        const later = this.#connectTo(ip, port);
        if (later) later.then(() => this.#connected(), failed);
        else this.#connected();
      } catch (reason) {
        failed(reason);
      }
    });
  }

  /** Connects to a literal during this call. Emits "connect" in the next tick. @throws the error of the connect. */
  connectSync(host: string, port: number): void {
    this.connected = "connecting";
    try {
      const later = this.#connectTo(host, port);
      if (later) throw notNow(later, "connect");
    } catch (error) {
      this.connected = "no";
      throw ownError(error, "connect", host, port);
    }
    this.#connected();
  }

  disconnect(): void {
    this.connected = "no";
    const failed = (reason: unknown): void => {
      if (!this.isClosed) this.#emitter.emit("error", addressError(reason, "connect", undefined, undefined));
    };
    try {
      connectNow(this.opened("connect"), null)?.catch((error: unknown) => nextTick(failed, error));
    } catch (error) {
      throw addressError(error, "connect", undefined, undefined);
    }
  }

  send(given: SendArguments): void {
    const core = this.core as CoreSocket;
    const host = given.address ?? this.loopback;
    if (given.port === 0 || !this.#options.lookup) {
      this.#outgoing.send(core, given, host);
      return;
    }
    // The program may change its buffer before the lookup ends.
    const copy = { ...given, payload: Uint8Array.from(given.payload) };
    this.#lookup(host, (error, ip) => {
      if (error) this.#outgoing.refuse(error, given.callback);
      else if (!this.isClosed) this.#outgoing.send(core, copy, ip);
    });
  }

  /** Runs `call` when the socket is bound. Forgets it if the bind fails. */
  whenBound(call: () => void): void {
    if (this.#queue) {
      this.#queue.push(call);
      return;
    }
    this.#queue = [call];
    const done = (): void => {
      this.#emitter.removeListener(EventEmitter.errorMonitor, failed);
      const queue = this.#queue ?? [];
      this.#queue = undefined;
      for (const each of queue) each();
    };
    const failed = (): void => {
      this.#emitter.removeListener("listening", done);
      this.#queue = undefined;
    };
    this.#emitter.once(EventEmitter.errorMonitor, failed);
    this.#emitter.once("listening", done);
  }

  close(): void {
    if (this.#queue) {
      this.#queue.push(() => this.close());
      return;
    }
    this.assertOpen();
    this.isClosed = true;
    this.#unwatch?.();
    this.#reader?.end();
    const emit = AsyncResource.bind(() => void this.#emitter.emit("close"));
    const closed = (): void => {
      this.#release?.();
      nextTick(emit);
    };
    if (this.core) closeThen(this.core, closed, this.#options.dropOnClose === true);
    else closed();
  }

  setReferenced(on: boolean): void {
    this.#referenced = on;
    if (on) this.core?.ref();
    else this.core?.unref();
  }

  /** The host of a send or connect without an address. */
  get loopback(): string {
    return this.family === AF_INET ? "127.0.0.1" : "::1";
  }

  /** Looks up a host with the program's function, else in the core. Answers in a tick, unless the program's answers at once. */
  #lookup(host: string, callback: (error: unknown, ip: string) => void): void {
    const lookup = this.#options.lookup as unknown as Lookup | undefined;
    if (lookup) {
      lookup(host, this.family === AF_INET ? 4 : 6, (error, address) =>
        callback(error ?? undefined, address),
      );
      return;
    }
    if (isLiteral(host)) {
      nextTick(callback, undefined, host);
      return;
    }
    try {
      resolveName((this.core ??= this.#opening.open()), host).then(
        (found) => nextTick(callback, undefined, found.host),
        (error: unknown) => nextTick(callback, lookupError(error, host) ?? error, host),
      );
    } catch (error) {
      nextTick(callback, error, host);
    }
  }

  /** Asks for a socket that the workers of `node:cluster` share. @returns `false` if this is not a worker. */
  #share(at: SharedRequest["at"], failed: (reason: unknown) => void): boolean {
    const asks = { owner: this.#emitter, disconnected: () => this.#closeAsked() };
    return this.#opening.share(at, asks, (error, opened) => {
      if (opened && !this.isClosed) this.#useHandle(opened);
      else if (opened) closeThen(opened.socket, () => opened.release(), true);
      else if (!this.isClosed) failed(error);
    });
  }

  /** Takes a bound socket over a handle of Node, in place of the socket that a lookup or a membership has opened. */
  #useHandle({ socket, release }: HandleSocket): void {
    void this.core?.close();
    this.core = socket;
    this.#release = release;
    this.#bound();
    this.#emitter.emit("listening");
  }

  #closeAsked(): void {
    if (!this.isClosed) this.close();
  }

  #bindTo(ip: string, port: number, failed: (reason: unknown) => void): void {
    let later: Promise<void> | undefined;
    try {
      later = this.#begin(ip, port);
    } catch (error) {
      failed(error);
      return;
    }
    const listening = (): void => {
      if (this.isClosed) return;
      this.#bound();
      this.#emitter.emit("listening");
    };
    if (later)
      later.then(
        () => nextTick(listening),
        (error: unknown) => nextTick(failed, error),
      );
    else listening();
  }

  /** Opens the core's socket and binds it. */
  #begin(ip: string, port: number): Promise<void> | undefined {
    // A membership has bound the socket already.
    if (this.core && this.core.getsockname().port !== 0) throw new OSError("EINVAL", { syscall: "bind" });
    return this.#opening.bind((this.core ??= this.#opening.open()), ip, port);
  }

  #bound(): void {
    this.bound = "yes";
    const core = this.core as CoreSocket;
    if (!this.#referenced) core.unref();
    this.#reader = new MessageReader(core, this.#scope, {
      hears: ({ address }) => !isBlocked(this.#options.receiveBlockList, address),
      message: (data, info) => this.#emitter.emit("message", data, info),
      failed: (error) => this.#emitter.emit("error", error),
    });
  }

  #bindFailed(error: unknown): void {
    this.#forget();
    this.#emitter.emit("error", error);
  }

  /** Closes the core's socket, so that another bind begins with a new one. */
  #forget(): void {
    this.bound = "no";
    const core = this.core;
    // The membership that bound a socket stays.
    if (core?.getsockname().port !== 0) return;
    this.core = undefined;
    void core.close();
  }

  #connectTo(ip: string, port: number): Promise<void> | undefined {
    const { sendBlockList } = this.#options;
    if (isBlocked(sendBlockList, ip)) throw wrong.blocked(ip);
    return connectNow(this.opened("connect"), literalOf(this.family, ip, port));
  }

  #connected(): void {
    if (this.isClosed) return;
    this.connected = "yes";
    nextTick(() => this.#emitter.emit("connect"));
  }
}

/** An error of this module as it is; any other one in the form of Node. */
function ownError(reason: unknown, syscall: string, host: string, port: number): Error {
  const own = reason instanceof Error && !(reason instanceof OSError) && "code" in reason;
  return own ? reason : addressError(reason, syscall, host, port);
}

/** The error of a call that must be done at once, on a driver that must wait. */
function notNow(later: Promise<void>, syscall: string): OSError {
  later.catch(() => undefined);
  return new OSError("ENOTSUP", {
    syscall,
    text: "this driver cannot do it at once, or knows only later why it failed",
  });
}
