import { Buffer } from "node:buffer";

import type { AddressLike, Endpoint, Family } from "../address/address.js";
import type { InterfaceNumber } from "../address/same-host.js";
import type { Capabilities } from "../capabilities.js";
import * as c from "../constants.js";
import { fromInt32 } from "../driver/bytes.js";
import { notSupported } from "../driver/driver-errors.js";
import type { Clock, Stack } from "../driver/driver.js";
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
import { OSError, wrongType } from "../errors/errors.js";
import type { Stats } from "../ledger/ledger.js";
import type { Warning } from "../ledger/reports.js";
import { payloadWithin } from "../send/path-mtu-cache.js";
import { showEmitterAs } from "../shown.js";
import { type SocketOptions, checkOptions, literalFor } from "./arguments.js";
import { SocketEmitter } from "./emitter.js";
import { Engine } from "./engine.js";
import type { Packet } from "./events.js";
import type { Observation, Observer } from "./taps.js";

/** The largest value that `SO_RCVBUF` and `SO_SNDBUF` have by default: twice Linux's default limit. */
const defaultBufferBytes = 2 * 212_992;

/** The function that returns the numbers of the network interfaces of a socket's host; `undefined` if they are not known. */
export let interfaceNumberOf: (s: SocketSettings) => InterfaceNumber | undefined;

/** Adds an observer of the datagrams of a socket. @throws `OSError` `EBADF`. */
export let observe: (s: SocketSettings, observer: Observer) => Observation;

/** The engine of a socket, for the calls that send and receive. */
export let engineOf: (s: SocketSettings) => Engine;
let hasEngine: (s: SocketSettings) => boolean;

/** The calls of a socket that return at once: options, memberships, addresses, counts. */
export class SocketSettings extends SocketEmitter {
  /** `AF_INET` or `AF_INET6`, as given to `socket()`. */
  readonly family: Family;
  /** `SOCK_DGRAM`. */
  readonly type: typeof c.SOCK_DGRAM = c.SOCK_DGRAM;
  readonly #stack: Stack;
  readonly #engine: Engine;

  static {
    interfaceNumberOf = (s) => s.#stack.interfaceNumber;
    engineOf = (s) => s.#engine;
    hasEngine = (s) => #engine in s;
    observe = (s, observer) => s.#engine.open("record").taps.observe(observer);
    showEmitterAs(this.prototype, "Socket", shownOf);
  }

  constructor(stack: Stack, family: Family, options: SocketOptions) {
    super();
    // Node makes the table of listeners for each emitter, and again at the first listener if there is none (lib/events.js). It
    // would be a fifth of the memory of an idle socket.
    (this as unknown as { _events: undefined })._events = undefined;
    this.family = family;
    this.#stack = stack;
    this.#engine = new Engine(stack, family, checkOptions(options), this);
    try {
      this.#setBuffers(options);
    } catch (error) {
      this.#engine.close(() => undefined);
      throw error;
    }
  }

  /** The local address; port 0 until the socket has one. `getsockname(2)`. @throws `OSError` `EBADF`. */
  getsockname(): Endpoint {
    return this.#engine.open("getsockname").driver.local();
  }

  /** The connected peer. `getpeername(2)`. @throws `OSError` `ENOTCONN`, `EBADF`. */
  getpeername(): Endpoint {
    const { peer } = this.#engine.open("getpeername");
    if (!peer) throw new OSError("ENOTCONN", { syscall: "getpeername" });
    return peer;
  }

  /**
   * Sets a socket option. `setsockopt(2)`, `ip(7)`, `ipv6(7)`.
   *
   * On an IPv6 socket, `IPV6_TCLASS`, `IPV6_UNICAST_HOPS`, `IPV6_UNICAST_IF`, `IPV6_MULTICAST_HOPS`, `IPV6_MULTICAST_LOOP`
   * and `IPV6_MULTICAST_IF` also set the IPv4 option with the same meaning, for peers and groups in `::ffff:`. An IPv4 option
   * changes only these peers and groups.
   *
   * An option that has no name here is passed to the kernel by its numbers (feature `kernelOptions`). Options that the package
   * itself needs, such as `UDP_GRO`, fail with `EPERM` then.
   *
   * @param value a number. A flag takes a boolean too. An interface is a name, a number or an address. A `Buffer` has the 1 to
   *   4096 bytes that the kernel takes. If the option has a name here and its value is a number, these are the number's bytes.
   * @throws `OSError` `ENOPROTOOPT` if the kernel does not know the option, if the option is read only, if it is an IPv6 option
   *   and the socket is IPv4, or if it is an IPv4 option and the socket has `IPV6_V6ONLY`; `ENOTSUP` if the driver cannot set
   *   it; `ENODEV`; `EPERM`, with the privilege that is needed; `EBADF`; `TypeError`, `RangeError`.
   */
  setsockopt(level: number, option: number, value: number | boolean | string | Uint8Array): void {
    if (isUnlisted(level, option)) {
      const bytes = checkBytes(value);
      const { driver } = this.#engine.open("setsockopt");
      if (!driver.setBytes) throw notSupported("setsockopt", driver.capabilities.kernelOptions);
      driver.setBytes(level, option, bytes);
      return;
    }
    const found = findOption(level, option, this.family, "setsockopt");
    const checked = checkValue(found, value);
    const { driver } = this.#engine.open("setsockopt");
    if (found.family === c.AF_INET) this.#assertIPv4("setsockopt", found.name);
    driver.setOption(found, checked);
  }

  /**
   * Reads a socket option. `getsockopt(2)`.
   *
   * @returns the value of the kernel. For a buffer size it is the double of the requested size. A flag is 0 or 1. For an option
   *   that has no name here, it is the number of the C `int` (feature `kernelOptions`).
   * @throws `OSError` `ENOPROTOOPT`, `ENOTSUP`, `EBADF`; `ENOTCONN` for `IP_MTU` on an unconnected socket.
   */
  getsockopt(level: typeof c.SOL_SOCKET, option: typeof c.SO_BINDTODEVICE): string;
  getsockopt(level: typeof c.IPPROTO_IP, option: typeof c.IP_MULTICAST_IF | typeof c.IP_UNICAST_IF): string;
  getsockopt(
    level: typeof c.IPPROTO_IPV6,
    option: typeof c.IPV6_MULTICAST_IF | typeof c.IPV6_UNICAST_IF,
  ): string;
  getsockopt(level: number, option: number): number;
  /**
   * Reads any socket option as the kernel's bytes. `getsockopt(2)`.
   *
   * @param length the largest number of bytes to return, 1 to 4096.
   * @throws `OSError` as above.
   */
  getsockopt(level: number, option: number, length: number): Buffer;
  getsockopt(level: number, option: number, length?: number): OptionValue | Buffer {
    const max = length === undefined ? undefined : checkLength(length);
    if (isUnlisted(level, option)) {
      const bytes = this.#getBytes(level, option, max ?? 4);
      return max === undefined ? numberOf(bytes) : bytes;
    }
    const found = findOption(level, option, this.family, "getsockopt");
    checkReadable(found);
    const { driver } = this.#engine.open("getsockopt");
    if (found.family === c.AF_INET) this.#assertIPv4("getsockopt", found.name);
    const value = driver.getOption(found);
    if (max === undefined) return value;
    const bytes = bytesOfValue(found, value);
    return bytes ? Buffer.from(bytes.subarray(0, max)) : this.#getBytes(level, option, max);
  }

  /**
   * Joins a multicast group. `IP_ADD_MEMBERSHIP`, `IPV6_ADD_MEMBERSHIP`.
   *
   * @param group a multicast address. Its scope, as in `ff02::1%eth0`, is the interface. An IPv6 socket takes IPv4 groups too
   *   (`239.1.1.1` or `::ffff:239.1.1.1`), unless it has `IPV6_V6ONLY`.
   * @param at the interface: its name, its number, or for IPv4 its address. Without it the kernel chooses by its routes.
   * @throws `OSError` `EINVAL` if `group` is not a multicast address, or if its scope is another interface than `at`; `ENODEV`
   *   if there is no such interface or no route for the group; `EADDRINUSE` if the group was joined already, from all sources
   *   or from some; `ENOBUFS` above the limit of the system; `ENOPROTOOPT` for an IPv4 group if the socket has `IPV6_V6ONLY`;
   *   `ENOTSUP` for an interface number on the `dgram` driver; `EAFNOSUPPORT`, `EBADF`.
   */
  addMembership(group: string, at?: string | number): void {
    this.#membership("addMembership", group, at);
  }

  /** Leaves a multicast group. `at` is the same as for the join. @throws `OSError` `EADDRNOTAVAIL` if it was not joined. */
  dropMembership(group: string, at?: string | number): void {
    this.#membership("dropMembership", group, at);
  }

  /**
   * Joins a multicast group from one source only. Another call adds a source. `MCAST_JOIN_SOURCE_GROUP`, RFC 3678, RFC 4607.
   * If the group was joined from all sources before, the socket now receives it from this source only.
   *
   * @param source the unicast address of a sender.
   * @param at the interface, as for `addMembership`.
   * @throws the errors of `addMembership`; also `OSError` `EADDRNOTAVAIL` if this source was joined already, `EINVAL` if
   *   `source` is not a unicast address or if a source of the group is blocked, `ENOBUFS` above 10 sources
   *   (`net.ipv4.igmp_max_msf`).
   */
  addSourceMembership(source: string, group: string, at?: string | number): void {
    this.#membership("addSourceMembership", group, at, source);
  }

  /**
   * Removes a source of a group. If it is the last one, the socket leaves the group. `MCAST_LEAVE_SOURCE_GROUP`.
   *
   * @throws `OSError` `EADDRNOTAVAIL` if this source was not joined, `EINVAL` if the group was not joined.
   */
  dropSourceMembership(source: string, group: string, at?: string | number): void {
    this.#membership("dropSourceMembership", group, at, source);
  }

  /**
   * Blocks a source of a group that was joined from all sources. Another call blocks one more. `MCAST_BLOCK_SOURCE`, RFC 3678.
   *
   * @throws `OSError` `EADDRNOTAVAIL` if the source is blocked already, `EINVAL` if the group was not joined or was joined
   *   from some sources only, `ENOBUFS` above the limit of sources, `ENOTSUP` without the feature `blockSource`.
   */
  blockSource(source: string, group: string, at?: string | number): void {
    this.#membership("blockSource", group, at, source);
  }

  /** Ends `blockSource` for a source. `MCAST_UNBLOCK_SOURCE`. @throws `OSError` `EADDRNOTAVAIL` if it is not blocked. */
  unblockSource(source: string, group: string, at?: string | number): void {
    this.#membership("unblockSource", group, at, source);
  }

  /**
   * Receive calls and iterations that wait keep the process alive. This is the default. A bound socket that nobody reads does
   * not: the process ends as soon as it has nothing else to do.
   */
  ref(): this {
    this.#engine.keepAlive.setReferenced(true);
    return this;
  }

  /** Receive calls and iterations that wait no longer keep the process alive. */
  unref(): this {
    this.#engine.keepAlive.setReferenced(false);
    return this;
  }

  /**
   * Calls `listener` with every datagram when it is read or sent.
   *
   * @returns a function that removes the listener.
   */
  tap(listener: (packet: Packet) => void): () => void {
    if (typeof listener !== "function") throw wrongType("listener", "a function", listener);
    return this.#engine.taps.add(listener);
  }

  /**
   * The path MTU to a destination that the kernel knows now, from its routes and from reports of routers.
   *
   * @param address an IP literal; the port does not matter.
   * @returns bytes of the largest packet that is not sent in fragments, with the IP header; `undefined` without the feature
   *   `pathMtu`, or if there is no route.
   * @throws `OSError` `EINVAL` for a name, `ENODEV` if the scope names no interface, `EAFNOSUPPORT`, `EBADF`; `TypeError`,
   *   `RangeError`.
   */
  pathMtu(address: AddressLike): number | undefined {
    return this.#engine.open("pathMtu").paths.mtu(literalFor(address, this.family, "pathMtu"));
  }

  /**
   * The largest payload, in bytes, that fits into one packet to a destination: the path MTU minus 28 bytes of headers over
   * IPv4 or 48 over IPv6, and never above the largest payload of a datagram. `undefined` and errors are as for `pathMtu`.
   */
  maxPayload(address: AddressLike): number | undefined {
    const to = literalFor(address, this.family, "maxPayload");
    const mtu = this.#engine.open("maxPayload").paths.mtu(to);
    return mtu === undefined ? undefined : payloadWithin(mtu, to);
  }

  /** The counts of what happened to the datagrams so far, by cause. */
  stats(): Stats {
    return this.#engine.stats();
  }

  /** For each feature, whether the driver has it here, and the reason if not. */
  get capabilities(): Capabilities {
    return this.#engine.driver.capabilities;
  }

  /** The name of the socket's driver. */
  get driver(): Stack["name"] {
    return this.#stack.name;
  }

  /** The clock of this socket: real or simulated time. */
  get clock(): Clock {
    return this.#stack.clock;
  }

  /** Returns a uniformly random uint32 from the stack of this socket. */
  random(): number {
    return this.#stack.random();
  }

  protected override warnOfListener(warning: Warning): void {
    this.#engine.warn(warning);
  }

  #getBytes(level: number, option: number, length: number): Buffer {
    const { driver } = this.#engine.open("getsockopt");
    if (!driver.getBytes) throw notSupported("getsockopt", driver.capabilities.kernelOptions);
    return driver.getBytes(level, option, length);
  }

  #setBuffers({ fd, receiveBuffer, sendBuffer }: SocketOptions): void {
    for (const [option, bytes] of [
      [c.SO_RCVBUF, receiveBuffer],
      [c.SO_SNDBUF, sendBuffer],
    ] as const) {
      // A supervisor may have set a larger buffer than this process is allowed to.
      const adopted = fd !== undefined && bytes === undefined;
      if (adopted && this.getsockopt(c.SOL_SOCKET, option) > defaultBufferBytes) continue;
      this.setsockopt(c.SOL_SOCKET, option, bytes ?? 4 << 20);
    }
  }

  #membership(call: MembershipCall, group: string, at: string | number | undefined, source?: string): void {
    const change = checkMembership(call, this.family, group, at, source);
    const engine = this.#engine.open(call);
    if (change.group.family === c.AF_INET) this.#assertIPv4(call, `the group ${change.group.host}`);
    engine.changeMembership(change);
  }

  /** An IPv6 socket also sends and receives IPv4 datagrams, unless it has `IPV6_V6ONLY`. */
  #assertIPv4(syscall: string, what: string): void {
    if (this.family === c.AF_INET || !this.#isV6Only(syscall)) return;
    const text = `${what} is for IPv4, and this socket has IPV6_V6ONLY`;
    throw new OSError("ENOPROTOOPT", { syscall, text });
  }

  #isV6Only(syscall: string): boolean {
    return this.#engine.open(syscall).driver.getOption(v6OnlyOption) === 1;
  }
}

/** What `console.log` shows of a socket; `undefined` for a proxy of one, and for an object that inherits from one. */
function shownOf(s: SocketSettings): object | undefined {
  if (!hasEngine(s)) return undefined;
  const { closed, driver, peer } = engineOf(s);
  if (closed) return { driver: s.driver, closed };
  return { driver: s.driver, local: String(driver.local()), ...(peer && { peer: String(peer) }) };
}

/** Returns the number of a C `int` that the kernel returned. For some options the kernel returns only one byte. */
function numberOf(bytes: Buffer): number {
  if (bytes.length === 4) return fromInt32(bytes);
  if (bytes.length === 1) return bytes.readUInt8();
  const text = `the value has ${bytes.length} bytes and is not a number: name a length to read them`;
  throw new OSError("EINVAL", { syscall: "getsockopt", text });
}
