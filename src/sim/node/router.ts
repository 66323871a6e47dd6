import { outOfRange } from "../../core/errors/errors.js";
import { checkFirewall } from "../link/check.js";
import type { Transit } from "../link/transit.js";
import type { Firewall } from "../link/profiles.js";
import { fragments } from "../packet/fragments.js";
import { type IcmpReason, icmpErrorFor } from "../packet/icmp.js";
import { type Packet, isFragment, packetBytes } from "../packet/packet.js";
import { Reassembly } from "../packet/reassembly.js";
import type { Fate } from "../trace/entry.js";
import { isGroup, readHostAddress } from "./addresses.js";
import type { NetworkContext } from "./context.js";
import type { Nat } from "./nat.js";
import type { OutgoingLink, Interface, Node } from "./node.js";
import { ShortestPaths } from "./shortest-paths.js";

/** What a router is made with. */
export interface RouterConfig {
  /** The addresses of the router: the sources of its ICMP errors. */
  readonly addresses: readonly string[];
  readonly firewall: Firewall | undefined;
  readonly nat: Nat | undefined;
}

/**
 * A router forwards packets and lowers their TTL by one. If a packet is too large for the next link, the router fragments
 * it (RFC 1812), or answers with an ICMP error if it must not be fragmented. With a NAT, it translates addresses.
 */
export class Router implements Node {
  /** Tells a router from a host and a switch. */
  readonly kind = "router";
  /** The name, as given to `network.router()`. */
  readonly name: string;
  /** The interfaces, in the order of the links. @internal */
  readonly interfaces: Interface[] = [];
  #firewall: Firewall = {};
  readonly #context: NetworkContext;
  readonly #addresses: readonly string[];
  readonly #nat: Nat | undefined;
  readonly #paths: ShortestPaths;
  readonly #reassembly: Reassembly<Transit>;

  /** Made by `network.router()`. @internal */
  constructor(context: NetworkContext, name: string, { addresses, firewall, nat }: RouterConfig) {
    this.name = name;
    this.firewall = firewall ?? {};
    this.#context = context;
    this.#addresses = addresses;
    this.#nat = nat;
    this.#paths = new ShortestPaths(context, this);
    this.#reassembly = new Reassembly(
      context.scheduler,
      context.nextRank(),
      (transit, fate) => context.trace.setFate(transit, fate),
      (first) => this.#refuse(first, "reassemblyTimedOut", "reassembly timed out"),
    );
  }

  /** The addresses of the router itself. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** The packets that the router drops; may be changed at any time. @throws `TypeError`, `RangeError` for unknown fields. */
  get firewall(): Firewall {
    return this.#firewall;
  }

  /** Sets the packets that the router drops from now on. */
  set firewall(firewall: Firewall) {
    this.#firewall = checkFirewall(firewall, `router ${this.name}: firewall`);
  }

  /**
   * Forgets all mappings of the NAT. From now on, packets from inside have a new outside port, or a new outside address.
   *
   * @param address the new outside address: IPv4, and no other node has it. The router keeps the old one too. @default no change
   * @throws `TypeError`, `RangeError` for an invalid address, and for a router without a NAT.
   */
  rebind(address?: string): void {
    const where = `router ${this.name}: rebind`;
    if (!this.#nat) throw outOfRange(where, "called on a router with a NAT", address);
    if (address === undefined) {
      this.#nat.rebind();
      return;
    }
    const { host, version } = readHostAddress(address, where);
    if (version !== 4) throw outOfRange(where, "an IPv4 address", address);
    this.#context.claim(host, this);
    this.#nat.rebind(host);
  }

  /** Adds an interface for a new link. @internal */
  attach(out: OutgoingLink): Interface {
    const index = this.interfaces.length + 1;
    const made = { node: this, name: `eth${index - 1}`, index, out };
    this.interfaces.push(made);
    return made;
  }

  /** Takes a packet that arrived at an interface. @internal */
  arrive(transit: Transit, at: Interface): boolean {
    const fate = this.#pass(transit, at);
    if (fate) this.#context.trace.setFate(transit, fate);
    return false;
  }

  /** Forwards or drops a packet. Returns its fate; `undefined` for a fragment, whose fate the reassembly sets. */
  #pass(transit: Transit, at: Interface): Fate | undefined {
    const { packet } = transit;
    if (this.#firewall.dropFragments === true && isFragment(packet)) return "dropped by a firewall";
    if (this.#firewall.dropIcmp === true && packet.content.protocol === "icmp")
      return "dropped by a firewall";
    // Broadcasts and multicast are not forwarded (RFC 2644), and cause no ICMP error (RFC 1812, section 4.3.2.7).
    if (isGroup(packet.destination) || this.#context.isBroadcast(packet.destination)) return "no route";
    const nat = this.#nat;
    if (!nat) return this.#forward(packet, packet, at);
    const [from, to] = [nat.isFromInside(packet), nat.isInside(packet.destination)];
    const inward = packet.destination === nat.address;
    if (!inward && from === to) return this.#forward(packet, packet, at);
    // Inside hosts do not reach each other by the outside address ("hairpinning", RFC 4787, section 6).
    if (inward ? from : to) return "no NAT mapping";
    // A NAT needs the ports, and only the first fragment has them.
    const whole = isFragment(packet) ? this.#reassembly.add(transit) : packet;
    if (!whole) return undefined;
    if (!inward) return this.#forward(whole, whole, at, nat);
    const inner = nat.translateIn(whole);
    if (inner) return this.#forward(inner, whole, at);
    return packet.content.protocol === "icmp" ? "nobody asked" : "no NAT mapping";
  }

  /**
   * @param original the packet as its source knows it, for ICMP errors.
   * @param nat that translates the packet to the outside.
   */
  #forward(packet: Packet, original: Packet, at: Interface, nat?: Nat): Fate {
    const owner = this.#context.owner(packet.destination);
    if (owner === this) return this.#receive(packet);
    if (packet.ttl <= 1) return this.#refuse(original, "ttlExceeded", "TTL exceeded");
    const next = owner && this.#paths.to(owner);
    if (!next || next === at) return this.#refuse(original, "noRoute", "no route");
    const translated = nat ? nat.translateOut(packet) : packet;
    if (!translated) return "no NAT mapping";
    const onward = { ...translated, ttl: packet.ttl - 1 };
    const { out } = next;
    if (onward.dontFragment && packetBytes(onward) > out.mtu)
      return this.#refuse(original, "tooBig", "too big", out.mtu);
    this.#transmit(onward, out);
    return "forwarded";
  }

  /** A packet for the router itself: routers have no sockets. */
  #receive(packet: Packet): Fate {
    return packet.content.protocol === "icmp"
      ? "noted"
      : this.#refuse(packet, "portUnreachable", "nobody listens");
  }

  #refuse(packet: Packet, reason: IcmpReason, fate: Fate, mtu = 0): Fate {
    const from = this.#addresses.find((address) => address.includes(":") === (packet.version === 6));
    const owner = this.#context.owner(packet.source);
    const back = owner && this.#paths.to(owner);
    const error = from && icmpErrorFor(packet, reason, from, () => this.#context.nextPacketNumber(), mtu);
    if (error && back) this.#transmit(error, back.out);
    return fate;
  }

  #transmit(packet: Packet, out: OutgoingLink): void {
    for (const part of fragments(packet, out.mtu, () => this.#context.nextPacketNumber())) out.transmit(part);
  }
}
