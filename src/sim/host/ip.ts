import type { Buffer } from "node:buffer";

import { isWildcard } from "../../core/address/address.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import { IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT } from "../../core/constants.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import type { HostCounts } from "../../core/ledger/ledger.js";
import { LinkDirection } from "../link/direction.js";
import { checkSettings } from "../link/check.js";
import type { Transit } from "../link/transit.js";
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
import type { OutgoingLink, Interface, Node } from "../node/node.js";
import { ShortestPaths } from "../node/shortest-paths.js";
import { fragments } from "../packet/fragments.js";
import { type IcmpReason, icmpErrorFor } from "../packet/icmp.js";
import {
  type IcmpError,
  type Packet,
  type UdpDatagram,
  ipHeaderBytes,
  isFragment,
  udpHeaderBytes,
} from "../packet/packet.js";
import { Reassembly } from "../packet/reassembly.js";
import type { Random } from "../random.js";
import type { Fate } from "../trace/entry.js";
import { Groups } from "./groups.js";
import { PathMtuCache } from "./path-mtu-cache.js";
import { type SocketBinding, Ports } from "./ports.js";
import { AddressLinks } from "./address-links.js";

/** The loopback interface, as Linux has it. The rate gives each datagram a time of its own. */
const loopback = checkSettings({ mtuBytes: 65_536, rateBps: 1e12, queueBytes: 2 ** 30 }, "lo", "up");
/** Destinations whose way one host remembers; past that many it starts anew. */
const maxRoutes = 16_384;
/** The longest IPv4 packet (RFC 791), and the longest content of one of IPv6 (RFC 8200). */
const maxLength = 65_535;

/** `IP_PMTUDISC_INTERFACE` (linux/in.h): the MTU of the first link alone counts, and what is larger is refused. */
const IP_PMTUDISC_INTERFACE = 4;

/** The way to a destination. */
export interface Route {
  readonly version: 4 | 6;
  /** As it is in packets. */
  readonly destination: string;
  readonly kind: "unicast" | "multicast" | "broadcast";
  readonly outgoing: Interface;
  /** The address that a datagram comes from which names none. */
  readonly source: string;
}

/** The Internet protocol of one host: ways out, ways in, fragments, ICMP. */
export class Ip {
  readonly ports: Ports;
  readonly groups: Groups = new Groups();
  readonly interfaces: Interface[] = [];
  #isUp = true;
  readonly #context: NetworkContext;
  readonly #node: Node;
  readonly #addresses: readonly HostAddress[];
  readonly #own: ReadonlySet<string>;
  readonly #broadcasts: ReadonlySet<string>;
  readonly #paths: ShortestPaths;
  readonly #addressLinks: AddressLinks;
  readonly #reassembly: Reassembly<Transit>;
  readonly #routeCache = new Map<string, Route>();
  #generation = -1;
  readonly #pathMtus: PathMtuCache;
  /** Lead back to the interface that multicast left by. */
  readonly #loops = new Map<Interface, LinkDirection>();
  #identification: number;
  /** Datagrams that came and were dropped: for lack of room, one for each socket, or for a wrong checksum. */
  readonly #received = { 4: { full: 0, damaged: 0 }, 6: { full: 0, damaged: 0 } };
  readonly #number = (): number => this.#context.nextPacketNumber();

  constructor(context: NetworkContext, node: Node, addresses: readonly HostAddress[], random: Random) {
    this.#context = context;
    this.#node = node;
    this.#addresses = addresses;
    this.#own = new Set(addresses.map(({ host }) => host));
    this.#broadcasts = new Set(
      addresses.flatMap(({ broadcast }) => (broadcast === undefined ? [] : [broadcast])),
    );
    this.#pathMtus = new PathMtuCache(context.scheduler);
    this.#paths = new ShortestPaths(context, node);
    this.#addressLinks = new AddressLinks(context, this.interfaces, addresses);
    this.ports = new Ports(random);
    this.#identification = random.uint32();
    this.#reassembly = new Reassembly<Transit>(
      context.scheduler,
      context.nextRank(),
      (transit, fate) => context.trace.setFate(transit, fate),
      (first) => this.#sendIcmpError(first, "reassemblyTimedOut"),
    );
    const lo = new LinkDirection(context, `${node.name} lo`, loopback, true);
    lo.setFarEnd(this.attach(lo, "lo"));
  }

  /** Whether the host runs: not from `crash()` to `restart()`. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** The loopback interface is the first. */
  get lo(): Interface {
    return this.interfaces[0] as Interface;
  }

  attach(out: OutgoingLink, name = `eth${this.interfaces.length - 1}`): Interface {
    const made = { node: this.#node, name, index: this.interfaces.length + 1, out };
    this.interfaces.push(made);
    return made;
  }

  /** Whether this host has an address, as it is in packets. */
  isOwn(host: string): boolean {
    return this.#own.has(host) || isLoopback(host);
  }

  /** Whether a destination means everybody on a network of this host. */
  isBroadcast(host: string): boolean {
    return host === limitedBroadcast || host === "127.255.255.255" || this.#broadcasts.has(host);
  }

  /** The interface of a name, a number, or an address of this host; `undefined` where there is none. */
  interface(given: string): Interface | undefined {
    const literal = parseLiteral(given);
    // eslint-disable-next-line @typescript-eslint/prefer-nullish-coalescing -- a literal without a zone has an empty one
    const called = literal?.zone || given;
    const named = this.interfaces.find(({ name, index }) => name === called || String(index) === called);
    if (named) return named;
    if (literal?.zone !== "") return undefined;
    const host = onTheWire(given);
    const own = this.#addresses.find((address) => address.host === host);
    if (own) return this.#addressLinks.of(own) ?? this.lo;
    return isLoopback(formatLiteral(literal.bytes)) ? this.lo : undefined;
  }

  /** The interface that groups are met on which name none. */
  get defaultInterface(): Interface {
    return this.interfaces[1] ?? this.lo;
  }

  /**
   * The way to a host.
   *
   * @param host as it is in packets; `0.0.0.0` and `::` are this host.
   * @param by the interface that it must leave by.
   * @returns the code of an error, where there is no way.
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

  /** Bytes of the largest packet that goes whole along a way, as far as is known. @param firstLink looks no further. */
  mtu({ version, destination, outgoing }: Route, firstLink = false): number {
    const most = version === 4 ? Math.min(outgoing.out.mtu, maxLength) : outgoing.out.mtu;
    const told = firstLink ? undefined : this.#pathMtus.of(destination);
    return told ? Math.min(told.mtu, most) : most;
  }

  /**
   * Sends a datagram.
   *
   * @param from the socket that sends it.
   * @param port of the destination.
   * @param source the address that it comes from.
   * @param ancillary it leaves, where that differs from what the socket's options say.
   * @returns the code of an error, `undefined` where it left.
   */
  send(
    from: SocketBinding,
    route: Route,
    port: number,
    payload: Buffer,
    source: string,
    ancillary: Ancillary | undefined,
  ): string | undefined {
    const { options } = from;
    const { version, destination, kind } = route;
    const length = udpHeaderBytes + payload.length;
    const header = ipHeaderBytes[version];
    const versionOptions = options.forVersion(version);
    if (length + (version === 4 ? header : 0) > maxLength) return "EMSGSIZE";
    const discovery = ancillary?.probe === true ? IP_PMTUDISC_PROBE : versionOptions.discovery;
    // The modes behind it look at the first link alone too, and forbid nothing (ip_sk_use_pmtu, include/net/ip.h).
    const mtu = this.mtu(route, discovery >= IP_PMTUDISC_PROBE);
    const whole = header + length <= mtu;
    const forbidden = discovery === IP_PMTUDISC_DO || discovery === IP_PMTUDISC_PROBE;
    if (!whole && (forbidden || discovery === IP_PMTUDISC_INTERFACE)) return "EMSGSIZE";
    const number = this.#number;
    this.#identification = (this.#identification + 1) >>> 0;
    const packet: Packet = {
      number: number(),
      version,
      source,
      destination,
      ttl: ancillary?.ttl ?? (kind === "multicast" ? versionOptions.multicastTtl : versionOptions.ttl),
      tos: tosOf(versionOptions.tos, ancillary),
      identification: version === 4 ? this.#identification & 0xffff : this.#identification,
      dontFragment:
        version === 6 ||
        forbidden ||
        (discovery === IP_PMTUDISC_WANT && whole && this.#pathMtus.of(destination)?.narrower !== true),
      content: {
        protocol: "udp",
        sourcePort: from.port,
        destinationPort: port,
        payload,
        intact: undefined,
      },
      offset: 0,
      length,
      moreFragments: false,
    };
    if (whole) this.#transmit(packet, route, options.loop);
    else for (const part of fragments(packet, mtu, number)) this.#transmit(part, route, options.loop);
    return undefined;
  }

  /** A packet has come. */
  arrive(transit: Transit, at: Interface): boolean {
    const { packet } = transit;
    const { trace } = this.#context;
    const { destination } = packet;
    if (!this.#isUp) {
      trace.setFate(transit, "host is down");
      return false;
    }
    const own = this.#own.has(destination);
    const toAll = !own && (isGroup(destination) || this.isBroadcast(destination));
    if (!own && !toAll && !(at === this.lo && this.isOwn(destination))) {
      trace.setFate(transit, "not for this host");
      return false;
    }
    const whole = isFragment(packet) ? this.#reassembly.add(transit) : packet;
    if (!whole) return false;
    const { content } = whole;
    if (content.protocol === "icmp") return this.#receiveIcmp(content, whole, transit);
    if (content.intact) {
      this.#received[whole.version].damaged++;
      trace.setFate(transit, "wrong checksum");
      return false;
    }
    if (toAll) return this.#deliverToAll(whole, content, transit, at);
    // What a host sends to itself is said to have come by the interface of the address (`rt_iif`, net/ipv4/route.c).
    const by = own && at === this.lo ? (this.interface(destination) ?? at) : at;
    return this.#deliver(whole, content, transit, by);
  }

  /** What this host has counted since it was made, as Linux names it. */
  counts(): HostCounts {
    const { failures } = this.#reassembly;
    const [four, six] = [this.#received[4], this.#received[6]];
    return Object.freeze({
      IpReasmFails: failures[4],
      Ip6ReasmFails: failures[6],
      UdpRcvbufErrors: four.full,
      Udp6RcvbufErrors: six.full,
      UdpInErrors: four.full + four.damaged,
      Udp6InErrors: six.full + six.damaged,
    });
  }

  /** Lets nothing out or in until `restart()`; forgets what it has learnt, and what waits to leave by its links. */
  crash(): void {
    this.#isUp = false;
    this.#reassembly.clear();
    this.#pathMtus.clear();
    for (const { out } of this.interfaces) out.discard();
  }

  restart(): void {
    this.#isUp = true;
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
      // Linux looks for an IPv6 address of its own on the interface that was named alone.
      if (by && version === 6 && by !== this.interface(destination)) return "ENETUNREACH";
      const source = this.#own.has(destination) ? destination : version === 4 ? "127.0.0.1" : "::1";
      return { version, destination, kind: "unicast", outgoing: this.lo, source };
    }
    const owner = this.#context.owner(destination);
    // Where nobody has the address, a router is the one to say so.
    const route = owner ? this.#paths.to(owner) : this.#paths.toRouter();
    if (!route)
      return this.#addresses.some((own) => isWithin(bytesOf(host), own)) ? "EHOSTUNREACH" : "ENETUNREACH";
    // Where IPv6 has no route by the interface that was named, it sends nothing; IPv4 asks that link for the host all the same.
    if (by && by !== route && version === 6 && by.out.to.node.kind === "host") return "ENETUNREACH";
    const source = this.#sourceTo(destination, version, by ?? route);
    if (source === undefined) return "ENETUNREACH";
    return { version, destination, kind: "unicast", outgoing: by ?? route, source };
  }

  /** The address of this host that has most in common with a destination (RFC 6724, section 5, rule 8). */
  #sourceTo(destination: string, version: 4 | 6, by: Interface): string | undefined {
    if (by === this.lo) return version === 4 ? "127.0.0.1" : "::1";
    const bytes = bytesOf(destination);
    const own = this.#addresses.filter((address) => address.version === version);
    // Rule 5 comes first: an address of the interface that it leaves by.
    const there = this.interfaces.length > 2 ? own.filter((each) => this.#addressLinks.of(each) === by) : own;
    let best: HostAddress | undefined;
    for (const address of there.length > 0 ? there : own) {
      if (!best || commonBits(address.bytes, bytes) > commonBits(best.bytes, bytes)) best = address;
    }
    return best?.host;
  }

  #transmit(packet: Packet, { kind, outgoing }: Route, loop: boolean): void {
    if (kind === "unicast") {
      this.#leaveBy(packet, outgoing.out);
      return;
    }
    const staysHere = outgoing === this.lo || packet.ttl === 0 || packet.destination.startsWith("ff01:");
    if (!staysHere) this.#leaveBy(packet, outgoing.out);
    if (loop || kind === "broadcast") this.#leaveBy(packet, this.#loopOf(outgoing));
  }

  /** A rule of a link may end the host between two fragments: nothing leaves from then on. */
  #leaveBy(packet: Packet, out: OutgoingLink): void {
    if (this.#isUp) out.transmit(packet);
  }

  #loopOf(by: Interface): OutgoingLink {
    if (by === this.lo) return by.out;
    let loop = this.#loops.get(by);
    if (!loop) {
      loop = new LinkDirection(this.#context, `${this.#node.name} ${by.name} loop`, loopback, true);
      loop.setFarEnd(by);
      this.#loops.set(by, loop);
    }
    return loop;
  }

  #deliver(packet: Packet, datagram: UdpDatagram, transit: Transit, at: Interface): boolean {
    const { trace } = this.#context;
    const socket = this.ports.receiver(packet, datagram.sourcePort, datagram.destinationPort, at);
    if (!socket) {
      trace.setFate(transit, "nobody listens");
      this.#sendIcmpError(packet, "portUnreachable");
      return false;
    }
    const told = socket.arrive(packet, datagram, transit.time, at, false);
    if (told === undefined) this.#received[packet.version].full++;
    trace.setFate(transit, told === undefined ? "receive buffer full" : "delivered");
    return told ?? false;
  }

  #deliverToAll(packet: Packet, datagram: UdpDatagram, transit: Transit, at: Interface): boolean {
    const { destination, source } = packet;
    const broadcast = this.isBroadcast(destination);
    const member = broadcast || this.groups.has(destination, source, at);
    let fate: Fate = "nobody listens";
    let anyTold = false;
    for (const socket of member ? this.ports.at(datagram.destinationPort) : []) {
      if (socket.binding.score(packet, datagram.sourcePort, at) < 0) continue;
      const all = socket.binding.options.multicastAll(packet.version);
      if (!broadcast && !this.groups.delivers(socket, destination, source, at, all)) continue;
      const told = socket.arrive(packet, datagram, transit.time, at, true);
      if (told !== undefined) fate = "delivered";
      else {
        this.#received[packet.version].full++;
        if (fate === "nobody listens") fate = "receive buffer full";
      }
      anyTold = told === true || anyTold;
    }
    this.#context.trace.setFate(transit, fate);
    return anyTold;
  }

  /** What ICMP says of a datagram of one of the sockets here. */
  #receiveIcmp(error: IcmpError, packet: Packet, transit: Transit): boolean {
    const { about } = error;
    const original = about.content;
    const { trace } = this.#context;
    const sockets = original.protocol === "udp" ? this.ports.at(original.sourcePort) : [];
    const asked = sockets.filter((socket) => socket.binding.mayHaveSent(about));
    if (original.protocol !== "udp" || asked.length === 0) {
      trace.setFate(transit, "nobody asked");
      return false;
    }
    trace.setFate(transit, "noted");
    this.#pathMtus.note(error);
    if (!reachesSockets(error)) return false;
    for (const socket of asked) socket.icmpArrived(error, original.destinationPort, packet.source);
    return true;
  }

  #sendIcmpError(about: Packet, reason: IcmpReason): void {
    if (isGroup(about.destination) || this.isBroadcast(about.destination)) return;
    const error = icmpErrorFor(about, reason, about.destination, this.#number);
    const route = this.route(about.source);
    if (!error || typeof route === "string") return;
    for (const part of fragments(error, route.outgoing.out.mtu, this.#number))
      this.#leaveBy(part, route.outgoing.out);
  }
}

/** Whether sockets hear of it: "reassembly time exceeded" ends in the kernel over IPv4 (`icmp_unreach`, net/ipv4/icmp.c). */
function reachesSockets({ type, code, about }: IcmpError): boolean {
  return !(about.version === 4 && type === 11 && code === 1);
}

/** The whole byte that a datagram leaves with. */
function tosOf(own: number, ancillary: Ancillary | undefined): number {
  if (ancillary?.tos !== undefined) return ancillary.tos;
  return ancillary?.ecn === undefined ? own : (own & 0xfc) | ancillary.ecn;
}
