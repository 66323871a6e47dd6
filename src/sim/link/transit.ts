import type { Packet } from "../packet/packet.js";
import { type ScheduledEvent, nsPerMs } from "../time/event.js";
import type { Fate, TraceEntry } from "../trace/entry.js";

/** What a transit needs of its link direction. */
interface TransitDirection {
  readonly name: string;
  readonly rank: number;
  /** Takes a packet at the far end. Returns whether a program was called. */
  arrive(transit: Transit): boolean;
}

/** One packet on one link direction: the entry of the trace, and the event of its arrival. */
export class Transit implements ScheduledEvent, TraceEntry {
  /** The packet as it was sent, or with the bit that the link flipped. */
  packet: Packet;
  readonly direction: TransitDirection;
  readonly order: number;
  readonly sent: number;
  /** When it arrives; -1 if it never entered the link. */
  time = -1;
  /** When it has left at the rate of the link. Until then it waits in the queue. */
  leftAt = -1;
  fate: Fate = "travelling";
  duplicated = false;
  corrupted = false;
  reordered = false;
  held = false;

  constructor(packet: Packet, direction: TransitDirection, sent: number, order: number) {
    this.packet = packet;
    this.direction = direction;
    this.sent = sent;
    this.order = order;
  }

  get rank(): number {
    return this.direction.rank;
  }

  get owner(): string {
    return `a packet on ${this.link}`;
  }

  get link(): string {
    return this.direction.name;
  }

  get sentMs(): number {
    return this.sent / nsPerMs;
  }

  get arrivedMs(): number | undefined {
    return this.time < 0 ? undefined : this.time / nsPerMs;
  }

  fire(): boolean {
    return this.direction.arrive(this);
  }
}
