import type { Packet } from "../packet/packet.js";
import { type Happening, nsPerMs } from "../time/timeline.js";
import type { Fate, Passage } from "../trace/passage.js";

/** The direction of a link that a packet is on. */
interface Lane {
  readonly name: string;
  readonly rank: number;
  /** Hands over what has arrived. Gives whether a program was told of something. */
  land(flight: Flight): boolean;
}

/** A packet on one link: what the trace keeps, and what happens when it arrives. */
export class Flight implements Happening, Passage {
  /** As it left; with a bit flipped, once the link has done that. */
  packet: Packet;
  readonly lane: Lane;
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

  constructor(packet: Packet, lane: Lane, sent: number, order: number) {
    this.packet = packet;
    this.lane = lane;
    this.sent = sent;
    this.order = order;
  }

  get rank(): number {
    return this.lane.rank;
  }

  get who(): string {
    return `a packet on ${this.link}`;
  }

  get link(): string {
    return this.lane.name;
  }

  get sentMs(): number {
    return this.sent / nsPerMs;
  }

  get arrivedMs(): number | undefined {
    return this.time < 0 ? undefined : this.time / nsPerMs;
  }

  happen(): boolean {
    return this.lane.land(this);
  }
}
