import type { Buffer } from "node:buffer";

import { IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT } from "../../core/constants.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import type { HostCounts } from "../../core/ledger/ledger.js";
import { checkSettings } from "../link/check.js";
import { LinkDirection } from "../link/direction.js";
import type { Transit } from "../link/transit.js";
import { type HostAddress, isGroup } from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { Interface, Node, OutgoingLink } from "../node/node.js";
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
import { Ports, type SocketBinding } from "./ports.js";
import { type Route, Routing } from "./routing.js";

/** The loopback interface, as on Linux. Because of the rate, each datagram has its own arrival time. */
const loopback = checkSettings({ mtuBytes: 65_536, rateBps: 1e12, queueBytes: 2 ** 30 }, "lo", "up");
/** Bytes of the longest IPv4 packet (RFC 791), and of the longest content of an IPv6 packet (RFC 8200). */
const maxLength = 65_535;

/** `IP_PMTUDISC_INTERFACE` (linux/in.h): only the MTU of the first link counts, and larger datagrams are refused. */
const IP_PMTUDISC_INTERFACE = 4;

/** The Internet protocol of one host: sends packets, receives and reassembles them, and handles ICMP errors. */
export class Ip {
  readonly ports: Ports;
  readonly groups: Groups = new Groups();
  readonly routing: Routing;
  #isUp = true;
  readonly #context: NetworkContext;
  readonly #node: Node;
  readonly #reassembly: Reassembly<Transit>;
  readonly #pathMtus: PathMtuCache;
  /** For each interface, the link direction that brings multicast back to this host. */
  readonly #loops = new Map<Interface, LinkDirection>();
  #identification: number;
  /** Datagrams that arrived and were dropped: for a full receive buffer (once per socket), or for a wrong checksum. */
  readonly #dropped = { 4: { full: 0, damaged: 0 }, 6: { full: 0, damaged: 0 } };
  readonly #number = (): number => this.#context.nextPacketNumber();

  constructor(context: NetworkContext, node: Node, addresses: readonly HostAddress[], random: Random) {
    this.#context = context;
    this.#node = node;
    this.routing = new Routing(context, node, addresses);
    this.#pathMtus = new PathMtuCache(context.scheduler);
    this.ports = new Ports(random);
    this.#identification = random.uint32();
    this.#reassembly = new Reassembly<Transit>(
      context.scheduler,
      context.nextRank(),
      (transit, fate) => context.trace.setFate(transit, fate),
      (first) => this.#sendIcmpError(first, "reassemblyTimedOut"),
    );
    const lo = new LinkDirection(context, `${node.name} lo`, loopback, true);
    lo.setFarEnd(this.routing.attach(lo, "lo"));
  }

  /** Whether the host runs: `false` from `crash()` to `restart()`. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Bytes of the largest packet that passes a route in one piece, as far as is known. @param firstLink ignores what ICMP reported. */
  mtu({ version, destination, outgoing }: Route, firstLink = false): number {
    const linkMtu = version === 4 ? Math.min(outgoing.out.mtu, maxLength) : outgoing.out.mtu;
    const reported = firstLink ? undefined : this.#pathMtus.of(destination);
    return reported ? Math.min(reported.mtu, linkMtu) : linkMtu;
  }

  /**
   * Sends a datagram.
   *
   * @param from the socket that sends it.
   * @param port of the destination.
   * @param source address of the packet.
   * @param ancillary what overrides the options of the socket for this datagram.
   * @returns the code of an error; `undefined` if the datagram left.
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
    // The modes with higher numbers use only the MTU of the first link too, and allow fragments (ip_sk_use_pmtu, include/net/ip.h).
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

  /** Takes a packet that arrived. Returns whether a program was told of something. */
  arrive(transit: Transit, at: Interface): boolean {
    const { packet } = transit;
    const { trace } = this.#context;
    const { destination } = packet;
    if (!this.#isUp) {
      trace.setFate(transit, "host is down");
      return false;
    }
    const own = this.routing.hasAddress(destination);
    const toAll = !own && (isGroup(destination) || this.routing.isBroadcast(destination));
    if (!own && !toAll && !(at === this.routing.lo && this.routing.isOwn(destination))) {
      trace.setFate(transit, "not for this host");
      return false;
    }
    const whole = isFragment(packet) ? this.#reassembly.add(transit) : packet;
    if (!whole) return false;
    const { content } = whole;
    if (content.protocol === "icmp") return this.#receiveIcmp(content, whole, transit);
    if (content.intact) {
      this.#dropped[whole.version].damaged++;
      trace.setFate(transit, "wrong checksum");
      return false;
    }
    if (toAll) return this.#deliverToAll(whole, content, transit, at);
    // For a packet from the host to itself, Linux reports the interface of the address (`rt_iif`, net/ipv4/route.c).
    const by = own && at === this.routing.lo ? (this.routing.interface(destination) ?? at) : at;
    return this.#deliver(whole, content, transit, by);
  }

  /** The counters of this host since it was made, with the names that Linux uses. */
  counts(): HostCounts {
    const { failures } = this.#reassembly;
    const [four, six] = [this.#dropped[4], this.#dropped[6]];
    return Object.freeze({
      IpReasmFails: failures[4],
      Ip6ReasmFails: failures[6],
      UdpRcvbufErrors: four.full,
      Udp6RcvbufErrors: six.full,
      UdpInErrors: four.full + four.damaged,
      Udp6InErrors: six.full + six.damaged,
    });
  }

  /** Stops all packets in both directions until `restart()`. Forgets path MTUs, fragments and packets that wait to leave. */
  crash(): void {
    this.#isUp = false;
    this.#reassembly.clear();
    this.#pathMtus.clear();
    for (const { out } of this.routing.interfaces) out.discard();
  }

  restart(): void {
    this.#isUp = true;
  }

  #transmit(packet: Packet, { kind, outgoing }: Route, loop: boolean): void {
    if (kind === "unicast") {
      this.#transmitBy(packet, outgoing.out);
      return;
    }
    const staysHere =
      outgoing === this.routing.lo || packet.ttl === 0 || packet.destination.startsWith("ff01:");
    if (!staysHere) this.#transmitBy(packet, outgoing.out);
    if (loop || kind === "broadcast") this.#transmitBy(packet, this.#loopOf(outgoing));
  }

  /** Sends unless the host is down: a rule of a link may crash the host between two fragments. */
  #transmitBy(packet: Packet, out: OutgoingLink): void {
    if (this.#isUp) out.transmit(packet);
  }

  #loopOf(by: Interface): OutgoingLink {
    if (by === this.routing.lo) return by.out;
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
    if (told === undefined) this.#dropped[packet.version].full++;
    trace.setFate(transit, told === undefined ? "receive buffer full" : "delivered");
    return told ?? false;
  }

  #deliverToAll(packet: Packet, datagram: UdpDatagram, transit: Transit, at: Interface): boolean {
    const { destination, source } = packet;
    const broadcast = this.routing.isBroadcast(destination);
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
        this.#dropped[packet.version].full++;
        if (fate === "nobody listens") fate = "receive buffer full";
      }
      anyTold = told === true || anyTold;
    }
    this.#context.trace.setFate(transit, fate);
    return anyTold;
  }

  /** Handles an ICMP error about a datagram of one of the sockets of this host. */
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
    if (isGroup(about.destination) || this.routing.isBroadcast(about.destination)) return;
    const error = icmpErrorFor(about, reason, about.destination, this.#number);
    const route = this.routing.route(about.source);
    if (!error || typeof route === "string") return;
    for (const part of fragments(error, route.outgoing.out.mtu, this.#number))
      this.#transmitBy(part, route.outgoing.out);
  }
}

/**
 * Whether sockets are told of an ICMP error: over IPv4, "reassembly time exceeded" ends in the kernel (`icmp_unreach`,
 * net/ipv4/icmp.c).
 */
function reachesSockets({ type, code, about }: IcmpError): boolean {
  return !(about.version === 4 && type === 11 && code === 1);
}

/** The TOS byte of a datagram, DSCP and ECN. */
function tosOf(own: number, ancillary: Ancillary | undefined): number {
  if (ancillary?.tos !== undefined) return ancillary.tos;
  return ancillary?.ecn === undefined ? own : (own & 0xfc) | ancillary.ecn;
}
