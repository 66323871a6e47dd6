import type { Family } from "../../core/address/address.js";
import { AF_INET, IPPROTO_UDP, IP_PMTUDISC_DO, IP_PMTUDISC_WANT, SOCK_DGRAM } from "../../core/constants.js";
import { type Option, type OptionValue, twinOf } from "../../core/driver/options.js";

/** The smallest sizes of buffers on Linux: `SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF` (include/net/sock.h). */
const minReceiveBuffer = 2304;
const minSendBuffer = 4608;

/** Default values of options that are not 0. */
const defaults: Readonly<Record<string, OptionValue>> = {
  SO_TYPE: SOCK_DGRAM,
  SO_PROTOCOL: IPPROTO_UDP,
  SO_BINDTODEVICE: "",
  IP_TTL: 64,
  IP_MULTICAST_TTL: 1,
  IP_MULTICAST_LOOP: 1,
  IP_MULTICAST_IF: "0.0.0.0",
  IP_MTU_DISCOVER: IP_PMTUDISC_WANT,
  IPV6_UNICAST_HOPS: 64,
  IPV6_MULTICAST_HOPS: 1,
  IPV6_MULTICAST_LOOP: 1,
  IPV6_MULTICAST_IF: "",
  IPV6_MULTICAST_ALL: 1,
  IPV6_MTU_DISCOVER: IP_PMTUDISC_WANT,
  IP_UNICAST_IF: "",
  IPV6_UNICAST_IF: "",
};

/** Options for the packets of one version of IP. */
class VersionOptions {
  ttl = 64;
  tos = 0;
  multicastTtl = 1;
  discovery: number = IP_PMTUDISC_WANT;
  loop = true;
  /** The default interface for unicast: its name or number. */
  unicastInterface: string | undefined;
  /** The interface for multicast: its name, its number or one of its addresses. */
  multicastInterface: string | undefined;
}

/** The options of one socket, as on Linux. */
export class SimOptions {
  readonly #family: Family;
  readonly #set = new Map<string, OptionValue>();
  /** Stored as fields, not by name, because they are read for every datagram. */
  readonly #byVersion: Readonly<Record<4 | 6, VersionOptions>> = {
    4: new VersionOptions(),
    6: new VersionOptions(),
  };
  #all4: boolean;
  #all6 = true;
  broadcast = false;
  v6only = false;
  freebind = false;
  reuseAddress = false;
  reusePort = false;
  /** Bytes that unread datagrams may take, including overhead: double the requested size. */
  receiveBytes = 212_992;
  /** The interface that the socket is bound to; `""` for any. */
  device = "";
  /** Whether `bind` to port 0 binds only the address. */
  bindAddressNoPort = false;

  constructor(family: Family, dontFragment: boolean) {
    this.#family = family;
    // On Linux, IPv6 sockets have this only for IPv6 (`inet6_create`, net/ipv6/af_inet6.c).
    this.#all4 = family === AF_INET;
    if (!dontFragment) return;
    this.#apply("IP_MTU_DISCOVER", IP_PMTUDISC_DO);
    this.#apply("IPV6_MTU_DISCOVER", IP_PMTUDISC_DO);
  }

  /** The requested size of the receive buffer in bytes. */
  get askedBytes(): number {
    return this.receiveBytes / 2;
  }

  /** The options for packets of a version of IP. An IPv6 socket uses both, because it may have IPv4 peers. */
  forVersion(version: 4 | 6): Readonly<VersionOptions> {
    return this.#byVersion[version];
  }

  /** Whether multicast comes back to this host. Linux uses the option of the family of the socket (`sk_mc_loop`, net/core/sock.c). */
  get loop(): boolean {
    return this.#byVersion[this.#family === AF_INET ? 4 : 6].loop;
  }

  /** Whether the socket receives groups that only other sockets of the host joined. */
  multicastAll(version: 4 | 6): boolean {
    return version === 4 ? this.#all4 : this.#all6;
  }

  set(option: Option, value: OptionValue): void {
    // `SO_RCVBUFFORCE` is `SO_RCVBUF` here: there is no limit of a system to exceed.
    this.#apply(option.name.replace(/FORCE$/, ""), value);
    const twin = twinOf(option, value);
    if (twin) this.#apply(twin.option.name, twin.value);
  }

  /** The value of an option that is stored here. */
  get({ name }: Option): OptionValue {
    if (name === "SO_DOMAIN") return this.#family;
    if (name === "IP_MULTICAST_ALL") return this.#all4 ? 1 : 0;
    return this.#set.get(name) ?? defaults[name] ?? 0;
  }

  #apply(name: string, value: OptionValue): void {
    let kept = value;
    const number = value as number;
    const options = this.#byVersion[name.startsWith("IPV6_") ? 6 : 4];
    switch (name) {
      case "IP_TTL":
      case "IPV6_UNICAST_HOPS":
        options.ttl = number;
        break;
      case "IP_MULTICAST_TTL":
      case "IPV6_MULTICAST_HOPS":
        options.multicastTtl = number;
        break;
      case "IP_TOS":
      case "IPV6_TCLASS":
        options.tos = number;
        break;
      case "IP_MTU_DISCOVER":
      case "IPV6_MTU_DISCOVER":
        options.discovery = number;
        break;
      case "IP_MULTICAST_LOOP":
      case "IPV6_MULTICAST_LOOP":
        options.loop = number === 1;
        break;
      case "IP_MULTICAST_IF":
      case "IPV6_MULTICAST_IF":
        options.multicastInterface = String(value);
        break;
      case "IP_MULTICAST_ALL":
        this.#all4 = number === 1;
        break;
      case "IPV6_MULTICAST_ALL":
        this.#all6 = number === 1;
        break;
      case "SO_BINDTODEVICE":
        this.device = String(value);
        break;
      case "SO_BROADCAST":
        this.broadcast = number === 1;
        break;
      case "SO_REUSEADDR":
        this.reuseAddress = number === 1;
        break;
      case "SO_REUSEPORT":
        this.reusePort = number === 1;
        break;
      case "IP_UNICAST_IF":
      case "IPV6_UNICAST_IF":
        options.unicastInterface = value === "" ? undefined : String(value);
        break;
      case "IP_BIND_ADDRESS_NO_PORT":
        this.bindAddressNoPort = number === 1;
        break;
      case "IP_FREEBIND":
      case "IPV6_FREEBIND":
        this.freebind = number === 1;
        break;
      case "IPV6_V6ONLY":
        this.v6only = number === 1;
        break;
      case "SO_RCVBUF":
        kept = this.receiveBytes = Math.max(minReceiveBuffer, 2 * number);
        break;
      case "SO_SNDBUF":
        kept = Math.max(minSendBuffer, 2 * number);
    }
    this.#set.set(name, kept);
  }
}
