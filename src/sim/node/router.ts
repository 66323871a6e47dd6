import type { Flight } from "../link/flight.js";
import type { Firewall } from "../link/profiles.js";
import { fragments } from "../packet/fragments.js";
import { type Complaint, icmpAbout } from "../packet/icmp.js";
import { type Packet, isFragment, packetBytes } from "../packet/packet.js";
import { Reassembly } from "../packet/reassembly.js";
import type { Fate } from "../trace/passage.js";
import { isGroup } from "./addresses.js";
import type { Fabric } from "./fabric.js";
import type { Nat } from "./nat.js";
import type { Exit, Interface, Node } from "./node.js";
import { Routes } from "./routes.js";

/** What a router is made of. */
export interface RouterParts {
  /** Its own, of either family or both: where its ICMP errors come from. */
  readonly addresses: readonly string[];
  readonly firewall: Firewall;
  readonly nat: Nat | undefined;
}

/**
 * Passes packets on: a TTL less, in fragments where the next link is too narrow and they may be cut (RFC 1812), else with
 * an ICMP error to their source. With a NAT, in the name of its own address.
 */
export class Router implements Node {
  readonly kind = "router";
  readonly name: string;
  readonly interfaces: Interface[] = [];
  /** What it drops; may be changed at any time. */
  firewall: Firewall;
  readonly #fabric: Fabric;
  readonly #addresses: readonly string[];
  readonly #nat: Nat | undefined;
  readonly #routes: Routes;
  readonly #reassembly: Reassembly<Flight>;

  /** Made by `network.router()`. */
  constructor(fabric: Fabric, name: string, { addresses, firewall, nat }: RouterParts) {
    this.name = name;
    this.firewall = firewall;
    this.#fabric = fabric;
    this.#addresses = addresses;
    this.#nat = nat;
    this.#routes = new Routes(fabric, this);
    this.#reassembly = new Reassembly(
      fabric.timeline,
      fabric.rank(),
      (flight, fate) => fabric.trace.settle(flight, fate),
      (first) => this.#refuse(first, "reassemblyTimedOut", "reassembly timed out"),
    );
  }

  /** The addresses of the router itself. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Forgets every mapping of the NAT, so that what comes from inside has another port from now on, or another address. */
  rebind(address?: string): void {
    if (address !== undefined && address !== this.#nat?.address) this.#fabric.claim(address, this);
    this.#nat?.rebind(address);
  }

  attach(out: Exit): Interface {
    const index = this.interfaces.length + 1;
    const made = { node: this, name: `eth${index - 1}`, index, out };
    this.interfaces.push(made);
    return made;
  }

  arrive(flight: Flight, at: Interface): boolean {
    const fate = this.#pass(flight, at);
    if (fate) this.#fabric.trace.settle(flight, fate);
    return false;
  }

  /** Gives the fate of a packet, but of a fragment that the reassembly has. */
  #pass(flight: Flight, at: Interface): Fate | undefined {
    const { packet } = flight;
    if (this.firewall.dropFragments === true && isFragment(packet)) return "dropped by a firewall";
    if (this.firewall.dropIcmp === true && packet.content.protocol === "icmp") return "dropped by a firewall";
    if (isGroup(packet.destination)) return "no route";
    const nat = this.#nat;
    const [from, to] = [nat?.isInside(packet.source), nat?.isInside(packet.destination)];
    const inward = packet.destination === nat?.address;
    if (!nat || (!inward && from === to)) return this.#forward(packet, at);
    if (!inward && to === true) return "no NAT mapping";
    // A NAT needs the ports, which the first fragment alone has.
    const whole = isFragment(packet) ? this.#reassembly.add(flight) : packet;
    if (!whole) return undefined;
    const inner = inward ? nat.inward(whole) : whole;
    if (!inner) return packet.content.protocol === "icmp" ? "nobody asked" : "no NAT mapping";
    return this.#forward(inner, at, from === true && !inward ? nat : undefined);
  }

  /** @param nat in whose name it goes on. */
  #forward(packet: Packet, at: Interface, nat?: Nat): Fate {
    if (this.#addresses.includes(packet.destination)) return this.#receive(packet);
    if (packet.ttl <= 1) return this.#refuse(packet, "ttlExceeded", "TTL exceeded");
    const owner = this.#fabric.owner(packet.destination);
    const next = owner && this.#routes.to(owner);
    if (!next || next === at) return this.#refuse(packet, "noRoute", "no route");
    const translated = nat ? nat.outward(packet) : packet;
    if (!translated) return "no NAT mapping";
    const onward = { ...translated, ttl: packet.ttl - 1 };
    const { out } = next;
    if (packetBytes(onward) <= out.mtu) {
      out.transmit(onward);
      return "forwarded";
    }
    if (onward.dontFragment) return this.#refuse(packet, "tooBig", "too big", out.mtu);
    for (const part of fragments(onward, out.mtu, () => this.#fabric.number())) out.transmit(part);
    return "forwarded";
  }

  /** Routers run no programs. */
  #receive(packet: Packet): Fate {
    return packet.content.protocol === "icmp"
      ? "noted"
      : this.#refuse(packet, "portUnreachable", "nobody listens");
  }

  #refuse(packet: Packet, complaint: Complaint, fate: Fate, mtu = 0): Fate {
    const from = this.#addresses.find((address) => address.includes(":") === (packet.version === 6));
    const owner = this.#fabric.owner(packet.source);
    const back = owner && this.#routes.to(owner);
    const number = (): number => this.#fabric.number();
    const error = from && icmpAbout(packet, complaint, from, number, mtu);
    if (error && back) for (const part of fragments(error, back.out.mtu, number)) back.out.transmit(part);
    return fate;
  }
}
