/** The losses that the whole host counted, with what helps: the kernel does not report them to any socket. */

import { count } from "../core/ledger/count-text.js";
import type { HostCounter, HostCounts, Stats } from "../core/ledger/ledger.js";
import { moreThan, readHostCounts } from "./host-counts.js";

/** Causes of drops of the whole host. */
const causes: readonly Cause[] = [
  {
    counters: ["IpReasmFails"],
    what: (failures) => `reassembly of fragments failed ${count(failures, "time")} over IPv4`,
    help:
      "fragments were lost, or the memory for fragments is full: then no fragmented datagram arrives. " +
      "Send datagrams that fit in one packet, or: sudo sysctl -w net.ipv4.ipfrag_high_thresh=33554432 net.ipv4.ipfrag_time=5",
  },
  {
    counters: ["Ip6ReasmFails"],
    what: (failures) => `reassembly of fragments failed ${count(failures, "time")} over IPv6`,
    help:
      "fragments were lost, or the memory for fragments is full: then no fragmented datagram arrives. " +
      "Send datagrams that fit in one packet, or: sudo sysctl -w net.ipv6.ip6frag_high_thresh=33554432 net.ipv6.ip6frag_time=5",
  },
  {
    counters: ["UdpRcvbufErrors", "Udp6RcvbufErrors"],
    what: (failures) =>
      `${count(failures, "datagram")} found a full receive buffer, probably that of another socket`,
    help: "some program reads too slowly for its buffer",
  },
  {
    counters: ["UdpInErrors", "Udp6InErrors"],
    without: ["UdpRcvbufErrors", "Udp6RcvbufErrors"],
    what: (failures) => `${count(failures, "datagram")} arrived with a wrong checksum, or malformed`,
    help: "something on the path damages them",
  },
];

interface Cause {
  readonly counters: readonly HostCounter[];
  /** Counters whose counts are included in `counters` and belong to another cause. */
  readonly without?: readonly HostCounter[];
  readonly what: (failures: number) => string;
  readonly help: string;
}

/** Losses of one cause. */
export interface HostLoss {
  readonly counters: readonly HostCounter[];
  readonly failures: number;
  /** What happened, such as `2 datagrams arrived with a wrong checksum, or malformed`. */
  readonly what: string;
  /** The reason, and what to do. */
  readonly help: string;
}

/** Watches the losses that the host counted, except those of some sockets. */
export class HostLossWatch {
  readonly #sockets: readonly { stats(): Stats }[];
  readonly #begin = readHostCounts();
  /** What the sockets had dropped before. */
  readonly #ownBefore: number;
  /** How often each cause was returned. */
  readonly #told = new Map<Cause, number>();

  constructor(sockets: readonly { stats(): Stats }[]) {
    this.#sockets = sockets;
    this.#ownBefore = this.#own();
  }

  /** The losses since the last call, by cause. */
  take(): HostLoss[] {
    const more = this.total();
    if (!more) return [];
    const own = this.#own() - this.#ownBefore;
    const losses: HostLoss[] = [];
    for (const cause of causes) {
      const { counters, without = [], what, help } = cause;
      const reported = counters.includes("UdpRcvbufErrors") ? own : 0;
      const total = sum(more, counters) - sum(more, without) - reported;
      const failures = total - (this.#told.get(cause) ?? 0);
      if (failures <= 0) continue;
      this.#told.set(cause, total);
      losses.push({ counters, failures, what: what(failures), help });
    }
    return losses;
  }

  #own(): number {
    return this.#sockets.reduce((total, s) => total + (s.stats().droppedKernel ?? 0), 0);
  }

  /** How much each counter has increased since the beginning; `undefined` if they cannot be read. */
  total(): HostCounts | undefined {
    const now = readHostCounts();
    return now && this.#begin ? moreThan(this.#begin, now) : undefined;
  }
}

function sum(counts: HostCounts, counters: readonly HostCounter[]): number {
  return counters.reduce((total, counter) => total + (counts[counter] ?? 0), 0);
}
