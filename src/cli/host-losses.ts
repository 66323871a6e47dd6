import type { HostCounter, HostCounts, Socket } from "../index.js";
import { moreThan, readHostCounts } from "../kernel/host-counts.js";
import { count, notice, noticeObject } from "./terminal.js";

/** Causes of drops of the whole host, with their counters and what helps. */
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

/** Reports on standard error the losses that the host counted, except those of some sockets. */
export class HostLosses {
  readonly #sockets: readonly Socket[];
  readonly #json: boolean;
  readonly #begin = readHostCounts();
  /** How often each cause was reported. */
  readonly #told = new Map<Cause, number>();

  /** @param json whether each line is an object. */
  constructor(sockets: readonly Socket[], json: boolean) {
    this.#sockets = sockets;
    this.#json = json;
  }

  /** Reports each cause that was counted since the last call, on one line each. */
  report(): void {
    const more = this.#more();
    if (!more) return;
    const own = this.#sockets.reduce((total, s) => total + (s.stats().droppedKernel ?? 0), 0);
    for (const cause of causes) {
      const reported = cause.counters.includes("UdpRcvbufErrors") ? own : 0;
      const total = sum(more, cause.counters) - sum(more, cause.without ?? []) - reported;
      const increase = total - (this.#told.get(cause) ?? 0);
      if (increase <= 0) continue;
      this.#told.set(cause, total);
      this.#reportOne(cause, increase);
    }
  }

  /** Prints the counters that have increased, on one line. */
  summary(): void {
    const more = this.#more();
    const increased = Object.entries(more ?? {}).filter(([, failures]) => failures);
    const text = increased.map(([counter, failures]) => `${counter} ${failures}`).join(", ");
    notice(`  this host, all sockets, meanwhile: ${more ? text || "no failures" : "unknown"}`);
  }

  #more(): HostCounts | undefined {
    const now = readHostCounts();
    return now && this.#begin ? moreThan(this.#begin, now) : undefined;
  }

  #reportOne({ counters, what, help }: Cause, failures: number): void {
    if (this.#json) {
      const time = new Date().toISOString();
      noticeObject({ time, event: "host", counters, failures, help });
    } else notice(`this host, all sockets: ${what(failures)} (${counters.join(", ")}): ${help}`);
  }
}

function sum(counts: HostCounts, counters: readonly HostCounter[]): number {
  return counters.reduce((total, counter) => total + (counts[counter] ?? 0), 0);
}
