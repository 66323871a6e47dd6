import { isWildcard } from "../../core/address/address.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import {
  type HostAddress,
  bytesOf,
  commonBits,
  isGroup,
  isLoopback,
  isWithin,
  limitedBroadcast,
  onTheWire,
} from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { Interface, Node, OutgoingLink } from "../node/node.js";
import { ShortestPaths } from "../node/shortest-paths.js";
import { AddressLinks } from "./address-links.js";

/** The number of routes that one host remembers. When it is reached, all of them are forgotten. */
const maxRoutes = 16_384;

/** How a packet leaves for a destination. */
export interface Route {
  readonly version: 4 | 6;
  /** As it is written in packets. */
  readonly destination: string;
  readonly kind: "unicast" | "multicast" | "broadcast";
  readonly outgoing: Interface;
  /** The source address of a datagram for which the program chose none. */
  readonly source: string;
}

/** The addresses and interfaces of one host, and its routes to others. */
export class Routing {
  readonly interfaces: Interface[] = [];
  readonly #context: NetworkContext;
  readonly #node: Node;
  readonly #addresses: readonly HostAddress[];
  readonly #own: ReadonlySet<string>;
  readonly #broadcasts: ReadonlySet<string>;
  readonly #paths: ShortestPaths;
  readonly #addressLinks: AddressLinks;
  readonly #routeCache = new Map<string, Route>();
  #generation = -1;

  constructor(context: NetworkContext, node: Node, addresses: readonly HostAddress[]) {
    this.#context = context;
    this.#node = node;
    this.#addresses = addresses;
    this.#own = new Set(addresses.map(({ host }) => host));
    this.#broadcasts = new Set(
      addresses.flatMap(({ broadcast }) => (broadcast === undefined ? [] : [broadcast])),
    );
    this.#paths = new ShortestPaths(context, node);
    this.#addressLinks = new AddressLinks(context, this.interfaces, addresses);
  }

  /** The loopback interface, which is always the first. */
  get lo(): Interface {
    return this.interfaces[0] as Interface;
  }

  /** The interface for multicast and memberships if the program names none. */
  get defaultInterface(): Interface {
    return this.interfaces[1] ?? this.lo;
  }

  attach(out: OutgoingLink, name = `eth${this.interfaces.length - 1}`): Interface {
    const made = { node: this.#node, name, index: this.interfaces.length + 1, out };
    this.interfaces.push(made);
    return made;
  }

  /** The addresses of the host, and the interface of each: `lo` if the host has no links. */
  get placedAddresses(): [HostAddress, Interface][] {
    return this.#addresses.map((address) => [address, this.#addressLinks.of(address) ?? this.lo]);
  }

  /** Whether the host was given this address. Loopback addresses do not count. */
  hasAddress(host: string): boolean {
    return this.#own.has(host);
  }

  /** Whether an address, as it is written in packets, is the host's own or a loopback address. */
  isOwn(host: string): boolean {
    return this.#own.has(host) || isLoopback(host);
  }

  /** Whether a destination is the broadcast address of a network of this host. */
  isBroadcast(host: string): boolean {
    return host === limitedBroadcast || host === "127.255.255.255" || this.#broadcasts.has(host);
  }

  /** The interface with this name, this number or this address of the host; `undefined` if there is none. */
  interface(given: string): Interface | undefined {
    const literal = parseLiteral(given);
    // oxlint-disable-next-line typescript/prefer-nullish-coalescing -- a literal without a zone has an empty one
    const called = literal?.zone || given;
    const named = this.interfaces.find(({ name, index }) => name === called || String(index) === called);
    if (named) return named;
    if (literal?.zone !== "") return undefined;
    const host = onTheWire(given);
    const own = this.#addresses.find((address) => address.host === host);
    if (own) return this.#addressLinks.of(own) ?? this.lo;
    return isLoopback(formatLiteral(literal.bytes)) ? this.lo : undefined;
  }

  /**
   * The route to a host.
   *
   * @param host as it is written in packets; `0.0.0.0` and `::` are this host.
   * @param by the interface that the packet must leave by.
   * @returns the code of an error if there is no route.
   */
  route(host: string, by?: Interface): Route | string {
    if (this.#generation !== this.#context.generation || this.#routeCache.size >= maxRoutes) {
      this.#routeCache.clear();
      this.#generation = this.#context.generation;
    }
    const key = by ? `${host}%${by.index}` : host;
    const known = this.#routeCache.get(key);
    if (known) return known;
    const found = this.#findRoute(host, by);
    if (typeof found === "object") this.#routeCache.set(key, found);
    return found;
  }

  #findRoute(host: string, by: Interface | undefined): Route | string {
    const version = host.includes(":") ? 6 : 4;
    const destination = isWildcard(host) ? (version === 4 ? "127.0.0.1" : "::1") : host;
    const broadcast = version === 4 && this.isBroadcast(destination);
    if (broadcast || isGroup(destination)) {
      const loops = destination === "127.255.255.255";
      const network = this.#addresses.find((address) => address.broadcast === destination);
      const chosen = loops
        ? this.lo
        : (by ?? (network && this.#addressLinks.of(network)) ?? this.defaultInterface);
      const kind = broadcast ? "broadcast" : "multicast";
      const source = this.#sourceTo(destination, version, chosen);
      return source === undefined ? "ENETUNREACH" : { version, destination, kind, outgoing: chosen, source };
    }
    if (this.isOwn(destination)) {
      // For IPv6, Linux looks for its own address only on the interface that the program named.
      if (by && version === 6 && by !== this.interface(destination)) return "ENETUNREACH";
      const source = this.#own.has(destination) ? destination : version === 4 ? "127.0.0.1" : "::1";
      return { version, destination, kind: "unicast", outgoing: this.lo, source };
    }
    const owner = this.#context.owner(destination);
    // If no node has the address, the nearest router answers with an ICMP error.
    const shortest = owner ? this.#paths.to(owner) : this.#paths.toRouter();
    if (!shortest)
      return this.#addresses.some((own) => isWithin(bytesOf(host), own)) ? "EHOSTUNREACH" : "ENETUNREACH";
    // Without a route by the named interface, IPv6 sends nothing. IPv4 looks for the host on that link anyway.
    if (by && by !== shortest && version === 6 && by.out.to.node.kind === "host") return "ENETUNREACH";
    const source = this.#sourceTo(destination, version, by ?? shortest);
    if (source === undefined) return "ENETUNREACH";
    return { version, destination, kind: "unicast", outgoing: by ?? shortest, source };
  }

  /**
   * The source address for a destination. An address of the outgoing interface comes first (RFC 6724, section 5, rule 5);
   * of several, the one with the longest common prefix (rule 8).
   */
  #sourceTo(destination: string, version: 4 | 6, by: Interface): string | undefined {
    if (by === this.lo) return version === 4 ? "127.0.0.1" : "::1";
    const bytes = bytesOf(destination);
    const own = this.#addresses.filter((address) => address.version === version);
    const there = this.interfaces.length > 2 ? own.filter((each) => this.#addressLinks.of(each) === by) : own;
    let best: HostAddress | undefined;
    for (const address of there.length > 0 ? there : own) {
      if (!best || commonBits(address.bytes, bytes) > commonBits(best.bytes, bytes)) best = address;
    }
    return best?.host;
  }
}
