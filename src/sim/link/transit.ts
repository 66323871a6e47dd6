import type { Packet } from "../packet/packet.js";
import { type ScheduledEvent, nsPerMs } from "../time/event.js";
import type { Fate, TraceEntry } from "../trace/entry.js";

/** The direction of a link that a packet is on. */
interface TransitDirection {
  readonly name: string;
  readonly rank: number;
  /** Hands over what has arrived. Gives whether a program was told of something. */
  arrive(transit: Transit): boolean;
}

/** A packet on one link: what the trace keeps, and what happens when it arrives. */
export class Transit implements ScheduledEvent, TraceEntry {
  /** As it left; with a bit flipped, once the link has done that. */
  packet: Packet;
  readonly direction: TransitDirection;
  readonly order: number;
  readonly sent: number;
  /** When it arrives; -1 where it never entered the link. */
  time = -1;
  /** When it has left at the link's rate; before, it waits in front of the link. */
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
