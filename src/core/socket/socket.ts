import { Buffer } from "node:buffer";
import { channel } from "node:diagnostics_channel";
import { EventEmitter } from "node:events";

import {
  type Address,
  type AddressLike,
  type Endpoint,
  type Family,
  forFamily,
  isEndpoint,
  isOverIPv4,
} from "../address/address.js";
import { knownAddress } from "../address/cache.js";
import type { Ancillary } from "../driver/ancillary.js";
import {
  type MessageOptions,
  type OutgoingDatagram,
  type SocketOptions,
  type WaitOptions,
  checkAncillary,
  checkOptions,
  checkOutgoing,
  checkTimeout,
  checkWait,
} from "./arguments.js";
import { fromInt32 } from "../driver/bytes.js";
import { type ReceiveCall, Sending, SendingMany, recv, recvMany, recvfrom, recvmsg } from "./calls.js";
import * as c from "../constants.js";
import type { Datagram, Replier } from "../receive/datagram.js";
import type { Capabilities } from "../capabilities.js";
import type { Clock, Stack } from "../driver/driver.js";
import { Engine } from "./engine.js";
import { OSError, wholeNumber, wrongType } from "../errors/errors.js";
import { type Packet, type SocketEvents, runListener } from "./events.js";
import type { Warning } from "../ledger/reports.js";
import type { InterfaceNumber } from "../address/hosts.js";
import { Iteration } from "../receive/iteration.js";
import { type MembershipCall, checkMembership } from "../driver/membership.js";
import {
  type OptionValue,
  bytesOfValue,
  checkBytes,
  checkLength,
  checkReadable,
  checkValue,
  findOption,
  isUnlisted,
  v6OnlyOption,
} from "../driver/options.js";
import { indexWithoutAddress } from "../driver/outbound.js";
import { payloadWithin } from "../send/path-mtu.js";
import { type Data, sizeOf, toBytes } from "../driver/payload.js";
import type { Stats } from "../ledger/ledger.js";

/** How the host of a socket numbers its network interfaces, where that can be told. */
export let interfaceNumberOf: (s: Socket) => InterfaceNumber | undefined;

/** A UDP socket: the calls of BSD and Python, with promises. Made by `socket()`. */
export class Socket extends EventEmitter<SocketEvents> implements AsyncIterable<Datagram, undefined> {
  readonly family: Family;
  readonly type: typeof c.SOCK_DGRAM = c.SOCK_DGRAM;
  readonly #stack: Stack;
  readonly #engine: Engine;
  /** As it was set, in seconds, and what that is in milliseconds. */
  #timeout: number | null = null;
  #timeoutMs: number | null = null;
  /** Whether the last `connect` named a peer, done or not: what `send` may count on. */
  #connects = false;
  #connectTurn = 0;
  #reader: string | undefined;
  #closing: Promise<void> | undefined;
  /** Events that wait for the program's call to return. */
  #untold: (() => void)[] = [];
  readonly #replier: Replier = {
    answer: (data, to, how) => this.#send("sendto", data, to, how),
  };

  static {
    interfaceNumberOf = (s) => s.#stack.interfaceNumber;
  }

  /** Made by `socket()`, and by the hosts of a simulated network. */
  constructor(stack: Stack, family: Family, options: SocketOptions = {}) {
    super();
    this.family = family;
    this.#stack = stack;
    this.#engine = new Engine(stack, family, checkOptions(options), (event, message) =>
      this.#tell(event, message),
    );
    this.#connects = this.#engine.peer !== null;
    const adopted = options.fd !== undefined;
    try {
      for (const [option, bytes] of [
        [c.SO_RCVBUF, options.receiveBuffer],
        [c.SO_SNDBUF, options.sendBuffer],
      ] as const) {
        // A supervisor may give a socket more than this process could ask for.
        if (adopted && bytes === undefined && this.getsockopt(c.SOL_SOCKET, option) > usualBuffer) continue;
        this.setsockopt(c.SOL_SOCKET, option, bytes ?? 4 << 20);
      }
    } catch (error) {
      this.#engine.close(() => undefined);
      throw error;
    }
  }

  /**
   * Claims a local address. `bind(2)`.
   *
   * @param address port 0 lets the kernel choose; host `""` is every interface.
   * @throws (rejects) `OSError` `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EINVAL` when bound already, `EAFNOSUPPORT`,
   *   `ENODEV` for a scope that is no interface, `EADDRNOTAVAIL` for one that does not have the address, `EINVAL` for the
   *   scope of a group or of every interface, `ENOTFOUND`, `EBADF`, `ECANCELED` by `close()`.
   */
  async bind(address: AddressLike): Promise<void> {
    const at = this.#address(address, "bind");
    const engine = this.#open("bind");
    await engine.sender.barrier(async () => engine.bind(await engine.endpoint(at, "bind")));
  }

  /**
   * Chooses one peer: `send` goes there, and only its datagrams arrive from now on. `connect(2)`.
   *
   * @param address `null` dissolves the association; the local port stays.
   *   A scope (`ff05::1%eth1`) is the interface that datagrams to the peer leave by.
   * @throws (rejects) `OSError` `ENETUNREACH`, `EACCES` for a broadcast address without `SO_BROADCAST`, `EINVAL` for port
   *   0 and for the scope of an IPv4 address, `EAFNOSUPPORT`, `ENODEV`, `ENOTFOUND`, `ENOTSUP` for a scope that the driver
   *   cannot heed, `EBADF`, `ECANCELED`. The peer that was before stays.
   */
  async connect(address: AddressLike | null): Promise<void> {
    const to = address === null ? null : unscopedIPv4(this.#destination(address, "connect"), "connect");
    const engine = this.#open("connect");
    const turn = ++this.#connectTurn;
    this.#connects = to !== null;
    try {
      await engine.sender.barrier(async () => engine.connect(to && (await engine.endpoint(to, "connect"))));
    } catch (error) {
      // A later call may be waiting behind this one.
      if (turn === this.#connectTurn) this.#connects = engine.peer !== null;
      throw error;
    }
  }

  /**
   * Sends one datagram. `sendto(2)`. The first one binds a port, which then stays. `data` is copied at the call.
   *
   * @param data at most 65,507 bytes over IPv4, 65,527 over IPv6; above about 1,400 it may travel in fragments.
   * @param address a scope is the interface that the datagram leaves by, also of addresses that are not link-local.
   * @returns the bytes handed to the kernel. UDP does not tell whether they arrived.
   * @throws (rejects) `OSError` `EMSGSIZE` with `limit`, `ENOTFOUND`, `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` for a
   *   broadcast address without `SO_BROADCAST`, `EPERM` by a firewall, `ENOBUFS`, `EINVAL` for port 0, `EAFNOSUPPORT`,
   *   `ENODEV`, `ENOTSUP` elsewhere than to the peer on a connected `dgram` socket, and for a scope that the driver cannot
   *   heed, `EBADF`, `ECANCELED`.
   */
  sendto(data: Data, address: AddressLike): Promise<number> {
    return this.#send("sendto", data, address);
  }

  /**
   * Sends one datagram to the connected peer. `send(2)`.
   *
   * @throws (rejects) as `sendto`, and `OSError` `EDESTADDRREQ` when unconnected, `ECONNREFUSED` when ICMP said since
   *   the last call that nobody listens there.
   */
  send(data: Data): Promise<number> {
    return this.#send("send", data);
  }

  /**
   * Sends one datagram from an address, by an interface, with a TTL or a TOS of its own. `sendmsg(2)`, `ip(7)`, `ipv6(7)`.
   *
   * @param message the payload, copied at the call, and where it goes: the connected peer without an `address`.
   * @throws (rejects) as `sendto` and `send`, and `OSError` `EINVAL` or, over IPv4, `ENETUNREACH` for a `source` that is
   *   not this host's, `EINVAL` for an `interface` that is not the scope of the address, `ENODEV` for an interface that is not there, `ENOTSUP` where the driver lacks the feature `packetInfo`, or `pathMtu` for `probe`.
   */
  sendmsg(message: OutgoingDatagram): Promise<number> {
    try {
      if (typeof (message as unknown) !== "object" || (message as unknown) === null)
        throw wrongType("message", "an object", message);
      const { data, address } = message;
      const how = checkAncillary(message, this.family, "sendmsg");
      return this.#send(address === undefined ? "send" : "sendto", data, address, how);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends many datagrams in as few system calls as can be. Each is tried; what fails does not stop the others.
   * The payloads are the socket's until the promise settles.
   *
   * @param items payloads, with the one `address` that they go to (the connected peer without one), or records with an
   *   `address` each.
   * @returns how many were sent: all of them.
   * @throws (rejects) the first failure as `OSError`, with its `index` and the number `sent`; `TypeError` or
   *   `RangeError` before anything is sent.
   */
  sendMany(items: Iterable<Data>, address: AddressLike): Promise<number>;
  sendMany(items: Iterable<Data> | Iterable<OutgoingDatagram>): Promise<number>;
  sendMany(items: Iterable<Data | OutgoingDatagram>, address?: AddressLike): Promise<number> {
    return new Promise((resolve, reject) => {
      const shared = address === undefined ? null : this.#destination(address, "sendMany");
      const outgoing = checkOutgoing(
        items,
        shared,
        (each) => this.#destination(each, "sendMany"),
        (each) => checkAncillary(each, this.family, "sendMany"),
      );
      const { sender } = this.#open("sendMany");
      const lost = this.#connects ? -1 : indexWithoutAddress(outgoing);
      if (lost >= 0) {
        throw Object.assign(new OSError("EDESTADDRREQ", { syscall: "sendMany" }), { index: lost, sent: 0 });
      }
      if (outgoing.count === 0) resolve(0);
      else sender.sendMany(outgoing, new SendingMany(outgoing.count, resolve, reject));
    });
  }

  /**
   * Waits for a datagram. `recvfrom(2)`.
   *
   * @param bufsize the most bytes to give; the rest of a longer datagram is discarded.
   * @returns the bytes and the sender's address.
   * @throws (rejects) `TimeoutError`; `OSError` `EAGAIN`, `ECANCELED` by `close()`, `EBADF`, `EBUSY`, `ECONNREFUSED`
   *   when connected; `RangeError` `ERR_OUT_OF_RANGE`; `signal.reason`.
   */
  recvfrom(bufsize: number, options?: WaitOptions): Promise<[Buffer, Endpoint]> {
    return this.#receive(recvfrom, bufsize, options);
  }

  /** Waits for a datagram and gives its first `bufsize` bytes. `recv(2)`; fails as `recvfrom` does. */
  recv(bufsize: number, options?: WaitOptions): Promise<Buffer> {
    return this.#receive(recv, bufsize, options);
  }

  /** Waits for a datagram and gives everything that is known of it. `recvmsg(2)`; fails as `recvfrom` does. */
  recvmsg(options?: MessageOptions): Promise<Datagram> {
    return this.#receive(recvmsg, options, options);
  }

  /**
   * Waits for a datagram, then gives it with what else is there. `recvmmsg(2)`; fails as `recvfrom` does.
   *
   * @param max the most datagrams to give, 1 or more.
   */
  recvMany(max: number, options?: WaitOptions): Promise<Datagram[]> {
    return this.#receive(recvMany, max, options);
  }

  /**
   * The datagrams as they come, until `close()`. While it runs it is the socket's only reader; leaving the loop
   * neither closes the socket nor loses a datagram. `settimeout` applies to each step.
   */
  [Symbol.asyncIterator](): Iteration {
    return new Iteration({
      claim: () => this.#claim("an iteration"),
      take: () => (this.#engine.receiver.immediate ? this.#take(Infinity) : undefined),
      receive: (serve, fail) => {
        const wait = checkWait("recvmsg", undefined, this.#timeoutMs);
        return this.#engine.receiver.receive(wait, () => serve(this.#take(Infinity)), fail);
      },
      closed: () => this.closed,
    });
  }

  /**
   * Sets how long receive calls wait.
   *
   * @param seconds as on the page: `null` waits for ever, 0 does not wait.
   * @throws `RangeError` for a negative or endless number, `TypeError` for anything else.
   */
  settimeout(seconds: number | null): void {
    this.#timeoutMs = checkTimeout(seconds);
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
    return this.#timeoutMs !== 0;
  }

  /** The local address; port 0 until the socket has one. `getsockname(2)`. @throws `OSError` `EBADF`. */
  getsockname(): Endpoint {
    return this.#open("getsockname").driver.local();
  }

  /** The connected peer. `getpeername(2)`. @throws `OSError` `ENOTCONN`, `EBADF`. */
  getpeername(): Endpoint {
    const { peer } = this.#open("getpeername");
    if (!peer) throw new OSError("ENOTCONN", { syscall: "getpeername" });
    return peer;
  }

  /**
   * Sets a socket option. `setsockopt(2)`, `ip(7)`, `ipv6(7)`.
   *
   * On an IPv6 socket, `IPV6_TCLASS`, `IPV6_UNICAST_HOPS`, `IPV6_UNICAST_IF`, `IPV6_MULTICAST_HOPS`, `IPV6_MULTICAST_LOOP`
   * and `IPV6_MULTICAST_IF` set the option of IPv4 too, for peers and groups in `::ffff:`; an option of IPv4 is for those
   * alone.
   *
   * An option that has no name here goes to the kernel by its numbers (feature `kernelOptions`). Options that the package
   * itself needs, such as `UDP_GRO`, are `EPERM` then.
   *
   * @param value a number; flags take booleans too; interfaces are a name, a number or an address. A `Buffer` holds the bytes
   *   that the kernel takes, 1 to 4096: of an option that has a name and a number for its value, those of that number.
   * @throws `OSError` `ENOPROTOOPT` for an option that the kernel does not know, a read-only one, one of IPv6
   *   on an IPv4 socket, or one of IPv4 under `IPV6_V6ONLY`; `ENOTSUP` where the driver cannot, `ENODEV`, `EPERM` naming the privilege, `EBADF`; `TypeError`, `RangeError`.
   */
  setsockopt(level: number, option: number, value: number | boolean | string | Uint8Array): void {
    if (isUnlisted(level, option)) {
      const bytes = checkBytes(value);
      this.#open("setsockopt").driver.setBytes(level, option, bytes);
      return;
    }
    const found = findOption(level, option, this.family, "setsockopt");
    const checked = checkValue(found, value);
    const { driver } = this.#open("setsockopt");
    if (found.family === c.AF_INET) this.#assertIPv4("setsockopt", found.name);
    driver.setOption(found, checked);
  }

  /**
   * Reads a socket option. `getsockopt(2)`.
   *
   * @param length 1 to 4096: gives the value as at most so many bytes, as the kernel has them, whatever the option.
   * @returns what the kernel gave, which for buffer sizes is the double of what it was asked for; flags are 0 or 1. Of an
   *   option that has no name here, the number of the C `int` (feature `kernelOptions`).
   * @throws `OSError` `ENOPROTOOPT`, `ENOTSUP`, `EBADF`, `ENOTCONN` for `IP_MTU` of an unconnected socket.
   */
  getsockopt(level: typeof c.SOL_SOCKET, option: typeof c.SO_BINDTODEVICE): string;
  getsockopt(level: typeof c.IPPROTO_IP, option: typeof c.IP_MULTICAST_IF | typeof c.IP_UNICAST_IF): string;
  getsockopt(
    level: typeof c.IPPROTO_IPV6,
    option: typeof c.IPV6_MULTICAST_IF | typeof c.IPV6_UNICAST_IF,
  ): string;
  getsockopt(level: number, option: number): number;
  getsockopt(level: number, option: number, length: number): Buffer;
  getsockopt(level: number, option: number, length?: number): OptionValue | Buffer {
    const most = length === undefined ? undefined : checkLength(length);
    if (isUnlisted(level, option)) {
      const bytes = this.#open("getsockopt").driver.getBytes(level, option, most ?? 4);
      return most === undefined ? numberOf(bytes) : bytes;
    }
    const found = findOption(level, option, this.family, "getsockopt");
    checkReadable(found);
    const { driver } = this.#open("getsockopt");
    if (found.family === c.AF_INET) this.#assertIPv4("getsockopt", found.name);
    const value = driver.getOption(found);
    if (most === undefined) return value;
    const bytes = bytesOfValue(found, value);
    return bytes ? Buffer.from(bytes.subarray(0, most)) : driver.getBytes(level, option, most);
  }

  /**
   * Joins a multicast group. `IP_ADD_MEMBERSHIP`, `IPV6_ADD_MEMBERSHIP`.
   *
   * @param group a multicast address; the scope of one, as in `ff02::1%eth0`, is the interface. An IPv6 socket takes IPv4
   *   groups too (`239.1.1.1` or `::ffff:239.1.1.1`), unless it has `IPV6_V6ONLY`.
   * @param at the interface: its name, its number, or for IPv4 its address; without one the kernel chooses by its routes.
   * @throws `OSError` `EINVAL` when `group` is no multicast address, or its scope is another interface than `at`; `ENODEV`
   *   without such an interface or a route for the group; `EADDRINUSE` when joined already, from all sources or from some;
   *   `ENOBUFS` above the limit of the system, `ENOPROTOOPT` for an IPv4 group under `IPV6_V6ONLY`, `ENOTSUP` for a number
   *   on the `dgram` driver, `EAFNOSUPPORT`, `EBADF`.
   */
  addMembership(group: string, at?: string | number): void {
    this.#membership("addMembership", group, at);
  }

  /** Leaves a multicast group, as it was joined. @throws `OSError` `EADDRNOTAVAIL` when it was not. */
  dropMembership(group: string, at?: string | number): void {
    this.#membership("dropMembership", group, at);
  }

  /**
   * Joins a multicast group from one source only; another call adds a source. `MCAST_JOIN_SOURCE_GROUP`, RFC 3678, RFC 4607.
   * If the group was joined from all sources before, it is now received from this source only.
   *
   * @param source the unicast address of a sender.
   * @param at as `addMembership` takes it.
   * @throws as `addMembership`, and `OSError` `EADDRNOTAVAIL` when this source was joined already, `EINVAL` when `source` is
   *   no unicast address or a source of the group is blocked, `ENOBUFS` above 10 sources (`net.ipv4.igmp_max_msf`).
   */
  addSourceMembership(source: string, group: string, at?: string | number): void {
    this.#membership("addSourceMembership", group, at, source);
  }

  /**
   * Removes a source; removing the last one leaves the group. `MCAST_LEAVE_SOURCE_GROUP`.
   *
   * @throws `OSError` `EADDRNOTAVAIL` when this source was not joined, `EINVAL` when the group was not.
   */
  dropSourceMembership(source: string, group: string, at?: string | number): void {
    this.#membership("dropSourceMembership", group, at, source);
  }

  /**
   * Blocks a source of a group that was joined from all sources; another call blocks one more. `MCAST_BLOCK_SOURCE`, RFC 3678.
   *
   * @throws `OSError` `EADDRNOTAVAIL` when it is blocked already, `EINVAL` when the group was not joined, or from some
   *   sources alone, `ENOBUFS` above the limit of sources, `ENOTSUP` without the feature `blockSource`.
   */
  blockSource(source: string, group: string, at?: string | number): void {
    this.#membership("blockSource", group, at, source);
  }

  /** Ends `blockSource` for a source. `MCAST_UNBLOCK_SOURCE`. @throws `OSError` `EADDRNOTAVAIL` when it is not blocked. */
  unblockSource(source: string, group: string, at?: string | number): void {
    this.#membership("unblockSource", group, at, source);
  }

  /** Lets waiting calls keep the process alive, which is so at the start. */
  ref(): this {
    this.#engine.reference(true);
    return this;
  }

  /** Lets the process end although calls wait. */
  unref(): this {
    this.#engine.reference(false);
    return this;
  }

  /**
   * Shows `listener` every datagram that passes, as it is read and as it is sent.
   *
   * @returns the call that ends it.
   */
  tap(listener: (packet: Packet) => void): () => void {
    if (typeof listener !== "function") throw wrongType("listener", "a function", listener);
    return this.#engine.tap(listener);
  }

  /**
   * The path MTU to a destination as the kernel has it now, from its routes and from what routers have told it.
   *
   * @param address an IP literal; the port does not matter.
   * @returns bytes of the largest packet that goes whole, IP header and all; `undefined` without the feature `pathMtu`,
   *   and where there is no route.
   * @throws `OSError` `EINVAL` for a name, `ENODEV` for a scope that is no interface, `EAFNOSUPPORT`, `EBADF`; `TypeError`,
   *   `RangeError`.
   */
  pathMtu(address: AddressLike): number | undefined {
    return this.#open("pathMtu").paths.mtu(this.#literal(address, "pathMtu"));
  }

  /**
   * Bytes of payload that a datagram to a destination may have and go in one packet: the path MTU less 28 bytes of headers
   * over IPv4, 48 over IPv6, and never above what a datagram can carry. Takes, gives and fails as `pathMtu` does.
   */
  maxPayload(address: AddressLike): number | undefined {
    const to = this.#literal(address, "maxPayload");
    const mtu = this.#open("maxPayload").paths.mtu(to);
    return mtu === undefined ? undefined : payloadWithin(mtu, to);
  }

  /** What became of the datagrams so far, by cause. */
  stats(): Stats {
    return this.#engine.stats();
  }

  /** What the driver can do here, feature by feature, with the reason where it can't. */
  get capabilities(): Capabilities {
    return this.#engine.driver.capabilities;
  }

  /** Which driver carries this socket. */
  get driver(): Stack["name"] {
    return this.#stack.name;
  }

  /** The time that this socket lives in. */
  get clock(): Clock {
    return this.#stack.clock;
  }

  /** A uniformly random uint32, of the world that this socket lives in. */
  random(): number {
    return this.#stack.random();
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Closes the socket. Waiting receive calls reject with `ECANCELED`, and iterations end. What was sent before goes out
   * first, for at most 5 s: what still waits for room then is `ECANCELED`, as is at once what waits for the address of
   * a name. May be called twice.
   */
  close(): Promise<void> {
    if (!this.#closing) {
      let done!: () => void;
      this.#closing = new Promise((resolve) => (done = resolve));
      this.#engine.close(done);
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  #open(syscall: string): Engine {
    if (this.closed) throw new OSError("EBADF", { syscall });
    return this.#engine;
  }

  #address(input: AddressLike | undefined, syscall: string): Address {
    return forFamily(knownAddress(input as AddressLike), this.family, syscall);
  }

  #destination(input: AddressLike | undefined, syscall: string): Address {
    const to = this.#address(input, syscall);
    if (to.port > 0) return to;
    throw new OSError("EINVAL", { syscall, address: to.host, port: 0, text: "port 0 is no destination" });
  }

  #literal(input: AddressLike, syscall: string): Endpoint {
    const to = this.#address(input, syscall);
    if (isEndpoint(to)) return unscopedIPv4(to, syscall);
    const text = "this takes an IP address, not a name: resolve it first";
    throw new OSError("EINVAL", { syscall, address: to.host, port: to.port, text });
  }

  #send(syscall: "send" | "sendto", data: Data, address?: AddressLike, how?: Ancillary): Promise<number> {
    return new Promise((resolve, reject) => {
      const to = syscall === "send" ? null : this.#destination(address, syscall);
      // Last, since reading the address may run code of the program's, and the memory is its own.
      const payload = toBytes(data);
      const { sender } = this.#open(syscall);
      if (!to && !this.#connects) throw new OSError("EDESTADDRREQ", { syscall: "send" });
      const refused = sender.send(payload, to, new Sending(resolve, reject), sizeOf(payload), how);
      if (refused) reject(refused);
    });
  }

  /** One receive call: checks first, so that bad arguments cost no datagram, then waits its turn. */
  #receive<A, T>(
    { syscall, check, take }: ReceiveCall<A, T>,
    most: A,
    options: WaitOptions | undefined,
  ): Promise<T> {
    try {
      const engine = this.#engine;
      const checked = check(most);
      const served = options === undefined && engine.receiver.immediate;
      const wait = served ? undefined : checkWait(syscall, options, this.#timeoutMs);
      const { receiver } = this.#open(syscall);
      this.#assertUnclaimed(syscall);
      if (!wait) return Promise.resolve(take(engine, checked, this.#replier));
      return new Promise((resolve, reject) => {
        const serve = (): void => {
          try {
            resolve(take(engine, checked, this.#replier));
          } catch (error) {
            reject(error);
          }
        };
        receiver.receive(wait, serve, this.#stack.ended ? unlessEnded(this.#stack, reject) : reject);
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #take(bufsize: number): Datagram {
    return this.#engine.take(bufsize, this.#replier, "recvmsg");
  }

  #claim(who: string): () => void {
    this.#open("recvmsg");
    this.#assertUnclaimed("recvmsg");
    this.#reader = who;
    return () => {
      this.#reader = undefined;
    };
  }

  #assertUnclaimed(syscall: string): void {
    if (this.#reader === undefined) return;
    throw new OSError("EBUSY", { syscall, text: `${this.#reader} reads this socket` });
  }

  #membership(call: MembershipCall, group: string, at: string | number | undefined, source?: string): void {
    const change = checkMembership(call, this.family, group, at, source);
    const engine = this.#open(call);
    if (change.group.family === c.AF_INET) this.#assertIPv4(call, `the group ${change.group.host}`);
    engine.membership(change);
  }

  /** An IPv6 socket carries IPv4 too, unless it was told not to. */
  #assertIPv4(syscall: string, what: string): void {
    if (this.family === c.AF_INET || !this.#isV6Only(syscall)) return;
    const text = `${what} is for IPv4, and this socket has IPV6_V6ONLY`;
    throw new OSError("ENOPROTOOPT", { syscall, text });
  }

  #isV6Only(syscall: string): boolean {
    return this.#open(syscall).driver.getOption(v6OnlyOption) === 1;
  }

  /** Emits events in a microtask, never during a call of the program. */
  #tell<E extends keyof SocketEvents>(event: E, message: SocketEvents[E][0]): void {
    const diagnostics = channel(`datagram:${event}`);
    if (this.listenerCount(event) === 0 && !diagnostics.hasSubscribers && event !== "warning") return;
    const untold = this.#untold;
    untold.push(() => {
      if (this.listenerCount(event) > 0) {
        runListener(() => this.emit(event, ...([message] as unknown as never)));
      } else if (event === "warning") warnBy(this.#stack, message as Warning);
      if (diagnostics.hasSubscribers) diagnostics.publish({ socket: this, message });
    });
    if (untold.length > 1) return;
    queueMicrotask(() => {
      this.#untold = [];
      for (const tell of untold) tell();
    });
  }
}

/** What `SO_RCVBUF` and `SO_SNDBUF` read at most where nobody made them larger: twice Linux's default limit. */
const usualBuffer = 2 * 212_992;

/** The number of what the kernel gave for a C `int`: of some options one byte alone. */
function numberOf(bytes: Buffer): number {
  if (bytes.length === 4) return fromInt32(bytes);
  if (bytes.length === 1) return bytes.readUInt8();
  const text = `the value has ${bytes.length} bytes and is no number: name a length to read them`;
  throw new OSError("EINVAL", { syscall: "getsockopt", text });
}

/** The kernel has no way to look for a route to an IPv4 address by an interface: `::ffff:10.0.0.1%eth1`. */
function unscopedIPv4<A extends Address>(address: A, syscall: string): A {
  const { host, port, scope } = address;
  if (scope === undefined || !isOverIPv4(address)) return address;
  const text = `an IPv4 address has no scope: SO_BINDTODEVICE keeps the socket to ${scope}`;
  throw new OSError("EINVAL", { syscall, address: host, port, text });
}

/** Nothing is left to tell a program that has ended. */
function unlessEnded(stack: Stack, reject: (reason: unknown) => void): (reason: unknown) => void {
  return (reason) => {
    if (!hasEnded(stack)) reject(reason);
  };
}

function hasEnded(stack: Stack): boolean {
  try {
    return stack.ended?.() === true;
  } catch {
    // Who waits is told rather than left.
    return false;
  }
}

/** A stack that fails to show a warning fails no call. */
function warnBy(stack: Stack, warning: Warning): void {
  try {
    stack.warn?.(warning);
  } catch {
    // See above.
  }
}
