import type { Packet } from "../packet/packet.js";
import type { Random } from "../random.js";
import type { Scheduler } from "../time/event.js";
import { type Network, bytesOf, isWithin } from "./addresses.js";
import { NatPeers } from "./nat-peers.js";

/** Which outside peers may send in through a mapping of a NAT (RFC 4787, section 5). */
export type Filtering = "endpoint-independent" | "address-dependent" | "address-and-port-dependent";

/** What a NAT is made with. */
export interface NatConfig {
  /** The outside address, IPv4. */
  readonly address: string;
  readonly inside: readonly Network[];
  /** Whole nanoseconds without traffic after which a mapping is forgotten. */
  readonly timeoutNs: number;
  readonly filtering: Filtering;
}

/** The outside ports that a NAT uses, and so the largest number of its mappings. */
const firstPort = 1024;
const portCount = 64_512;

interface Mapping {
  readonly host: string;
  readonly port: number;
  readonly outsidePort: number;
  until: number;
  readonly peers: NatPeers;
}

/** Translates between inside hosts and one outside address (RFC 4787). Each inside host and port has one outside port. */
export class Nat {
  readonly #scheduler: Scheduler;
  readonly #config: NatConfig;
  readonly #random: Random;
  #address: string;
  #next: number;
  readonly #byInside = new Map<string, Mapping>();
  readonly #byPort = new Map<number, Mapping>();

  constructor(scheduler: Scheduler, random: Random, config: NatConfig) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#config = config;
    this.#address = config.address;
    this.#next = random.below(portCount);
  }

  /** The outside address. */
  get address(): string {
    return this.#address;
  }

  isInside(host: string): boolean {
    const bytes = bytesOf(host);
    return this.#config.inside.some((network) => isWithin(bytes, network));
  }

  /** Whether a packet comes from inside. For an ICMP error, whether the packet that it is about was sent to the inside. */
  isFromInside({ source, content }: Packet): boolean {
    // The source of an ICMP error proves nothing: routers inside may have any address.
    return this.isInside(content.protocol === "icmp" ? content.about.destination : source);
  }

  /** Forgets all mappings, like a router that restarts. */
  rebind(address: string = this.#address): void {
    this.#address = address;
    this.#byInside.clear();
    this.#byPort.clear();
    this.#next = this.#random.below(portCount);
  }

  /** A whole packet from inside, translated for the outside; `undefined` if it has no mapping and no port is free. */
  translateOut(packet: Packet): Packet | undefined {
    const { content, source, destination } = packet;
    if (content.protocol === "icmp") {
      // The error is about a packet from outside, whose sender knows only the outside address.
      const { about } = content;
      if (about.content.protocol === "icmp") return undefined;
      const { sourcePort, destinationPort } = about.content;
      const mapping = this.#live(this.#byInside.get(`${about.destination} ${destinationPort}`));
      // The packet that it is about must be one that the NAT would let in (RFC 5508, section 4.3).
      if (!mapping || !this.#admits(mapping, about.source, sourcePort)) return undefined;
      const original = { ...about.content, destinationPort: mapping.outsidePort };
      const quoted = { ...about, destination: this.#address, content: original };
      return { ...packet, source: this.#address, content: { ...content, about: quoted } };
    }
    const mapping = this.#map(source, content.sourcePort);
    if (!mapping) return undefined;
    mapping.until = this.#scheduler.now + this.#config.timeoutNs;
    mapping.peers.add(destination, content.destinationPort);
    return { ...packet, source: this.#address, content: { ...content, sourcePort: mapping.outsidePort } };
  }

  /** A whole packet to the outside address, translated for the inside; `undefined` if no inside host may receive it. */
  translateIn(packet: Packet): Packet | undefined {
    const { content, source } = packet;
    if (content.protocol === "icmp") {
      const { about } = content;
      if (about.content.protocol === "icmp") return undefined;
      const { sourcePort, destinationPort } = about.content;
      const mapping = this.#live(this.#byPort.get(sourcePort));
      // With any sender and any filtering, an error must quote a packet that the inside host sent through the mapping
      // (RFC 5508, section 4.2). Otherwise, any stranger could make calls of an inside socket fail.
      const wasSent =
        about.source === this.#address && mapping?.peers.has(about.destination, destinationPort);
      if (!mapping || wasSent !== true) return undefined;
      const original = { ...about.content, sourcePort: mapping.port };
      const quoted = { ...about, source: mapping.host, content: original };
      return { ...packet, destination: mapping.host, content: { ...content, about: quoted } };
    }
    const mapping = this.#live(this.#byPort.get(content.destinationPort));
    if (!mapping || !this.#admits(mapping, source, content.sourcePort)) return undefined;
    mapping.until = this.#scheduler.now + this.#config.timeoutNs;
    return { ...packet, destination: mapping.host, content: { ...content, destinationPort: mapping.port } };
  }

  #map(host: string, port: number): Mapping | undefined {
    const key = `${host} ${port}`;
    const known = this.#live(this.#byInside.get(key));
    if (known) return known;
    const outsidePort = this.#freePort();
    if (outsidePort === undefined) return undefined;
    const mapping: Mapping = { host, port, outsidePort, until: 0, peers: new NatPeers() };
    this.#byInside.set(key, mapping);
    this.#byPort.set(outsidePort, mapping);
    return mapping;
  }

  #freePort(): number | undefined {
    for (let tries = 0; tries < portCount; tries++) {
      const port = firstPort + this.#next;
      this.#next = (this.#next + 1) % portCount;
      if (!this.#live(this.#byPort.get(port))) return port;
    }
    return undefined;
  }

  #live(mapping: Mapping | undefined): Mapping | undefined {
    if (!mapping || mapping.until === 0 || mapping.until > this.#scheduler.now) return mapping;
    this.#byInside.delete(`${mapping.host} ${mapping.port}`);
    this.#byPort.delete(mapping.outsidePort);
    return undefined;
  }

  #admits({ peers }: Mapping, host: string, port: number): boolean {
    const { filtering } = this.#config;
    if (filtering === "endpoint-independent") return true;
    return filtering === "address-dependent" ? peers.hasHost(host) : peers.has(host, port);
  }
}
