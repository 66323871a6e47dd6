import type { IcmpError } from "../packet/packet.js";
import type { Scheduler } from "../time/event.js";

/** The time that a path MTU from ICMP stays valid, in nanoseconds: `net.ipv4.route.mtu_expires`. */
const pathMtuNs = 600e9;
/** The smallest path MTU that is accepted (`net.ipv4.route.min_pmtu`; RFC 8200, section 5). */
const minPathMtu = { 4: 552, 6: 1280 } as const;
/** The number of destinations that one host remembers. Above it, the oldest is forgotten. */
const maxDestinations = 16_384;

/** The path MTU that ICMP reported. */
export interface PathMtu {
  /** Bytes of the largest packet that is not fragmented. */
  readonly mtu: number;
  /**
   * Whether the reported MTU was below the minimum. Routers may then fragment packets to this destination (`RTAX_MTU` locked,
   * `__ip_rt_update_pmtu`).
   */
  readonly narrower: boolean;
  /** When it becomes invalid, in whole nanoseconds of virtual time. */
  readonly until: number;
}

/** The path MTUs that one host has learnt. */
export class PathMtuCache {
  readonly #scheduler: Scheduler;
  readonly #byDestination = new Map<string, PathMtu>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** The path MTU to a destination, as it is written in packets; `undefined` if ICMP reported none. */
  of(destination: string): PathMtu | undefined {
    const told = this.#byDestination.get(destination);
    if (!told || told.until > this.#scheduler.now) return told;
    this.#byDestination.delete(destination);
    return undefined;
  }

  /** Stores the MTU of an ICMP error, if it has one. */
  note({ about: { version, destination }, mtu }: IcmpError): void {
    if (mtu === 0) return;
    const [oldest] = this.#byDestination.keys();
    if (this.#byDestination.size >= maxDestinations && oldest !== undefined)
      this.#byDestination.delete(oldest);
    const min = minPathMtu[version];
    this.#byDestination.set(destination, {
      mtu: Math.max(mtu, min),
      narrower: mtu < min,
      until: this.#scheduler.now + pathMtuNs,
    });
  }

  clear(): void {
    this.#byDestination.clear();
  }
}
