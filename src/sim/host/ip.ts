import type { Buffer } from "node:buffer";

import { isWildcard } from "../../core/address/address.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import { IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT } from "../../core/constants.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import type { HostCounts } from "../../core/ledger/ledger.js";
import { Channel } from "../link/channel.js";
import { checkSettings } from "../link/check.js";
import type { Flight } from "../link/flight.js";
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
import type { Fabric } from "../node/fabric.js";
import type { Exit, Interface, Node } from "../node/node.js";
import { Routes } from "../node/routes.js";
import { fragments } from "../packet/fragments.js";
import { type Complaint, icmpAbout } from "../packet/icmp.js";
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
import type { Fate } from "../trace/passage.js";
import { Groups } from "./groups.js";
import { PathMtuCache } from "./path-mtu-cache.js";
import { type Bound, Ports } from "./ports.js";
import { Segments } from "./segments.js";

/** The loopback interface, as Linux has it. The rate gives each datagram a time of its own. */
const loopback = checkSettings({ mtuBytes: 65_536, rateBps: 1e12, queueBytes: 2 ** 30 }, "lo", "up");
/** Destinations whose way one host remembers; past that many it starts anew. */
const mostWays = 16_384;
/** The longest IPv4 packet (RFC 791), and the longest content of one of IPv6 (RFC 8200). */
const longest = 65_535;

/** `IP_PMTUDISC_INTERFACE` (linux/in.h): the MTU of the first link alone counts, and what is larger is refused. */
const IP_PMTUDISC_INTERFACE = 4;

/** The way to a destination. */
export interface Way {
  readonly version: 4 | 6;
  /** As it is in packets. */
  readonly destination: string;
  readonly kind: "unicast" | "multicast" | "broadcast";
  readonly by: Interface;
  /** The address that a datagram comes from which names none. */
  readonly source: string;
}

/** The Internet protocol of one host: ways out, ways in, fragments, ICMP. */
export class Ip {
  readonly ports: Ports;
  readonly groups: Groups = new Groups();
  readonly interfaces: Interface[] = [];
  #isUp = true;
  readonly #fabric: Fabric;
  readonly #node: Node;
  readonly #addresses: readonly HostAddress[];
  readonly #own: ReadonlySet<string>;
  readonly #broadcasts: ReadonlySet<string>;
  readonly #routes: Routes;
  readonly #segments: Segments;
  readonly #reassembly: Reassembly<Flight>;
  readonly #ways = new Map<string, Way>();
  #generation = -1;
  readonly #pathMtus: PathMtuCache;
  /** Lead back to the interface that multicast left by. */
  readonly #loops = new Map<Interface, Channel>();
  #identification: number;
  /** Datagrams that came and were dropped: for lack of room, one for each socket, or for a wrong checksum. */
  readonly #received = { 4: { full: 0, damaged: 0 }, 6: { full: 0, damaged: 0 } };
  readonly #number = (): number => this.#fabric.number();

  constructor(fabric: Fabric, node: Node, addresses: readonly HostAddress[], random: Random) {
    this.#fabric = fabric;
    this.#node = node;
    this.#addresses = addresses;
    this.#own = new Set(addresses.map(({ host }) => host));
    this.#broadcasts = new Set(
      addresses.flatMap(({ broadcast }) => (broadcast === undefined ? [] : [broadcast])),
    );
    this.#pathMtus = new PathMtuCache(fabric.timeline);
    this.#routes = new Routes(fabric, node);
    this.#segments = new Segments(fabric, this.interfaces, addresses);
    this.ports = new Ports(random);
    this.#identification = random.uint32();
    this.#reassembly = new Reassembly<Flight>(
      fabric.timeline,
      fabric.rank(),
      (flight, fate) => fabric.trace.settle(flight, fate),
      (first) => this.#complain(first, "reassemblyTimedOut"),
    );
    const lo = new Channel(fabric, `${node.name} lo`, loopback, true);
    lo.lead(this.attach(lo, "lo"));
  }

  /** Whether the host runs: not from `crash()` to `restart()`. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** The loopback interface is the first. */
  get lo(): Interface {
    return this.interfaces[0] as Interface;
  }

  attach(out: Exit, name = `eth${this.interfaces.length - 1}`): Interface {
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
    if (own) return this.#segments.of(own) ?? this.lo;
    return isLoopback(formatLiteral(literal.bytes)) ? this.lo : undefined;
  }

  /** The interface that groups are met on which name none. */
  get usual(): Interface {
    return this.interfaces[1] ?? this.lo;
  }

  /**
   * The way to a host.
   *
   * @param host as it is in packets; `0.0.0.0` and `::` are this host.
   * @param by the interface that it must leave by.
   * @returns the code of an error, where there is no way.
   */
  way(host: string, by?: Interface): Way | string {
    if (this.#generation !== this.#fabric.generation || this.#ways.size >= mostWays) {
      this.#ways.clear();
      this.#generation = this.#fabric.generation;
    }
    const key = by ? `${host}%${by.index}` : host;
    const known = this.#ways.get(key);
    if (known) return known;
    const found = this.#find(host, by);
    if (typeof found === "object") this.#ways.set(key, found);
    return found;
  }

  /** Bytes of the largest packet that goes whole along a way, as far as is known. @param firstLink looks no further. */
  mtu({ version, destination, by }: Way, firstLink = false): number {
    const most = version === 4 ? Math.min(by.out.mtu, longest) : by.out.mtu;
    const told = firstLink ? undefined : this.#pathMtus.of(destination);
    return told ? Math.min(told.mtu, most) : most;
  }

  /**
   * Sends a datagram.
   *
   * @param from the socket that sends it.
   * @param port of the destination.
   * @param source the address that it comes from.
   * @param how it leaves, where that differs from what the socket's options say.
   * @returns the code of an error, `undefined` where it left.
   */
  send(
    from: Bound,
    way: Way,
    port: number,
    payload: Buffer,
    source: string,
    how: Ancillary | undefined,
  ): string | undefined {
    const { options } = from;
    const { version, destination, kind } = way;
    const length = udpHeaderBytes + payload.length;
    const header = ipHeaderBytes[version];
    const over = options.over(version);
    if (length + (version === 4 ? header : 0) > longest) return "EMSGSIZE";
    const discovery = how?.probe === true ? IP_PMTUDISC_PROBE : over.discovery;
    // The modes behind it look at the first link alone too, and forbid nothing (ip_sk_use_pmtu, include/net/ip.h).
    const mtu = this.mtu(way, discovery >= IP_PMTUDISC_PROBE);
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
      ttl: how?.ttl ?? (kind === "multicast" ? over.multicastTtl : over.ttl),
      tos: tosOf(over.tos, how),
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
    if (whole) this.#transmit(packet, way, options.loop);
    else for (const part of fragments(packet, mtu, number)) this.#transmit(part, way, options.loop);
    return undefined;
  }

  /** A packet has come. */
  arrive(flight: Flight, at: Interface): boolean {
    const { packet } = flight;
    const { trace } = this.#fabric;
    const { destination } = packet;
    if (!this.#isUp) {
      trace.settle(flight, "host is down");
      return false;
    }
    const own = this.#own.has(destination);
    const toAll = !own && (isGroup(destination) || this.isBroadcast(destination));
    if (!own && !toAll && !(at === this.lo && this.isOwn(destination))) {
      trace.settle(flight, "not for this host");
      return false;
    }
    const whole = isFragment(packet) ? this.#reassembly.add(flight) : packet;
    if (!whole) return false;
    const { content } = whole;
    if (content.protocol === "icmp") return this.#hear(content, whole, flight);
    if (content.intact) {
      this.#received[whole.version].damaged++;
      trace.settle(flight, "wrong checksum");
      return false;
    }
    if (toAll) return this.#deliverToAll(whole, content, flight, at);
    // What a host sends to itself is said to have come by the interface of the address (`rt_iif`, net/ipv4/route.c).
    const by = own && at === this.lo ? (this.interface(destination) ?? at) : at;
    return this.#deliver(whole, content, flight, by);
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

  #find(host: string, by: Interface | undefined): Way | string {
    const version = host.includes(":") ? 6 : 4;
    const destination = isWildcard(host) ? (version === 4 ? "127.0.0.1" : "::1") : host;
    const broadcast = version === 4 && this.isBroadcast(destination);
    if (broadcast || isGroup(destination)) {
      const loops = destination === "127.255.255.255";
      const network = this.#addresses.find((address) => address.broadcast === destination);
      const chosen = loops ? this.lo : (by ?? (network && this.#segments.of(network)) ?? this.usual);
      const kind = broadcast ? "broadcast" : "multicast";
      const source = this.#sourceTo(destination, version, chosen);
      return source === undefined ? "ENETUNREACH" : { version, destination, kind, by: chosen, source };
    }
    if (this.isOwn(destination)) {
      // Linux looks for an IPv6 address of its own on the interface that was named alone.
      if (by && version === 6 && by !== this.interface(destination)) return "ENETUNREACH";
      const source = this.#own.has(destination) ? destination : version === 4 ? "127.0.0.1" : "::1";
      return { version, destination, kind: "unicast", by: this.lo, source };
    }
    const owner = this.#fabric.owner(destination);
    // Where nobody has the address, a router is the one to say so.
    const route = owner ? this.#routes.to(owner) : this.#routes.toRouter();
    if (!route)
      return this.#addresses.some((own) => isWithin(bytesOf(host), own)) ? "EHOSTUNREACH" : "ENETUNREACH";
    // Where IPv6 has no route by the interface that was named, it sends nothing; IPv4 asks that link for the host all the same.
    if (by && by !== route && version === 6 && by.out.to.node.kind === "host") return "ENETUNREACH";
    const source = this.#sourceTo(destination, version, by ?? route);
    if (source === undefined) return "ENETUNREACH";
    return { version, destination, kind: "unicast", by: by ?? route, source };
  }

  /** The address of this host that has most in common with a destination (RFC 6724, section 5, rule 8). */
  #sourceTo(destination: string, version: 4 | 6, by: Interface): string | undefined {
    if (by === this.lo) return version === 4 ? "127.0.0.1" : "::1";
    const bytes = bytesOf(destination);
    const own = this.#addresses.filter((address) => address.version === version);
    // Rule 5 comes first: an address of the interface that it leaves by.
    const there = this.interfaces.length > 2 ? own.filter((each) => this.#segments.of(each) === by) : own;
    let best: HostAddress | undefined;
    for (const address of there.length > 0 ? there : own) {
      if (!best || commonBits(address.bytes, bytes) > commonBits(best.bytes, bytes)) best = address;
    }
    return best?.host;
  }

  #transmit(packet: Packet, { kind, by }: Way, loop: boolean): void {
    if (kind === "unicast") {
      this.#leave(packet, by.out);
      return;
    }
    const staysHere = by === this.lo || packet.ttl === 0 || packet.destination.startsWith("ff01:");
    if (!staysHere) this.#leave(packet, by.out);
    if (loop || kind === "broadcast") this.#leave(packet, this.#loopOf(by));
  }

  /** A rule of a link may end the host between two fragments: nothing leaves from then on. */
  #leave(packet: Packet, out: Exit): void {
    if (this.#isUp) out.transmit(packet);
  }

  #loopOf(by: Interface): Exit {
    if (by === this.lo) return by.out;
    let loop = this.#loops.get(by);
    if (!loop) {
      loop = new Channel(this.#fabric, `${this.#node.name} ${by.name} loop`, loopback, true);
      loop.lead(by);
      this.#loops.set(by, loop);
    }
    return loop;
  }

  #deliver(packet: Packet, datagram: UdpDatagram, flight: Flight, at: Interface): boolean {
    const { trace } = this.#fabric;
    const socket = this.ports.receiver(packet, datagram.sourcePort, datagram.destinationPort, at);
    if (!socket) {
      trace.settle(flight, "nobody listens");
      this.#complain(packet, "portUnreachable");
      return false;
    }
    const told = socket.arrive(packet, datagram, flight.time, at, false);
    if (told === undefined) this.#received[packet.version].full++;
    trace.settle(flight, told === undefined ? "receive buffer full" : "delivered");
    return told ?? false;
  }

  #deliverToAll(packet: Packet, datagram: UdpDatagram, flight: Flight, at: Interface): boolean {
    const { destination, source } = packet;
    const broadcast = this.isBroadcast(destination);
    const member = broadcast || this.groups.has(destination, source, at);
    let fate: Fate = "nobody listens";
    let anyTold = false;
    for (const socket of member ? this.ports.at(datagram.destinationPort) : []) {
      if (socket.binding.score(packet, datagram.sourcePort, at) < 0) continue;
      const all = socket.binding.options.hearsAll(packet.version);
      if (!broadcast && !this.groups.hears(socket, destination, source, at, all)) continue;
      const told = socket.arrive(packet, datagram, flight.time, at, true);
      if (told !== undefined) fate = "delivered";
      else {
        this.#received[packet.version].full++;
        if (fate === "nobody listens") fate = "receive buffer full";
      }
      anyTold = told === true || anyTold;
    }
    this.#fabric.trace.settle(flight, fate);
    return anyTold;
  }

  /** What ICMP says of a datagram of one of the sockets here. */
  #hear(error: IcmpError, packet: Packet, flight: Flight): boolean {
    const { about } = error;
    const original = about.content;
    const { trace } = this.#fabric;
    const sockets = original.protocol === "udp" ? this.ports.at(original.sourcePort) : [];
    const asked = sockets.filter((socket) => socket.binding.sentFrom(about));
    if (original.protocol !== "udp" || asked.length === 0) {
      trace.settle(flight, "nobody asked");
      return false;
    }
    trace.settle(flight, "noted");
    this.#pathMtus.note(error);
    if (!isTold(error)) return false;
    for (const socket of asked) socket.hear(error, original.destinationPort, packet.source);
    return true;
  }

  #complain(about: Packet, complaint: Complaint): void {
    if (isGroup(about.destination) || this.isBroadcast(about.destination)) return;
    const error = icmpAbout(about, complaint, about.destination, this.#number);
    const way = this.way(about.source);
    if (!error || typeof way === "string") return;
    for (const part of fragments(error, way.by.out.mtu, this.#number)) this.#leave(part, way.by.out);
  }
}

/** Whether sockets hear of it: "reassembly time exceeded" ends in the kernel over IPv4 (`icmp_unreach`, net/ipv4/icmp.c). */
function isTold({ type, code, about }: IcmpError): boolean {
  return !(about.version === 4 && type === 11 && code === 1);
}

/** The whole byte that a datagram leaves with. */
function tosOf(own: number, how: Ancillary | undefined): number {
  if (how?.tos !== undefined) return how.tos;
  return how?.ecn === undefined ? own : (own & 0xfc) | how.ecn;
}
