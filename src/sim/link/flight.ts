import type { Packet } from "../packet/packet.js";
import type { Happening } from "../time/timeline.js";
import type { Fate, Passage } from "../trace/passage.js";
import type { Channel } from "./channel.js";

/** A packet on one link: what the trace keeps, and what happens when it arrives. */
export class Flight implements Happening, Passage {
  /** As it left; with a bit flipped, once the link has done that. */
  packet: Packet;
  readonly channel: Channel;
  readonly order: number;
  readonly sent: number;
  /** When it arrives; -1 where it never entered the link. */
  time = -1;
  fate: Fate = "travelling";
  duplicated = false;
  corrupted = false;
  reordered = false;

  constructor(packet: Packet, channel: Channel, sent: number, order: number) {
    this.packet = packet;
    this.channel = channel;
    this.sent = sent;
    this.order = order;
  }

  get rank(): number {
    return this.channel.rank;
  }

  get link(): string {
    return this.channel.name;
  }

  get sentMs(): number {
    return this.sent / 1e6;
  }

  get arrivedMs(): number | undefined {
    return this.time < 0 ? undefined : this.time / 1e6;
  }

  happen(): boolean {
    return this.channel.to.node.arrive(this, this.channel.to);
  }
}
