import type dgram from "node:dgram";

import { type Endpoint, type Family, anyAddress, isOverIPv4, unmapped } from "../../core/address/address.js";
import { AF_INET, AF_INET6, IPPROTO_UDP, SOCK_DGRAM } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import type { MembershipChange } from "../../core/driver/membership.js";
import { isMulticast, parseLiteral } from "../../core/ip.js";
import { type Option, type OptionValue, twinOf } from "../../core/driver/options.js";
import { interfaceAddress } from "../interfaces.js";
import { runtime } from "../runtime.js";
import { toOSError } from "./errors.js";
import { DgramMemberships } from "./memberships.js";
import { setsBuffers } from "./runtimes.js";

/** Sets an option on an open socket of Node. */
type Apply = (socket: dgram.Socket, value: OptionValue) => void;

/** The options that `node:dgram` has a call for. */
const applied: Readonly<Record<string, Apply>> = {
  SO_BROADCAST: (socket, value) => socket.setBroadcast(value === 1),
  // To libuv, 0 asks for the size. The kernel raises 0 and 1 to the same minimum.
  SO_RCVBUF: (socket, value) => socket.setRecvBufferSize(Math.max(1, value as number)),
  SO_SNDBUF: (socket, value) => socket.setSendBufferSize(Math.max(1, value as number)),
  IP_TTL: (socket, value) => socket.setTTL(value as number),
  IPV6_UNICAST_HOPS: (socket, value) => socket.setTTL(value as number),
  IP_MULTICAST_TTL: (socket, value) => socket.setMulticastTTL(value as number),
  IPV6_MULTICAST_HOPS: (socket, value) => socket.setMulticastTTL(value as number),
  IP_MULTICAST_LOOP: (socket, value) => socket.setMulticastLoopback(value === 1),
  IPV6_MULTICAST_LOOP: (socket, value) => socket.setMulticastLoopback(value === 1),
  // libuv chooses the option by the family of the address.
  IP_MULTICAST_IF: (socket, value) => socket.setMulticastInterface(multicastInterface(value, AF_INET)),
  IPV6_MULTICAST_IF: (socket, value) => socket.setMulticastInterface(multicastInterface(value, AF_INET6)),
};

/** The options that `dgram.createSocket` takes, with its names for them. */
const atOpening = { SO_REUSEADDR: "reuseAddr", SO_REUSEPORT: "reusePort", IPV6_V6ONLY: "ipv6Only" } as const;

/**
 * The IPv6 options that datagrams to IPv4 need too. `IPV6_MULTICAST_LOOP` is not one of them: on an IPv6 socket the kernel
 * uses it for IPv4 groups as well (`sk_mc_loop`, net/core/sock.c).
 */
const unicastTwins = ["IPV6_UNICAST_HOPS"] as const;
const multicastTwins = ["IPV6_MULTICAST_HOPS", "IPV6_MULTICAST_IF"] as const;

/** The values of options that were never set, as far as they are the same everywhere (`socket(7)`, `ip(7)`, `ipv6(7)`). */
const defaults: Readonly<Record<string, OptionValue>> = {
  SO_BROADCAST: 0,
  SO_REUSEADDR: 0,
  SO_REUSEPORT: 0,
  SO_ERROR: 0,
  SO_TYPE: SOCK_DGRAM,
  SO_PROTOCOL: IPPROTO_UDP,
  IP_MULTICAST_TTL: 1,
  IP_MULTICAST_LOOP: 1,
  IP_MULTICAST_IF: "0.0.0.0",
  IPV6_MULTICAST_IF: "",
  IPV6_MULTICAST_HOPS: 1,
  IPV6_MULTICAST_LOOP: 1,
  // 1 with `net.ipv6.bindv6only`, which no system sets by default.
  IPV6_V6ONLY: 0,
};

/** Whether this Node passes `reusePort` to the kernel, which it does from 22.12 and 23.1 on. Node 20 and Deno ignore it. */
export const hasReusePort: boolean = runtime.name !== "Deno" && knowsReusePort(process.versions.node);

/**
 * The options and groups of one socket of `node:dgram`. It sets most of them only once it is bound, so they are kept and set
 * then.
 */
export class DgramOptions {
  readonly #family: Family;
  readonly #values = new Map<string, OptionValue>();
  readonly #memberships = new DgramMemberships();
  /** The options that were set for IPv6 only, although they should hold for IPv4 too. */
  readonly #missing = new Set<string>();

  constructor(family: Family) {
    this.#family = family;
  }

  /** Bytes that the program asked for as the receive buffer; 0 if it did not ask. */
  get askedBytes(): number {
    return Number(this.#values.get("SO_RCVBUF") ?? 0);
  }

  /** The options that `dgram.createSocket` takes. */
  get atOpening(): { reuseAddr?: boolean; reusePort?: boolean; ipv6Only?: boolean } {
    return Object.fromEntries(
      Object.entries(atOpening).map(([name, key]) => [key, this.#values.get(name) === 1]),
    );
  }

  set(option: Option, value: OptionValue, socket: dgram.Socket | undefined): void {
    const { name } = option;
    const apply = applied[name];
    if (option.family === AF_INET && this.#family === AF_INET6 && option.kind !== "interface") {
      throw unsupported(
        "setsockopt",
        `node:dgram cannot set ${name} of an IPv6 socket: the native driver can`,
      );
    }
    if (apply) {
      if (option.kind === "interface") multicastInterface(value, option.family ?? this.#family);
      if (socket) attempt("setsockopt", () => apply(socket, value));
      this.#setTwin(option, value, socket);
    } else if (!(name in atOpening)) {
      throw unsupported("setsockopt", `the dgram driver cannot set ${name}: the native driver can`);
    } else if (socket) {
      throw unsupported("setsockopt", `the dgram driver sets ${name} only before the socket is bound`);
    } else if (name === "SO_REUSEPORT" && !hasReusePort) {
      throw unsupported("setsockopt", `node:dgram of ${runtime.name} ${runtime.version} has no SO_REUSEPORT`);
    }
    this.#values.set(name, value);
  }

  /**
   * The option that was set for IPv6 and would not hold for datagrams to `to`, because they are IPv4; `undefined` without
   * one.
   */
  missingFor(to: Endpoint): string | undefined {
    if (this.#missing.size === 0 || !isOverIPv4(to)) return undefined;
    const bytes = parseLiteral(unmapped(to).host)?.bytes;
    const needed = bytes && isMulticast(bytes) ? multicastTwins : unicastTwins;
    return needed.find((name) => this.#missing.has(name));
  }

  get(option: Option, socket: dgram.Socket | undefined): OptionValue {
    const { name } = option;
    if (name === "SO_DOMAIN") return this.#family;
    if (!setsBuffers && (name === "SO_RCVBUF" || name === "SO_SNDBUF"))
      throw unsupported("getsockopt", `node:dgram of ${runtime.name} does not set or read ${name}`);
    if (socket && name === "SO_RCVBUF") return socket.getRecvBufferSize();
    if (socket && name === "SO_SNDBUF") return socket.getSendBufferSize();
    const value = this.#values.get(name) ?? defaults[name];
    if (value !== undefined) return value;
    throw unsupported("getsockopt", `the dgram driver cannot read ${name}: the native driver can`);
  }

  changeMembership(change: MembershipChange, socket: dgram.Socket | undefined): void {
    this.#memberships.change(change, socket);
  }

  /** `node:dgram` sets an option of IPv4 on an IPv6 socket only if its value is an interface, named by its IPv4 address. */
  #setTwin(option: Option, value: OptionValue, socket: dgram.Socket | undefined): void {
    const twin = twinOf(option, value);
    if (!twin) return;
    this.#missing.add(option.name);
    if (twin.option.kind !== "interface") return;
    try {
      this.set(twin.option, twin.value, socket);
      this.#missing.delete(option.name);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
    }
  }

  /** Sets all options and joins all groups on a socket that has just been bound. */
  replay(socket: dgram.Socket): void {
    for (const [name, value] of this.#values) {
      const apply = applied[name];
      if (apply) attempt("setsockopt", () => apply(socket, value));
    }
    this.#memberships.replay(socket);
  }
}

function multicastInterface(value: OptionValue, family: Family): string {
  // With `""` the system chooses.
  return value === "" ? anyAddress(family).host : interfaceAddress(String(value), family, "setsockopt");
}

function attempt(syscall: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw toOSError(error, syscall);
  }
}

function unsupported(syscall: string, text: string): OSError {
  return new OSError("ENOTSUP", { syscall, text });
}

function knowsReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}
