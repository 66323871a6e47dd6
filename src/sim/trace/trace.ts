import type { Buffer } from "node:buffer";

import { wholeNumber, wrongType } from "../../core/errors/errors.js";
import { refuseUnknown } from "../../core/errors/fields.js";
import { capture } from "./capture.js";
import { formatEntry } from "./format.js";
import { TraceHash } from "./hash.js";
import type { Fate, TraceEntry } from "./entry.js";

/** What a trace keeps of a passage while its fate is open. */
interface KeptEntry extends TraceEntry {
  fate: Fate;
  /** Whole nanoseconds. */
  readonly sent: number;
  readonly time: number;
  readonly rank: number;
}

/** How much of what passes is kept: past either, the oldest packets are forgotten. The hash covers all. */
export interface TraceLimits {
  /** Packets, 0 to 10,000,000, each once for each link. @default 100,000 */
  readonly packets?: number | undefined;
  /** Bytes of what IP carries, UDP and ICMP headers among them, 0 to 2^53 - 1. @default 67,108,864 */
  readonly bytes?: number | undefined;
}

/** Every packet of a run on every link that it took, and its fate. */
export class Trace {
  readonly #maxPackets: number;
  readonly #maxBytes: number;
  readonly #hash = new TraceHash();
  /** A ring of `#count` from `#first` on, which grows to `#mostPackets`. */
  readonly #entries: (KeptEntry | undefined)[] = [];
  /** Of each, so that forgetting it reads nothing of what has not been touched for long. */
  readonly #lengths: number[] = [];
  #first = 0;
  #count = 0;
  #bytes = 0;
  #forgotten = 0;

  /** @throws `TypeError`, `RangeError` for limits that are none. */
  constructor(limits: TraceLimits = {}) {
    if (typeof limits !== "object" || (limits as unknown) === null)
      throw wrongType("trace", "an object", limits);
    refuseUnknown(limits, ["packets", "bytes"], "trace: a field");
    this.#maxPackets = wholeNumber("trace.packets", limits.packets ?? 100_000, 0, 10_000_000);
    this.#maxBytes = wholeNumber("trace.bytes", limits.bytes ?? 64 << 20, 0, Number.MAX_SAFE_INTEGER);
  }

  /** What is kept, in the order in which it was sent. A copy of the list; the fates of what travels go on. */
  get packets(): readonly TraceEntry[] {
    return Array.from({ length: this.#count }, (_, index) => this.#entries[this.#at(index)] as TraceEntry);
  }

  /** How many were forgotten, to stay within the limits. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** 16 hexadecimal digits, the same for two runs whose packets and fates were the same, to the nanosecond. */
  get hash(): string {
    return this.#hash.toString();
  }

  /** The run as a capture file, which Wireshark and tshark open: pcapng (draft-ietf-opsawg-pcapng), a comment for each fate. */
  toPcapng(): Buffer {
    return capture(this.packets);
  }

  /** A line for each packet. */
  toString(): string {
    return this.packets.map((entry) => formatEntry(entry)).join("\n");
  }

  /** A link was given a packet. For the links. */
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

  /** What was added last keeps more bytes alive than its own: a copy, in which a bit is flipped. For the links. */
  addCopiedBytes(entry: KeptEntry, bytes: number): void {
    const place = this.#at(this.#count - 1);
    if (this.#count === 0 || this.#entries[place] !== entry) return;
    this.#lengths[place] = (this.#lengths[place] as number) + bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) this.#forgetOldest();
  }

  /** What became of it is known, or known better. For the links and what lies behind them. */
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

  /** The place of what is `index` behind the oldest. */
  #at(index: number): number {
    const place = this.#first + index;
    return place < this.#maxPackets ? place : place - this.#maxPackets;
  }
}
