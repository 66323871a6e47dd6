import type { IcmpError } from "../packet/packet.js";
import type { Scheduler } from "../time/event.js";

/** How long a path MTU that ICMP told is believed, in nanoseconds: `net.ipv4.route.mtu_expires`. */
const pathMtuNs = 600e9;
/** The least that a path may be said to carry (`net.ipv4.route.min_pmtu`; RFC 8200, section 5). */
const minPathMtu = { 4: 552, 6: 1280 } as const;
/** Destinations that one host remembers; past that many, the oldest is forgotten. */
const maxDestinations = 16_384;

/** What ICMP told of a path. */
export interface PathMtu {
  /** Bytes of the largest packet that goes whole. */
  readonly mtu: number;
  /** It carries less than may be believed: routers may cut what goes there (`RTAX_MTU` locked, `__ip_rt_update_pmtu`). */
  readonly narrower: boolean;
  /** Whole nanoseconds of virtual time. */
  readonly until: number;
}

/** What one host has learnt of the paths to others. */
export class PathMtuCache {
  readonly #scheduler: Scheduler;
  readonly #byDestination = new Map<string, PathMtu>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** What is believed of the path to a destination, as it is in packets; `undefined` where nothing was told. */
  of(destination: string): PathMtu | undefined {
    const told = this.#byDestination.get(destination);
    if (!told || told.until > this.#scheduler.now) return told;
    this.#byDestination.delete(destination);
    return undefined;
  }

  /** Believes an ICMP error, where it tells of an MTU. */
  note({ about: { version, destination }, mtu }: IcmpError): void {
    if (mtu === 0) return;
    const [oldest] = this.#byDestination.keys();
    if (this.#byDestination.size >= maxDestinations && oldest !== undefined)
      this.#byDestination.delete(oldest);
    const least = minPathMtu[version];
    this.#byDestination.set(destination, {
      mtu: Math.max(mtu, least),
      narrower: mtu < least,
      until: this.#scheduler.now + pathMtuNs,
    });
  }

  clear(): void {
    this.#byDestination.clear();
  }
}
