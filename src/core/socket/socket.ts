/**
 * The socket that programs use. A call checks its arguments (`arguments.ts`) and passes them to the `Engine` (`engine.ts`),
 * which connects a driver with the sender (`../send`) and the receiver (`../receive`). `Socket` has the calls that wait.
 * Its base class `SocketSettings` (`settings.ts`) has the calls that return at once. `receive-calls.ts`, `iteration.ts` and
 * `send-calls.ts` settle the promises of the calls. `opening.ts` opens sockets. `emitter.ts` adds the listeners, `events.ts` and
 * `taps.ts` call them.
 */

import type { Buffer } from "node:buffer";

import type { AddressLike, Endpoint, Family } from "../address/address.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { Stack } from "../driver/driver.js";
import type { Outbound } from "../driver/outbound.js";
import type { Data } from "../driver/payload.js";
import { wholeNumber, wrongType } from "../errors/errors.js";
import type { Traffic } from "../ledger/ledger.js";
import type { Datagram } from "../receive/datagram.js";
import type { Run } from "../receive/inbox.js";
import {
  type BatchOptions,
  type MessageOptions,
  type SocketOptions,
  type WaitOptions,
  addressFor,
  checkBatches,
  checkTimeout,
  destinationFor,
  unscopedIPv4,
} from "./arguments.js";
import { type OutgoingDatagram, checkAncillary } from "./outgoing-arguments.js";
import type { Engine } from "./engine.js";
import { Iteration, type SocketIterator } from "./iteration.js";
import { Pull, type PullListener } from "./pull.js";
import {
  type DatagramTaker,
  ReceiveCalls,
  receiveRuns,
  recv,
  recvMany,
  recvfrom,
  recvmsg,
} from "./receive-calls.js";
import { SendCalls } from "./send-calls.js";
import { SocketSettings, engineOf } from "./settings.js";

/**
 * Closes a socket as the end of a process does: iterations end, other receive calls that wait are left pending.
 * Returns what `close()` returns.
 */
export let abandon: (s: Socket) => Promise<void>;

/** Lets `taker` take datagrams before the receive calls get them. Returns a function that ends this. @throws `OSError` `EBADF`. */
export let intercept: (s: Socket, taker: DatagramTaker, syscall: string) => () => void;

/** As `connect`, for an address that needs no look-up. @returns a promise if something waits; else it is done, or throws. */
export let connectNow: (s: Socket, to: Endpoint | null) => Promise<void> | undefined;

/** The datagrams of a socket one by one, without promises. @throws `OSError` `EBUSY` while another iteration reads, `EBADF`. */
export let pull: (s: Socket, name: string, listener: PullListener) => Pull;

/**
 * Closes a socket as `close` does, and calls `done` when it is closed: during this call, if nothing waits to be sent.
 *
 * @param drops whether datagrams that wait to be sent fail with `ECANCELED` at once.
 * @returns the datagrams that were dropped.
 */
export let closeThen: (s: Socket, done: () => void, drops: boolean) => Traffic;

/** An iteration like that of `for await`, which `EBUSY` names `name` to other readers. */
export let iterate: (s: Socket, name: string) => SocketIterator<Datagram>;

/**
 * The datagrams of a socket in runs, as the driver merged them, for a layer above it. From the call on, no other call may read, and
 * `EBUSY` names the layer to calls that try. No timeout applies.
 *
 * @throws `OSError` `EBUSY` while another iteration reads, `EBADF`.
 */
export let readAll: (s: Socket, name: string) => SocketIterator<Run[]>;

/** As `sendto`, with the metadata's `answer` of a datagram as the route: it leaves from the address that this datagram was sent to. */
export let answerTo: (s: Socket, data: Data, to: Endpoint, route: Ancillary | undefined) => Promise<number>;

/** As `sendMany`, with one route for all datagrams, which stay one run. */
export let answerMany: (
  s: Socket,
  payloads: readonly Uint8Array[],
  to: Endpoint,
  route: Ancillary | undefined,
) => Promise<number>;

/**
 * As `answerMany`, for a batch that the caller has filled with `reserve`, and that is the caller's again when the promise has
 * resolved. If the promise rejects, a driver may still use it. A datagram has at most 65,507 bytes.
 */
export let answerBatch: (
  s: Socket,
  batch: Outbound,
  to: Endpoint,
  route: Ancillary | undefined,
) => Promise<number>;

/** Datagrams of a step of `readAll`. With more, a peer would wait longer for the answers to the first of them. */
const readAllDatagrams = 256;

/** A UDP socket: the calls of BSD and Python, with promises. Made by `socket()`. */
export class Socket extends SocketSettings implements AsyncIterable<Datagram> {
  readonly #engine: Engine;
  /** Made at first use: a program may have many sockets that are idle. */
  #madeCalls: ReceiveCalls | undefined;
  /** The argument of the last `settimeout`, in seconds. */
  #timeout: number | null = null;
  readonly #sends: SendCalls;
  #connectTurn = 0;
  #closing: Promise<void> | undefined;

  static {
    readAll = (s, name) => {
      const call = { syscall: name, take: receiveRuns.take };
      const iteration = new Iteration(s.#calls, { call, max: readAllDatagrams, name, timeoutMs: null });
      iteration.claim();
      return iteration;
    };
    answerTo = (s, data, to, route) => s.#sends.send("sendto", data, to, route);
    answerMany = (s, payloads, to, route) => s.#sends.sendMany(payloads, to, route);
    answerBatch = (s, batch, to, route) => s.#sends.sendBatch(batch, to, route);
    abandon = (s) => {
      s.#calls.abandon();
      return s.close();
    };
    intercept = (s, taker, syscall) => s.#calls.intercept(taker, syscall);
    connectNow = (s, to) => {
      const engine = s.#engine.open("connect");
      const later = engine.sender.barrierNow(() => engine.connect(to));
      s.#sends.connects = to !== null;
      return later;
    };
    pull = (s, name, listener) => new Pull(s.#calls, name, listener);
    closeThen = (s, done, drops) => {
      const dropped = drops && !s.#closing ? s.#engine.dropSends() : { datagrams: 0, bytes: 0 };
      void s.#close(done);
      return dropped;
    };
    iterate = (s, name) => new Iteration(s.#calls, { call: recvmsg, max: Infinity, name, timeoutMs: null });
  }

  /** Made by `socket()`, and by the hosts of a simulated network. */
  constructor(stack: Stack, family: Family, options: SocketOptions = {}) {
    super(stack, family, options);
    this.#engine = engineOf(this);
    this.#sends = new SendCalls(this.#engine);
  }

  /**
   * Claims a local address. `bind(2)`. From then on datagrams wait in the receive buffer until the program reads
   * them, with `for await (const datagram of s)` or `recvfrom`. A bound socket that nobody reads does not keep the process
   * alive (`ref`).
   *
   * @param address port 0 lets the kernel choose; host `""` is every interface.
   * @throws (rejects) `OSError`: `EADDRINUSE`; `EADDRNOTAVAIL`; `EACCES`; `EINVAL` if the socket is bound already;
   *   `EAFNOSUPPORT`; `ENODEV` if the scope is no interface; `EADDRNOTAVAIL` if the interface of the scope does not have the
   *   address; `EINVAL` if the address is a group or a wildcard with a scope; `ENOTFOUND`; `EBADF`; `ECANCELED` after
   *   `close()`.
   */
  async bind(address: AddressLike): Promise<void> {
    const at = addressFor(address, this.family, "bind");
    const engine = this.#engine.open("bind");
    await engine.sender.barrier(async () => engine.bind(await engine.endpoint(at, "bind")));
  }

  /**
   * Chooses one peer: `send` sends to it, and from now on only its datagrams arrive. `connect(2)`.
   *
   * @param address `null` dissolves the association; the local port stays.
   *   A scope (`ff05::1%eth1`) names the interface through which datagrams to the peer leave.
   * @throws (rejects) `OSError`: `ENETUNREACH`; `EACCES` for a broadcast address without `SO_BROADCAST`; `EINVAL` for port
   *   0 and for the scope of an IPv4 address; `EAFNOSUPPORT`; `ENODEV`; `ENOTFOUND`; `ENOTSUP` for a scope that the driver
   *   cannot use; `EBADF`; `ECANCELED`. The former peer stays.
   */
  async connect(address: AddressLike | null): Promise<void> {
    const to =
      address === null ? null : unscopedIPv4(destinationFor(address, this.family, "connect"), "connect");
    const engine = this.#engine.open("connect");
    const turn = ++this.#connectTurn;
    this.#sends.connects = to !== null;
    try {
      await engine.sender.barrier(async () => engine.connect(to && (await engine.endpoint(to, "connect"))));
    } catch (error) {
      // A later call may be waiting behind this one.
      if (turn === this.#connectTurn) this.#sends.connects = engine.peer !== null;
      throw error;
    }
  }

  /**
   * Sends one datagram. `sendto(2)`. The first send binds a port, which stays. `data` is copied during the call.
   *
   * @param data at most 65,507 bytes over IPv4, 65,527 over IPv6; above about 1,400 it may travel in fragments.
   * @param address a scope names the interface through which the datagram leaves, for every kind of address.
   * @returns the number of bytes that the kernel accepted. UDP does not tell whether they arrived.
   * @throws (rejects) `OSError`: `EMSGSIZE` with `limit`; `ENOTFOUND`; `ENETUNREACH`; `EHOSTUNREACH`; `EACCES` for a
   *   broadcast address without `SO_BROADCAST`; `EPERM` from a local firewall; `ENOBUFS`; `EINVAL` for port 0;
   *   `EAFNOSUPPORT`; `ENODEV`; `ENOTSUP` on a connected `dgram` socket for another address than the peer's, and for a scope
   *   that the driver cannot use; `EBADF`; `ECANCELED`.
   */
  sendto(data: Data, address: AddressLike): Promise<number> {
    return this.#sends.send("sendto", data, address);
  }

  /**
   * Sends one datagram to the connected peer. `send(2)`.
   *
   * @throws (rejects) as `sendto`, and `OSError`: `EDESTADDRREQ` if the socket is not connected; `ECONNREFUSED` if an ICMP
   *   error came since the last call, because no socket listens at the peer.
   */
  send(data: Data): Promise<number> {
    return this.#sends.send("send", data);
  }

  /**
   * Sends one datagram with its own source address, interface, TTL or TOS. `sendmsg(2)`, `ip(7)`, `ipv6(7)`.
   *
   * @param message the payload, which is copied during the call, and its destination: without an `address`, the connected
   *   peer.
   * @throws (rejects) as `sendto` and `send`, and `OSError`: `EINVAL` or, over IPv4, `ENETUNREACH` for a `source` that is
   *   not an address of this host; `EINVAL` for an `interface` that is not the scope of the address; `ENODEV` for an
   *   interface that does not exist; `ENOTSUP` if the driver lacks the feature `packetInfo`, or `pathMtu` for `probe`.
   */
  sendmsg(message: OutgoingDatagram): Promise<number> {
    try {
      if (typeof (message as unknown) !== "object" || (message as unknown) === null)
        throw wrongType("message", "an object", message);
      const { data, address } = message;
      const how = checkAncillary(message, this.family, "sendmsg");
      return this.#sends.send("sendmsg", data, address, how);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends many datagrams in as few system calls as possible. A datagram that fails does not stop the others. Do not change
   * the payloads until the promise settles.
   *
   * @param items payloads for one `address` (without it, the connected peer), or records with an `address` each.
   * @returns the number of datagrams sent: all of them.
   * @throws (rejects) the first failure as `OSError`, with its `index` and the number `sent`; `TypeError` or
   *   `RangeError` before anything is sent.
   */
  sendMany(items: Iterable<Data>, address: AddressLike): Promise<number>;
  sendMany(items: Iterable<Data> | Iterable<OutgoingDatagram>): Promise<number>;
  sendMany(items: Iterable<Data | OutgoingDatagram>, address?: AddressLike): Promise<number> {
    return this.#sends.sendMany(items, address);
  }

  /**
   * Waits for a datagram. `recvfrom(2)`.
   *
   * @param bufsize the largest number of bytes to return; the rest of a longer datagram is discarded.
   * @returns the payload and the address of the sender.
   * @throws (rejects) `TimeoutError`; `OSError`: `EAGAIN` with a timeout of 0, `ECANCELED` after `close()`, `EBADF`, `EBUSY`
   *   while an iteration reads, `ECONNREFUSED` on a connected socket; `RangeError` `ERR_OUT_OF_RANGE`; `signal.reason`.
   */
  recvfrom(bufsize: number, options?: WaitOptions): Promise<[Buffer, Endpoint]> {
    return this.#calls.receive(recvfrom, bufsize, options);
  }

  /** Waits for a datagram and returns its first `bufsize` bytes. `recv(2)`; fails as `recvfrom` does. */
  recv(bufsize: number, options?: WaitOptions): Promise<Buffer> {
    return this.#calls.receive(recv, bufsize, options);
  }

  /** Waits for a datagram and returns it with its metadata. `recvmsg(2)`; fails as `recvfrom` does. */
  recvmsg(options?: MessageOptions): Promise<Datagram> {
    return this.#calls.receive(recvmsg, options, options);
  }

  /**
   * Waits for a datagram, then returns it with all others that are there. `recvmmsg(2)`; fails as `recvfrom` does.
   *
   * @param max the largest number of datagrams to return, 1 or more. A call that has taken 1,024 of them, and 4 ms, leaves
   *   the others to the next call.
   */
  recvMany(max: number, options?: WaitOptions): Promise<Datagram[]> {
    return this.#calls.receive(recvMany, max, options);
  }

  /**
   * The datagrams as they arrive, until `close()`. While the iteration runs, no other call may read. Leaving the loop does
   * not close the socket, and loses no datagram. `settimeout` applies to each step.
   */
  [Symbol.asyncIterator](): SocketIterator<Datagram> {
    const call = { syscall: "for await", take: recvmsg.take };
    return new Iteration(this.#calls, { call, max: Infinity, name: "an iteration" });
  }

  /**
   * The datagrams in batches: `for await (const batch of s.batches())`. Each batch is an array that is never empty. It has
   * the datagrams that `recvMany(max)` would return at that step, and costs one promise. `close()` ends the iteration.
   *
   * While the iteration runs, no other call may read. Leaving the loop does not close the socket, and loses no datagram.
   * ICMP errors do not end the iteration. `settimeout` applies to each step, unless `timeoutMs` is set.
   *
   * @param options `max` is the largest number of datagrams in a batch, 1 or more (default 1024). `timeoutMs` is for each
   *   step, and `signal` for the iteration: it ends with that error.
   * @throws `RangeError` for an unknown option and for values out of range, `TypeError`. A step rejects as `recvMany` does,
   *   and with `OSError` `EBUSY` while another iteration reads.
   */
  batches(options: BatchOptions = {}): SocketIterator<Datagram[]> {
    return new Iteration(this.#calls, {
      ...checkBatches(options),
      call: { syscall: "batches", take: recvMany.take },
      name: "batches()",
    });
  }

  /**
   * Sets how long receive calls wait.
   *
   * @param seconds to wait, as in Python: `null` waits for ever, 0 does not wait.
   * @throws `RangeError` for a negative or infinite number, `TypeError` for anything else.
   */
  settimeout(seconds: number | null): void {
    this.#calls.timeoutMs = checkTimeout(seconds);
    this.#timeout = seconds;
  }

  /** Seconds that receive calls wait; `null` for ever. */
  gettimeout(): number | null {
    return this.#timeout;
  }

  /** `true` or 1 is `settimeout(null)`, `false` or 0 is `settimeout(0)`. @throws `TypeError`, `RangeError`. */
  setblocking(flag: boolean | 0 | 1): void {
    if (typeof flag === "number") wholeNumber("flag", flag, 0, 1);
    else if (typeof flag !== "boolean") throw wrongType("flag", "a boolean, 0 or 1", flag);
    this.settimeout(flag ? null : 0);
  }

  /** Whether receive calls wait at all. */
  getblocking(): boolean {
    return this.#calls.timeoutMs !== 0;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Closes the socket. Waiting receive calls reject with `ECANCELED`, and iterations end. Datagrams of earlier send calls
   * are sent first. After 5 s, those that still wait for room fail with `ECANCELED`. Datagrams that wait for the address of
   * a name fail with it at once. A second call returns the same promise.
   */
  close(): Promise<void> {
    return this.#closing ?? this.#close(nothing);
  }

  /** Calls `close()`, and waits for it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Calls `close()`, and does not wait for it. */
  [Symbol.dispose](): void {
    void this.close();
  }

  /** @param done is called when the socket is closed. */
  #close(done: () => void): Promise<void> {
    if (this.#closing) {
      void this.#closing.then(done);
      return this.#closing;
    }
    let resolve!: () => void;
    this.#closing = new Promise((settle) => (resolve = settle));
    this.#engine.close(() => {
      resolve();
      done();
    });
    return this.#closing;
  }

  get #calls(): ReceiveCalls {
    return (this.#madeCalls ??= new ReceiveCalls(this.#engine, {
      answer: (data, to, how) => this.#sends.send("reply", data, to, how),
    }));
  }
}

function nothing(): void {
  return;
}
