import type { Buffer } from "node:buffer";
import dgram from "node:dgram";

import { type Endpoint, type Family, anyAddress } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/cache.js";
import { AF_INET, AF_INET6 } from "../../core/constants.js";
import type { Capabilities } from "../../core/capabilities.js";
import type { Closing, Driver, DriverEvents, Sink } from "../../core/driver/driver.js";
import { OSError } from "../../core/errors/errors.js";
import type { Membership } from "../../core/driver/membership.js";
import type { Option, OptionValue } from "../../core/driver/options.js";
import type { Outbound } from "../../core/driver/outbound.js";
import { failure } from "../../core/send/failure.js";
import { type DriverCounts, noCounts } from "../../core/ledger/ledger.js";
import { realClock } from "../clock.js";
import { bufferSize } from "../buffers.js";
import { cannotReturn, goneText, hearsFormerPeer } from "../local-address.js";
import { checkBindScope, destinationFor, hostFor } from "../interfaces.js";
import { claimDescriptor, releaseDescriptor } from "./adoption.js";
import { codeOfError, toOSError } from "./errors.js";
import { DgramOptions } from "./options.js";

/** Bytes of payload that may lie unread in this process: what the native driver asks of the kernel. */
const queueBytes = 4 << 20;
/** Bytes that an unread datagram costs beside its payload, about. */
const overheadBytes = 256;
/** Datagrams that one receive hands over at most. */
const receiveBatch = 64;
/** Places at the front of the queue that may stay empty before it is made shorter. */
const compactAfter = 1024;
/** Turns of the loop in which the rest of a socket's receive buffer is read: Node reads 32 datagrams in each. */
const mostTurns = 512;
/** The longest interval of a timer, in milliseconds. */
const everMs = 0x7fff_ffff;

/** A datagram that Node handed over and nobody has read yet. */
interface Unread {
  readonly data: Buffer;
  readonly source: Endpoint;
}

/**
 * A socket of `node:dgram`. That one pushes, so this one queues; it binds late, so this one is opened at its first
 * use and options are replayed; and it has no way to reconnect that keeps the port, so this one opens it again.
 */
export class DgramDriver implements Driver {
  readonly batches = false;
  readonly capabilities: Capabilities;
  readonly #family: Family;
  readonly #events: DriverEvents;
  readonly #options: DgramOptions;
  #socket: dgram.Socket | undefined;
  #boundTo: Endpoint;
  /** The connected peer as the kernel has it, and as it was given. */
  #peer: Endpoint | null = null;
  #peerGiven: Endpoint | null = null;
  /** The peer of an IPv6 socket that is not connected any more, where the kernel keeps its address (`#replace`). */
  #former: Endpoint | null = null;
  /** What lies unread, from `#first` to `#end`. */
  readonly #queue: (Unread | undefined)[] = [];
  #first = 0;
  #end = 0;
  #queuedBytes = 0;
  #drained = true;
  #news: OSError | undefined;
  #batch: Outbound | undefined;
  #next = 0;
  #keeper: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #fd: number | undefined;

  /** @param fd the descriptor of a socket that another has opened and bound. */
  constructor(capabilities: Capabilities, family: Family, fd: number | undefined, events: DriverEvents) {
    this.capabilities = capabilities;
    this.#family = family;
    this.#events = events;
    this.#options = new DgramOptions(family);
    this.#boundTo = anyAddress(family);
    this.#fd = fd;
    if (fd === undefined) return;
    claimDescriptor(fd, family);
    try {
      this.#socket = this.#make((socket) => socket.bind({ fd, exclusive: true }));
      this.#boundTo = this.local();
    } catch (error) {
      releaseDescriptor(fd);
      throw toOSError(error, "socket");
    }
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws must be a rejection
  async bind(at: Endpoint): Promise<void> {
    if (this.#socket) {
      throw new OSError("EINVAL", { syscall: "bind", address: at.host, port: at.port });
    }
    this.#socket = this.#open(at);
    this.#boundTo = at;
  }

  async connect(to: Endpoint | null): Promise<void> {
    if (!to && !this.#socket) return;
    this.#socket ??= this.#open(anyAddress(this.#family));
    const former = this.#peer ?? this.#former;
    if (former && (this.#peer || !to)) {
      await this.#readRest(this.#socket, !to && this.#family === AF_INET6 ? mostTurns : 1);
      try {
        this.#disconnect(former, to);
      } catch (error) {
        throw cannotReturn(error, this.#boundTo, to);
      }
    }
    if (to) await this.#connect(this.#socket, to);
  }

  local(): Endpoint {
    if (!this.#socket) return anyAddress(this.#family);
    const { address, port } = this.#socket.address();
    return sharedAddress(address, port) as Endpoint;
  }

  remote(): Endpoint {
    if (!this.#socket || !this.#peer) throw new OSError("ENOTCONN", { syscall: "getpeername" });
    const { address, port } = this.#socket.remoteAddress();
    return sharedAddress(address, port) as Endpoint;
  }

  setOption(option: Option, value: OptionValue): void {
    this.#options.set(option, value, this.#socket);
  }

  getOption(option: Option): OptionValue {
    return this.#options.get(option, this.#socket);
  }

  setBytes(level: number, option: number): void {
    throw noNumbers("setsockopt", level, option);
  }

  getBytes(level: number, option: number): Buffer {
    throw noNumbers("getsockopt", level, option);
  }

  membership(change: Membership): void {
    this.#options.membership(change, this.#socket);
  }

  receive(sink: Sink): boolean {
    const news = this.#news;
    if (news) {
      // As the kernel does: an error that waits comes before the datagrams that wait.
      this.#news = undefined;
      throw news;
    }
    let count = 0;
    while (count < receiveBatch && this.#first < this.#end) {
      const { data, source } = this.#queue[this.#first] as Unread;
      this.#queue[this.#first++] = undefined;
      this.#queuedBytes -= data.length + overheadBytes;
      sink.push(data, source, 0);
      count++;
    }
    if (this.#first === this.#end) this.#first = this.#end = 0;
    else if (this.#first >= compactAfter) {
      this.#queue.splice(0, this.#first);
      this.#end -= this.#first;
      this.#first = 0;
    }
    this.#drained = count < receiveBatch;
    return !this.#drained;
  }

  wantReadable(): void {
    // `node:dgram` reads all the time and cannot be asked to stop.
  }

  send(batch: Outbound): number {
    if (batch === this.#batch) return 0;
    let socket: dgram.Socket;
    try {
      socket = this.#socket ??= this.#open(anyAddress(this.#family));
    } catch (error) {
      const reason = toOSError(error, "sendto");
      for (let index = 0; index < batch.count; index++) batch.fail(index, reason);
      return batch.count;
    }
    this.#batch = batch;
    if (this.#news) {
      // As the kernel does: what waited is the error of the next call, which sends nothing.
      batch.fail(0, failure(this.#news.code, batch.peer(0), this.#peer));
      this.#news = undefined;
    }
    for (let index = 0; index < batch.count; index++) {
      const payload = batch.view(index);
      const to = batch.peer(index);
      if (batch.failed(index)) continue;
      if (batch.ancillary(index)) {
        const text = "the dgram driver sends as the socket's options say: the native driver can do otherwise";
        batch.fail(index, failure("ENOTSUP", to, this.#peer, { text }));
        continue;
      }
      try {
        const host = this.#host(to);
        if (host === undefined) socket.send(payload, this.#sent);
        else socket.send(payload, to?.port, host, this.#sent);
      } catch (error) {
        batch.fail(index, this.#sendError(error, to));
      }
    }
    return this.#settleRefused(batch);
  }

  counts(): DriverCounts {
    if (!this.#socket) return noCounts;
    const readBytes = this.#socket.getRecvBufferSize();
    return { ...noCounts, receiveBuffer: bufferSize("receive", this.#options.askedBytes, readBytes) };
  }

  keepAlive(on: boolean): void {
    // Node's own `ref` works only once the handle reads: a waiting call on an unbound socket needs this.
    this.#keeper ??= setInterval(() => undefined, everMs).unref();
    if (on) this.#keeper.ref();
    else this.#keeper.unref();
  }

  pathMtu(to: Endpoint): undefined {
    hostFor(to, "pathMtu");
    return undefined;
  }

  close(): Closing {
    this.#closed = true;
    this.#batch = undefined;
    clearInterval(this.#keeper);
    this.#socket?.removeAllListeners().close();
    this.#socket = undefined;
    if (this.#fd !== undefined) releaseDescriptor(this.#fd);
    const datagrams = this.#end - this.#first;
    const unread = { datagrams, bytes: this.#queuedBytes - datagrams * overheadBytes };
    this.#queue.length = this.#first = this.#end = this.#queuedBytes = 0;
    return { unread, untold: [] };
  }

  /** Opens a socket of Node's, bound to `at`. It binds within the call, since no address here needs the resolver. */
  #open(at: Endpoint): dgram.Socket {
    if (this.#closed) throw new OSError("EBADF", { syscall: "bind", address: at.host, port: at.port });
    const host = hostFor(at, "bind");
    checkBindScope(at);
    const bind = (socket: dgram.Socket): void =>
      void socket.bind({ address: host, port: at.port, exclusive: true });
    return this.#make(bind, at);
  }

  /** A socket of Node's, once `bind` has given it an address; `at` is that, where an error is to tell it. */
  #make(bind: (socket: dgram.Socket) => void, at?: Endpoint): dgram.Socket {
    const socket = dgram.createSocket({
      type: this.#family === AF_INET ? "udp4" : "udp6",
      lookup: (host, _options, done) => done(null, host, this.#family === AF_INET ? 4 : 6),
      ...this.#options.atOpening,
    });
    let failed: Error | undefined;
    socket.on("error", (error) => (failed = error));
    bind(socket);
    if (failed) {
      socket.close();
      throw toOSError(failed, "bind", at);
    }
    socket.unref();
    socket.removeAllListeners("error");
    socket.on("error", (error) => this.#refused(error));
    socket.on("message", (data, { address, port }) => this.#arrived(data, address, port));
    try {
      this.#options.replay(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
    return socket;
  }

  #connect(socket: dgram.Socket, to: Endpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      socket.connect(to.port, destinationFor(to, "connect"), (error?: Error) => {
        if (error) {
          reject(toOSError(error, "connect", to));
          return;
        }
        const { address, port } = socket.remoteAddress();
        this.#peer = sharedAddress(address, port) as Endpoint;
        this.#peerGiven = to;
        this.#former = null;
        resolve();
      });
    });
  }

  /**
   * Reads what waits, for as long as a turn brings anything. At least one: Node hears of an ICMP error when it polls, and
   * later the error would be taken for the next peer's.
   */
  async #readRest(socket: dgram.Socket, most: number): Promise<void> {
    let arrived = true;
    const note = (): boolean => (arrived = true);
    socket.on("message", note);
    for (let turns = 0; arrived && turns < most; turns++) {
      arrived = false;
      await new Promise<void>((resolve) => realClock.turn(resolve));
    }
    socket.off("message", note);
  }

  /**
   * The kernel takes the port away from a socket that had not named it (`__udp_disconnect`, net/ipv4/udp.c), and
   * Node binds a socket once: so another one takes over the port.
   */
  #disconnect(former: Endpoint, to: Endpoint | null): void {
    const socket = this.#socket;
    if (!socket) throw new OSError("EBADF", { syscall: "connect", address: to?.host, port: to?.port });
    const { port } = socket.address();
    if (this.#peer) socket.disconnect();
    this.#peer = null;
    this.#news = undefined;
    const at = this.#boundTo.withPort(port) as Endpoint;
    if (socket.address().port !== port) this.#takeOver(socket, this.#open(at));
    else if (this.#family === AF_INET6) {
      this.#former = former;
      if (!to) this.#replace(socket, former, at);
    }
  }

  /**
   * Linux keeps the address of the peer of a dissolved IPv6 socket, which hears that host alone for as long as it is open
   * (`__udp_disconnect` leaves `sk_v6_daddr`): another one takes its place.
   */
  #replace(socket: dgram.Socket, former: Endpoint, at: Endpoint): void {
    if (this.#fd !== undefined) {
      this.#warn(former, "the descriptor is of the program that opened it");
      return;
    }
    try {
      this.#takeOver(socket, this.#open(at));
      return;
    } catch (error) {
      const { code, message } = toOSError(error, "bind", at);
      if (code !== "EADDRINUSE") {
        this.#warn(former, message);
        return;
      }
    }
    // What keeps the port is the old one, which shares it with nobody.
    socket.removeAllListeners().close();
    this.#socket = undefined;
    this.#socket = this.#open(at);
    this.#former = null;
  }

  /** The old one is closed a turn later: what it had received may not have been read yet. */
  #takeOver(old: dgram.Socket, fresh: dgram.Socket): void {
    this.#socket = fresh;
    this.#former = null;
    realClock.turn(() => old.removeAllListeners().close());
  }

  #warn(former: Endpoint, why: string): void {
    queueMicrotask(() => {
      if (!this.#closed) this.#events.warning(hearsFormerPeer(former, why));
    });
  }

  /** An error of Node's as that of a datagram to `to`, where `null` is the connected peer. */
  #sendError(error: unknown, to: Endpoint | null): OSError {
    if (error instanceof OSError) return error;
    const code = codeOfError(error);
    return failure(code, to, this.#peer, { text: goneText(code, this.local(), this.#boundTo) });
  }

  /** The host to send to; `undefined` for the connected peer. Throws where `node:dgram` would not send now. */
  #host(to: Endpoint | null): string | undefined {
    const destination = to ?? this.#peer;
    const lacked = destination && this.#options.lackedBy(destination);
    if (lacked) {
      const text = `node:dgram sets ${lacked} for IPv6 peers alone: the native driver sets it for IPv4 peers too`;
      throw failure("ENOTSUP", to, this.#peer, { text });
    }
    if (!this.#peer) {
      if (!to) throw new OSError("EDESTADDRREQ", { syscall: "send" });
      return this.#family === AF_INET ? to.host : destinationFor(to, "sendto");
    }
    // However it is written: `0.0.0.0` is this host.
    if (!to || to.equals(this.#peer) || this.#peerGiven?.equals(to) === true) return undefined;
    const text = "the dgram driver sends nowhere else while connected: the native driver does";
    throw failure("ENOTSUP", to, this.#peer, { text });
  }

  /** Node calls back in the order of the sends, since libuv sends in that order. */
  readonly #sent = (error: Error | null): void => {
    const batch = this.#batch;
    if (!batch) return;
    if (error) batch.fail(this.#next, this.#sendError(error, batch.peer(this.#next)));
    this.#next++;
    this.#events.settled(1 + this.#settleRefused(batch));
  };

  /** Passes over the datagrams at the front that Node was never given. Gives back how many. */
  #settleRefused(batch: Outbound): number {
    const before = this.#next;
    while (this.#next < batch.count && batch.failed(this.#next)) this.#next++;
    const count = this.#next - before;
    if (this.#next === batch.count) {
      this.#batch = undefined;
      this.#next = 0;
    }
    return count;
  }

  #refused(error: Error): void {
    this.#news = toOSError(error, "recvfrom", this.#peer ?? undefined);
    this.#tellReadable();
  }

  #arrived(data: Buffer, host: string, port: number): void {
    const cost = data.length + overheadBytes;
    if (this.#queuedBytes + cost > queueBytes) {
      const loss = { cause: "queue", datagrams: 1, bytes: data.length } as const;
      this.#events.ledger({ type: "dropped", loss });
      return;
    }
    this.#queuedBytes += cost;
    this.#queue[this.#end++] = { data, source: sharedAddress(host, port) as Endpoint };
    this.#tellReadable();
  }

  /**
   * Once for all that this pass of the loop reads. Later than Node's callback also because Node 20 aborts when a worker
   * is terminated while the program runs inside that callback.
   */
  #tellReadable(): void {
    if (!this.#drained) return;
    this.#drained = false;
    setImmediate(() => {
      if (this.#socket) this.#events.readable();
    });
  }
}

function noNumbers(syscall: string, level: number, option: number): OSError {
  const text = `the dgram driver cannot reach option ${option} at level ${level}: the native driver can`;
  return new OSError("ENOTSUP", { syscall, text });
}
