import { Buffer } from "node:buffer";

import type { ScheduledEvent, Scheduler } from "../time/event.js";
import type { Fate } from "../trace/entry.js";
import { copiedBytes } from "./corrupt.js";
import { type Packet, type UdpDatagram, packetBytes, udpHeaderBytes } from "./packet.js";
import { memoryBytes } from "./memory.js";

/**
 * Bytes of memory past which one host takes no more fragments of a version of IP, be it that they make a datagram whole
 * (`net.ipv4.ipfrag_high_thresh`, `net.ipv6.ip6frag_high_thresh`; `inet_frag_find`, net/ipv4/inet_fragment.c).
 */
const maxBytes = 4 << 20;
/** What each datagram costs beside its fragments: `struct ipq`, `struct frag_queue`. */
const datagramBytes = { 4: 200, 6: 184 } as const;
/** How long fragments wait for the rest, in nanoseconds: `net.ipv4.ipfrag_time` of 30 s; RFC 8200, section 4.5. */
const waitNs = { 4: 30e9, 6: 60e9 } as const;
/**
 * They are given up at whole multiples of this, in nanoseconds, and so up to so much late: timers that far ahead lie in
 * buckets of 512 ticks (kernel/time/timer.c), of which a kernel has 250 a second (`CONFIG_HZ` of Debian). A host that was
 * full has room for two seconds' worth at once. With each given up alone, the next incomplete one takes its place for good.
 */
const bucketNs = 2_048_000_000;
/** The longest content: of a packet of 65,535 bytes, with an IPv4 header of 20 (RFC 791, section 3.1; RFC 8200, section 3). */
const maxContentBytes = { 4: 65_515, 6: 65_535 } as const;

/** Something that carries a fragment. */
interface FragmentHolder {
  readonly packet: Packet;
}

/** A datagram that is not whole yet. */
interface IncompleteDatagram<Part extends FragmentHolder> {
  readonly key: string;
  readonly deadline: number;
  /** In the order of their offsets, without overlap. */
  readonly parts: Part[];
  /** Bytes of the whole content, once its last fragment came. */
  total: number;
  /** Bytes of content that came. */
  bytes: number;
  memoryBytes: number;
  /** A fragment overlapped: what still comes is refused too (RFC 5722, section 4). */
  isRefused: boolean;
}

/**
 * Puts the fragments that come to one host together (RFC 791 section 3.2, RFC 8200 section 4.5). Overlapping ones end the
 * whole datagram, as an attack (RFC 5722); exact repetitions are ignored. Those that wait are bounded in time and memory.
 */
export class Reassembly<Part extends FragmentHolder> {
  /** Fragments that found no memory, and datagrams that were given up (`IpReasmFails`, `Ip6ReasmFails`). */
  readonly failures: Record<4 | 6, number> = { 4: 0, 6: 0 };
  readonly #scheduler: Scheduler;
  readonly #rank: number;
  readonly #setFate: (part: Part, fate: Fate) => void;
  readonly #timedOut: (first: Packet) => void;
  /** In the order in which they came, for each version of IP. */
  readonly #waiting: Record<4 | 6, Map<string, IncompleteDatagram<Part>>> = { 4: new Map(), 6: new Map() };
  readonly #timerRuns: Record<4 | 6, boolean> = { 4: false, 6: false };
  readonly #bytes: Record<4 | 6, number> = { 4: 0, 6: 0 };
  #order = 0;

  /**
   * @param rank of the host, on the timeline.
   * @param setFate is told what becomes of each fragment, but of the one that makes a datagram whole.
   * @param timedOut is told of the first fragment of a datagram whose rest did not come in time, where that had come.
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

  /** Takes a fragment. Gives the whole packet when this was the last that was missing. */
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
    // The copy that a flipped bit makes is the simulator's own, and so bounded along with the rest.
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

  /** Forgets everything, as a host does that crashes. */
  clear(): void {
    for (const waiting of [this.#waiting[4], this.#waiting[6]]) {
      for (const { parts } of waiting.values()) for (const part of parts) this.#setFate(part, "host is down");
      waiting.clear();
    }
    this.#bytes[4] = this.#bytes[6] = 0;
  }

  #begin(version: 4 | 6, key: string): IncompleteDatagram<Part> {
    const deadline = (Math.floor((this.#scheduler.now + waitNs[version]) / bucketNs) + 1) * bucketNs;
    const partial = { key, deadline, parts: [], total: Infinity, bytes: 0, memoryBytes: 0, isRefused: false };
    this.#waiting[version].set(key, partial);
    this.#charge(version, partial, datagramBytes[version]);
    this.#startTimer(version, deadline);
    return partial;
  }

  #charge(version: 4 | 6, partial: IncompleteDatagram<Part>, cost: number): void {
    partial.memoryBytes += cost;
    this.#bytes[version] += cost;
  }

  #refuse(version: 4 | 6, partial: IncompleteDatagram<Part>): void {
    // It is remembered, and so still costs something, until its time has passed.
    this.#charge(version, partial, datagramBytes[version] - partial.memoryBytes);
    if (!partial.isRefused) this.failures[version]++;
    partial.isRefused = true;
    for (const part of partial.parts.splice(0)) this.#setFate(part, "overlapping fragments");
  }

  #forget(version: 4 | 6, partial: IncompleteDatagram<Part>): void {
    this.#waiting[version].delete(partial.key);
    this.#bytes[version] -= partial.memoryBytes;
  }

  /** One timer for the oldest of each version: all wait equally long. */
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

/** Where a fragment belongs among the parts. */
function placeOf(
  { version, offset, length, moreFragments }: Packet,
  { parts, total, isRefused }: IncompleteDatagram<FragmentHolder>,
): number | "overlapping fragments" | "duplicate fragment" {
  const end = offset + length;
  // Another end than the one that is known.
  if (isRefused || end > total || (!moreFragments && total !== Infinity && end !== total))
    return "overlapping fragments";
  // What no packet can be cut into: nothing, more than there is, or a part behind which none can begin.
  if (length === 0 || end > maxContentBytes[version] || (moreFragments && end % 8 !== 0))
    return "overlapping fragments";
  let place = parts.length;
  while (place > 0 && (parts[place - 1] as FragmentHolder).packet.offset >= offset) place--;
  const [before, after] = [parts[place - 1]?.packet, parts[place]?.packet];
  if (after?.offset === offset && after.length === length) {
    return after.moreFragments === moreFragments ? "duplicate fragment" : "overlapping fragments";
  }
  if (before && before.offset + before.length > offset) return "overlapping fragments";
  if (after && end > after.offset) return "overlapping fragments";
  if (!moreFragments && after) return "overlapping fragments";
  return place;
}

/** The packet that the parts are of, as its first fragment has it. */
function whole(parts: readonly Packet[], length: number): Packet {
  const first = parts[0] as Packet;
  const same = first.content.protocol === "icmp" || parts.every((part) => part.content === first.content);
  const content = same ? first.content : joined(parts, length);
  return { ...first, content, offset: 0, length, moreFragments: false };
}

/**
 * Fragments that were not all cut from one thing: one was corrupted, or they are of several datagrams, since the
 * identification came round again before the fragments of the older one had timed out (RFC 4963).
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
  // The checksum is in the first fragment: of the datagram that this one is of.
  const intact = isOne ? checked : sent;
  return { ...first, payload, intact: payload.equals(intact) ? undefined : intact, sent };
}
