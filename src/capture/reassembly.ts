import { type FragmentRange, placeOfFragment } from "../wire/fragment-place.js";

/** Bytes of fragments that may wait, with a fixed amount for each and for each datagram. */
const maxBytes = 4 << 20;
const overheadBytes = 256;
/** How long fragments wait for the rest, by the times of the file (RFC 8200, section 4.5). */
const maxWaitNs = 60_000_000_000n;

/** A fragment of a UDP datagram. */
export interface Fragment extends FragmentRange {
  readonly version: 4 | 6;
  /** The protocol of its content, or the extension header at the start of it. */
  readonly protocol: number;
  /** The number of its VLAN, as `IpPlace` has it. */
  readonly vlan: number;
  /** The 8 or 32 bytes of both addresses. */
  readonly addresses: Uint8Array;
  readonly identification: number;
  /** Its content, which is copied. */
  readonly payload: Uint8Array;
  /** Whether the recorder cut it. Then its datagram is never whole. */
  readonly isCut: boolean;
  readonly timestamp: bigint | undefined;
}

interface Part extends FragmentRange {
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

/** The content of all fragments. */
export interface Joined {
  /** That of the first fragment (RFC 8200, section 4.5). */
  readonly protocol: number;
  readonly content: Uint8Array;
}

/** A datagram of which fragments are missing. */
interface Incomplete {
  /** In the order of their offsets, without overlap. */
  readonly parts: Part[];
  readonly timestamp: bigint | undefined;
  /** Bytes of the whole content; Infinity until the last fragment is there. */
  total: number;
  /** Bytes of the content that are there. */
  bytes: number;
  memoryBytes: number;
  /** Whether fragments overlapped or were cut. Then no further fragment is taken (RFC 5722, section 4). */
  isRefused: boolean;
}

/**
 * Joins fragments of UDP datagrams. The memory is limited: if it is full, the oldest datagrams are given up.
 */
export class Reassembly {
  /** Datagrams that were given up. */
  failures = 0;
  /** In the order of their first fragments. */
  readonly #waiting = new Map<string, Incomplete>();
  #bytes = 0;

  /** Datagrams that were given up or wait for fragments. */
  get incomplete(): number {
    let waiting = 0;
    for (const { isRefused } of this.#waiting.values()) if (!isRefused) waiting++;
    return this.failures + waiting;
  }

  /** Takes a fragment. Returns the whole content if no fragment is missing any more. */
  add(fragment: Fragment): Joined | undefined {
    const joined = this.#take(fragment);
    // A refused datagram takes memory too.
    for (const [oldest, each] of this.#waiting) {
      if (this.#bytes <= maxBytes) break;
      this.#giveUp(oldest, each);
    }
    return joined;
  }

  #take(fragment: Fragment): Joined | undefined {
    const { version, protocol, offset, length, moreFragments, payload, timestamp, isCut } = fragment;
    if (timestamp !== undefined) this.#giveUpBefore(timestamp - maxWaitNs);
    const key = keyOf(fragment);
    const datagram = this.#waiting.get(key) ?? this.#begin(key, timestamp);
    if (datagram.isRefused) return undefined;
    const place = placeOfFragment(version, fragment, datagram.parts, datagram.total);
    if (isCut || place === "overlapping fragments") {
      this.#refuse(datagram);
      return undefined;
    }
    if (typeof place === "string") return undefined;
    const bytes = Uint8Array.from(payload);
    datagram.parts.splice(place, 0, { offset, length, moreFragments, protocol, bytes });
    datagram.bytes += length;
    this.#charge(datagram, overheadBytes + length);
    if (!moreFragments) datagram.total = offset + length;
    if (datagram.bytes !== datagram.total) return undefined;
    this.#forget(key, datagram);
    return join(datagram);
  }

  #begin(key: string, timestamp: bigint | undefined): Incomplete {
    const begun = { parts: [], timestamp, total: Infinity, bytes: 0, memoryBytes: 0, isRefused: false };
    this.#waiting.set(key, begun);
    this.#charge(begun, overheadBytes);
    return begun;
  }

  /** Gives up the datagrams whose first fragment is older than `time`. */
  #giveUpBefore(time: bigint): void {
    for (const [key, datagram] of this.#waiting) {
      if (datagram.timestamp === undefined || datagram.timestamp >= time) return;
      this.#giveUp(key, datagram);
    }
  }

  #giveUp(key: string, datagram: Incomplete): void {
    if (!datagram.isRefused) this.failures++;
    this.#forget(key, datagram);
  }

  /** Discards the parts, and remembers the datagram to refuse further fragments. */
  #refuse(datagram: Incomplete): void {
    this.failures++;
    datagram.isRefused = true;
    datagram.parts.length = 0;
    this.#charge(datagram, overheadBytes - datagram.memoryBytes);
  }

  #forget(key: string, datagram: Incomplete): void {
    this.#waiting.delete(key);
    this.#charge(datagram, -datagram.memoryBytes);
  }

  #charge(datagram: Incomplete, bytes: number): void {
    datagram.memoryBytes += bytes;
    this.#bytes += bytes;
  }
}

function keyOf({ vlan, addresses, identification }: Fragment): string {
  return `${vlan} ${addresses.join(".")} ${identification}`;
}

function join({ parts, total }: Incomplete): Joined {
  const content = new Uint8Array(total);
  for (const { offset, bytes } of parts) content.set(bytes, offset);
  return { protocol: parts[0]?.protocol ?? 0, content };
}
