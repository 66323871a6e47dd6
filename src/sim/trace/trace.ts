import type { Buffer } from "node:buffer";

import { wholeNumber, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { capture } from "./capture.js";
import { formatEntry } from "./format.js";
import { TraceHash } from "./hash.js";
import type { Fate, TraceEntry } from "./entry.js";

/** An entry whose fate may still change. */
interface KeptEntry extends TraceEntry {
  fate: Fate;
  /** Whole nanoseconds. */
  readonly sent: number;
  readonly time: number;
  readonly rank: number;
}

/** The limits of a trace. Above either, the oldest entries are forgotten. The hash covers all packets. */
export interface TraceLimits {
  /** Entries, 0 to 10,000,000: one for each packet on each link. @default 100,000 */
  readonly packets?: number | undefined;
  /** Bytes of the content of the packets, including UDP and ICMP headers, 0 to 2^53 - 1. @default 67,108,864 */
  readonly bytes?: number | undefined;
}

/**
 * The trace of a network: an entry for each packet on each link direction.
 *
 * The other files of this folder: `entry.ts` has the type of an entry and the fates. `hash.ts` hashes them. `format.ts`
 * writes them as text, and `capture.ts` as a capture file, with the bytes that `frame.ts` makes of a packet.
 */
export class Trace {
  readonly #maxPackets: number;
  readonly #maxBytes: number;
  readonly #hash = new TraceHash();
  /** A ring buffer of `#count` entries from `#first` on, which grows to `#maxPackets`. */
  readonly #entries: (KeptEntry | undefined)[] = [];
  /** The bytes of each entry, stored here so that forgetting an old entry reads no other memory. */
  readonly #lengths: number[] = [];
  #first = 0;
  #count = 0;
  #bytes = 0;
  #forgotten = 0;

  /** @throws `TypeError`, `RangeError` for invalid limits. */
  constructor(limits: TraceLimits = {}) {
    if (typeof limits !== "object" || (limits as unknown) === null)
      throw wrongType("trace", "an object", limits);
    refuseUnknown(limits, ["packets", "bytes"], "trace: a field");
    this.#maxPackets = wholeNumber("trace.packets", limits.packets ?? 100_000, 0, 10_000_000);
    this.#maxBytes = wholeNumber("trace.bytes", limits.bytes ?? 64 << 20, 0, Number.MAX_SAFE_INTEGER);
  }

  /** The entries, in the order in which packets were sent. The list is a copy; the fate of an entry may still change. */
  get packets(): readonly TraceEntry[] {
    return Array.from({ length: this.#count }, (_, index) => this.#entries[this.#at(index)] as TraceEntry);
  }

  /** The number of entries that were forgotten because of the limits. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** 16 hexadecimal digits: the same for two runs with the same packets, fates and times, to the nanosecond. */
  get hash(): string {
    return this.#hash.toString();
  }

  /** A capture file for Wireshark and tshark: pcapng (draft-ietf-opsawg-pcapng), with each fate as a comment. */
  toPcapng(): Buffer {
    return capture(this.packets);
  }

  /** A line for each entry. */
  toString(): string {
    return this.packets.map((entry) => formatEntry(entry)).join("\n");
  }

  /** Adds an entry. Called by links. @internal */
  add(entry: KeptEntry): void {
    const { length } = entry.packet;
    while (this.#count > 0 && !this.#hasRoom(length)) this.#forgetOldest();
    if (!this.#hasRoom(length)) {
      this.#forgotten++;
      return;
    }
    const place = this.#at(this.#count++);
    this.#entries[place] = entry;
    this.#lengths[place] = length;
    this.#bytes += length;
  }

  /** Counts the copy that a flipped bit made, for the entry that was added last. Called by links. @internal */
  addCopiedBytes(entry: KeptEntry, bytes: number): void {
    const place = this.#at(this.#count - 1);
    if (this.#count === 0 || this.#entries[place] !== entry) return;
    this.#lengths[place] = (this.#lengths[place] as number) + bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) this.#forgetOldest();
  }

  /** Sets the fate of an entry, or changes it. Called by links and nodes. @internal */
  setFate(entry: KeptEntry, fate: Fate): void {
    entry.fate = fate;
    const hash = this.#hash;
    hash.number(entry.sent);
    hash.number(entry.time);
    hash.number(entry.rank);
    hash.text(fate);
    hash.packet(entry.packet);
  }

  #hasRoom(bytes: number): boolean {
    return this.#count < this.#maxPackets && this.#bytes + bytes <= this.#maxBytes;
  }

  #forgetOldest(): void {
    this.#bytes -= this.#lengths[this.#first] as number;
    this.#entries[this.#first] = undefined;
    this.#first = this.#at(1);
    this.#count--;
    this.#forgotten++;
  }

  /** The place of the entry that is `index` after the oldest. */
  #at(index: number): number {
    const place = this.#first + index;
    return place < this.#maxPackets ? place : place - this.#maxPackets;
  }
}
