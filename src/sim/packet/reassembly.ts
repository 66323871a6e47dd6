import { Buffer } from "node:buffer";

import { maxContentBytes, placeOfFragment } from "../../wire/fragment-place.js";
import type { ScheduledEvent, Scheduler } from "../time/event.js";
import type { Fate } from "../trace/entry.js";
import { copiedBytes } from "./corrupt.js";
import { memoryBytes } from "./memory.js";
import { type Packet, type UdpDatagram, packetBytes, udpHeaderBytes } from "./packet.js";

/**
 * Bytes of memory above which one host takes no more fragments of a version of IP, even if they would complete a datagram
 * (`net.ipv4.ipfrag_high_thresh`, `net.ipv6.ip6frag_high_thresh`; `inet_frag_find`, net/ipv4/inet_fragment.c).
 */
const maxBytes = 4 << 20;
/** Memory of each incomplete datagram in addition to its fragments: `struct ipq`, `struct frag_queue`. */
const datagramBytes = { 4: 200, 6: 184 } as const;
/** The time that fragments wait for the rest, in nanoseconds: `net.ipv4.ipfrag_time` of 30 s; RFC 8200, section 4.5. */
const waitNs = { 4: 30e9, 6: 60e9 } as const;
/**
 * Incomplete datagrams are discarded at whole multiples of this time, in nanoseconds, and so up to this much late. Linux
 * puts such long timers in buckets of 512 ticks (kernel/time/timer.c), at 250 ticks a second (`CONFIG_HZ` of Debian). So a
 * full host gets room for two seconds of fragments at once. If each datagram were discarded by itself, the next
 * incomplete one would take its room for good.
 */
const bucketNs = 2_048_000_000;
/** The largest possible sum: the limit, and one datagram with one fragment and its copy, which are added before the next check. */
const maxSumBytes = maxBytes + datagramBytes[4] + memoryBytes(6, 65_583) + maxContentBytes[6];

/** Something that has a fragment, such as its transit of a link. */
interface FragmentHolder {
  readonly packet: Packet;
}

/** A datagram of which fragments are missing. */
interface IncompleteDatagram<Part extends FragmentHolder> {
  readonly key: string;
  readonly deadline: number;
  /** In the order of their offsets, without overlap. */
  readonly parts: Part[];
  /** Bytes of the whole content; Infinity until the last fragment arrived. */
  total: number;
  /** Bytes of content that arrived. */
  bytes: number;
  memoryBytes: number;
  /** Whether fragments overlapped. Later fragments are refused too (RFC 5722, section 4). */
  isRefused: boolean;
}

/**
 * Reassembles the fragments that arrive at one host (RFC 791 section 3.2, RFC 8200 section 4.5). Overlapping fragments
 * discard the whole datagram, since they are an attack (RFC 5722). Exact repetitions are ignored. The time and the memory
 * of waiting fragments are limited.
 */
export class Reassembly<Part extends FragmentHolder> {
  /** Fragments for which there was no memory, and discarded datagrams (`IpReasmFails`, `Ip6ReasmFails`). */
  readonly failures: Record<4 | 6, number> = { 4: 0, 6: 0 };
  readonly #scheduler: Scheduler;
  readonly #rank: number;
  readonly #setFate: (part: Part, fate: Fate) => void;
  readonly #timedOut: (first: Packet) => void;
  /** In order of arrival, for each version of IP. */
  readonly #waiting: Record<4 | 6, Map<string, IncompleteDatagram<Part>>> = { 4: new Map(), 6: new Map() };
  readonly #timerRuns: Record<4 | 6, boolean> = { 4: false, 6: false };
  readonly #bytes: Record<4 | 6, number> = { 4: 0, 6: 0 };
  #order = 0;

  /**
   * @param rank of the host among the events of one instant.
   * @param setFate is called for each fragment, except the one that completes a datagram.
   * @param timedOut is called when a datagram is discarded of which the first fragment had arrived, with that fragment.
   */
  constructor(
    scheduler: Scheduler,
    rank: number,
    setFate: (part: Part, fate: Fate) => void,
    timedOut: (first: Packet) => void,
  ) {
    this.#scheduler = scheduler;
    this.#rank = rank;
    this.#setFate = setFate;
    this.#timedOut = timedOut;
  }

  /** Takes a fragment. Returns the whole packet if no fragment is missing any more. */
  add(part: Part): Packet | undefined {
    const fragment = part.packet;
    const { version, source, destination, identification, content } = fragment;
    const key = `${source} ${destination} ${identification} ${content.protocol}`;
    const waiting = this.#waiting[version];
    if (this.#bytes[version] > maxBytes) {
      this.failures[version]++;
      this.#setFate(part, "no memory for fragments");
      return undefined;
    }
    const partial = waiting.get(key) ?? this.#begin(version, key);
    const place = placeOf(fragment, partial);
    if (typeof place === "string") {
      if (place === "overlapping fragments") this.#refuse(version, partial);
      this.#setFate(part, place);
      return undefined;
    }
    partial.parts.splice(place, 0, part);
    partial.bytes += fragment.length;
    // A flipped bit makes a copy of the payload. Linux has no such copy, but the memory of the simulator must be limited too.
    this.#charge(version, partial, memoryBytes(version, packetBytes(fragment)) + copiedBytes(fragment));
    if (!fragment.moreFragments) partial.total = fragment.offset + fragment.length;
    if (partial.bytes < partial.total) {
      this.#setFate(part, "waits for fragments");
      return undefined;
    }
    this.#forget(version, partial);
    for (const each of partial.parts) if (each !== part) this.#setFate(each, "reassembled");
    return whole(
      partial.parts.map(({ packet }) => packet),
      partial.total,
    );
  }

  /** Discards all fragments, because the host crashed. */
  clear(): void {
    for (const waiting of [this.#waiting[4], this.#waiting[6]]) {
      for (const { parts } of waiting.values()) for (const part of parts) this.#setFate(part, "host is down");
      waiting.clear();
    }
    this.#bytes[4] = this.#bytes[6] = 0;
  }

  /** Starts a new incomplete datagram. */
  #begin(version: 4 | 6, key: string): IncompleteDatagram<Part> {
    const deadline = (Math.floor((this.#scheduler.now + waitNs[version]) / bucketNs) + 1) * bucketNs;
    const partial = { key, deadline, parts: [], total: Infinity, bytes: 0, memoryBytes: 0, isRefused: false };
    this.#waiting[version].set(key, partial);
    this.#charge(version, partial, datagramBytes[version]);
    this.#startTimer(version, deadline);
    return partial;
  }

  /** @param bytes of memory that a datagram takes in addition; negative if it takes less. */
  #charge(version: 4 | 6, partial: IncompleteDatagram<Part>, bytes: number): void {
    partial.memoryBytes += bytes;
    this.#bytes[version] += bytes;
    this.#check(version);
  }

  #refuse(version: 4 | 6, partial: IncompleteDatagram<Part>): void {
    // The datagram itself is remembered, and takes memory, until its time has passed.
    this.#charge(version, partial, datagramBytes[version] - partial.memoryBytes);
    if (!partial.isRefused) this.failures[version]++;
    partial.isRefused = true;
    for (const part of partial.parts.splice(0)) this.#setFate(part, "overlapping fragments");
  }

  #forget(version: 4 | 6, partial: IncompleteDatagram<Part>): void {
    this.#waiting[version].delete(partial.key);
    this.#bytes[version] -= partial.memoryBytes;
    this.#check(version);
  }

  #check(version: 4 | 6): void {
    const bytes = this.#bytes[version];
    if (bytes < 0 || bytes > maxSumBytes || (this.#waiting[version].size === 0 && bytes !== 0))
      throw new Error(`the fragments of a host take ${bytes} bytes`);
  }

  /** Starts the timer of the oldest datagram of a version of IP. One timer is enough: all datagrams wait equally long. */
  #startTimer(version: 4 | 6, time: number): void {
    if (this.#timerRuns[version]) return;
    this.#timerRuns[version] = true;
    const event: ScheduledEvent = {
      time,
      rank: this.#rank,
      order: this.#order++,
      fire: () => {
        this.#timerRuns[version] = false;
        for (const partial of this.#waiting[version].values()) {
          if (partial.deadline > time) {
            this.#startTimer(version, partial.deadline);
            break;
          }
          this.#forget(version, partial);
          if (!partial.isRefused) this.failures[version]++;
          const [first] = partial.parts;
          for (const part of partial.parts) this.#setFate(part, "reassembly timed out");
          if (first?.packet.offset === 0) this.#timedOut(first.packet);
        }
        return false;
      },
    };
    this.#scheduler.schedule(event);
  }
}

/** The index of a fragment among the parts; the reason if it does not belong there. */
function placeOf(
  fragment: Packet,
  { parts, total, isRefused }: IncompleteDatagram<FragmentHolder>,
): number | "overlapping fragments" | "duplicate fragment" {
  if (isRefused) return "overlapping fragments";
  const ranges = parts.map(({ packet }) => packet);
  return placeOfFragment(fragment.version, fragment, ranges, total);
}

/** The whole packet, with the header of its first fragment. */
function whole(parts: readonly Packet[], length: number): Packet {
  const first = parts[0] as Packet;
  const same = first.content.protocol === "icmp" || parts.every((part) => part.content === first.content);
  const content = same ? first.content : joined(parts, length);
  return { ...first, content, offset: 0, length, moreFragments: false };
}

/**
 * Joins fragments that were not all cut from the same content. Either one was corrupted, or they belong to several
 * datagrams, because an identification was used again before the fragments of the older datagram timed out (RFC 4963).
 */
function joined(parts: readonly Packet[], length: number): UdpDatagram {
  const first = parts[0]?.content as UdpDatagram;
  const bytes = length - udpHeaderBytes;
  const [payload, checked] = [Buffer.alloc(bytes), Buffer.alloc(bytes)];
  for (const { content, offset, length } of parts) {
    const from = Math.max(0, offset - udpHeaderBytes);
    const to = offset + length - udpHeaderBytes;
    const { payload: own, intact: original } = content as UdpDatagram;
    own.copy(payload, from, from, to);
    (original ?? own).copy(checked, from, from, to);
  }
  const sent = first.sent ?? first.payload;
  const isOne = parts.every(({ content }) => {
    const { sent: other, payload } = content as UdpDatagram;
    return (other ?? payload) === sent;
  });
  // The checksum is in the first fragment, so it is the one of the datagram that this fragment belongs to.
  const intact = isOne ? checked : sent;
  return { ...first, payload, intact: payload.equals(intact) ? undefined : intact, sent };
}
