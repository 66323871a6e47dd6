import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";

import type { AddressLike, Endpoint, Family } from "../address/address.js";
import type { InterfaceNumber } from "../address/hosts.js";
import type { Capabilities } from "../capabilities.js";
import * as c from "../constants.js";
import { fromInt32 } from "../driver/bytes.js";
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
import { payloadWithin } from "../send/path-mtu.js";
import { type SocketOptions, checkOptions, literalFor } from "./arguments.js";
import { Engine } from "./engine.js";
import { Events, type Packet, type SocketEvents } from "./events.js";

/** The largest value that `SO_RCVBUF` and `SO_SNDBUF` have by default: twice Linux's default limit. */
const defaultBufferBytes = 2 * 212_992;

/** How the host of a socket numbers its network interfaces, if that is known. */
export let interfaceNumberOf: (s: SocketSettings) => InterfaceNumber | undefined;

/** For the calls that send and receive. */
export let engineOf: (s: SocketSettings) => Engine;

/** What a socket tells and lets be set: its calls that return at once. */
export class SocketSettings extends EventEmitter<SocketEvents> {
  readonly family: Family;
  readonly type: typeof c.SOCK_DGRAM = c.SOCK_DGRAM;
  readonly #stack: Stack;
  readonly #engine: Engine;

  static {
    interfaceNumberOf = (s) => s.#stack.interfaceNumber;
    engineOf = (s) => s.#engine;
  }

  constructor(stack: Stack, family: Family, options: SocketOptions) {
    super();
    this.family = family;
    this.#stack = stack;
    const events = new Events(this, stack);
    this.#engine = new Engine(stack, family, checkOptions(options), (event, message) =>
      events.emit(event, message),
    );
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
      this.#engine.open("setsockopt").driver.setBytes(level, option, bytes);
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
    const max = length === undefined ? undefined : checkLength(length);
    if (isUnlisted(level, option)) {
      const bytes = this.#engine.open("getsockopt").driver.getBytes(level, option, max ?? 4);
      return max === undefined ? numberOf(bytes) : bytes;
    }
    const found = findOption(level, option, this.family, "getsockopt");
    checkReadable(found);
    const { driver } = this.#engine.open("getsockopt");
    if (found.family === c.AF_INET) this.#assertIPv4("getsockopt", found.name);
    const value = driver.getOption(found);
    if (max === undefined) return value;
    const bytes = bytesOfValue(found, value);
    return bytes ? Buffer.from(bytes.subarray(0, max)) : driver.getBytes(level, option, max);
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
    this.#engine.keepAlive.setReferenced(true);
    return this;
  }

  /** Lets the process end although calls wait. */
  unref(): this {
    this.#engine.keepAlive.setReferenced(false);
    return this;
  }

  /**
   * Shows `listener` every datagram that passes, as it is read and as it is sent.
   *
   * @returns the call that ends it.
   */
  tap(listener: (packet: Packet) => void): () => void {
    if (typeof listener !== "function") throw wrongType("listener", "a function", listener);
    return this.#engine.taps.add(listener);
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
    return this.#engine.open("pathMtu").paths.mtu(literalFor(address, this.family, "pathMtu"));
  }

  /**
   * Bytes of payload that a datagram to a destination may have and go in one packet: the path MTU less 28 bytes of headers
   * over IPv4, 48 over IPv6, and never above what a datagram can carry. Takes, gives and fails as `pathMtu` does.
   */
  maxPayload(address: AddressLike): number | undefined {
    const to = literalFor(address, this.family, "maxPayload");
    const mtu = this.#engine.open("maxPayload").paths.mtu(to);
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
    engine.membership(change);
  }

  /** An IPv6 socket carries IPv4 too, unless it was told not to. */
  #assertIPv4(syscall: string, what: string): void {
    if (this.family === c.AF_INET || !this.#isV6Only(syscall)) return;
    const text = `${what} is for IPv4, and this socket has IPV6_V6ONLY`;
    throw new OSError("ENOPROTOOPT", { syscall, text });
  }

  #isV6Only(syscall: string): boolean {
    return this.#engine.open(syscall).driver.getOption(v6OnlyOption) === 1;
  }
}

/** The number of what the kernel gave for a C `int`: of some options one byte alone. */
function numberOf(bytes: Buffer): number {
  if (bytes.length === 4) return fromInt32(bytes);
  if (bytes.length === 1) return bytes.readUInt8();
  const text = `the value has ${bytes.length} bytes and is no number: name a length to read them`;
  throw new OSError("EINVAL", { syscall: "getsockopt", text });
}
