import { copiedBytes, corrupt } from "../packet/corrupt.js";
import { type Packet, isFragment, packetBytes } from "../packet/packet.js";
import type { Fabric } from "../node/fabric.js";
import type { Exit, Interface } from "../node/node.js";
import type { Fate } from "../trace/passage.js";
import type { CheckedSettings } from "./check.js";
import { Flight } from "./flight.js";
import { Impairment, emptyVerdict } from "./impairment.js";

/** Packets that one direction holds, and their bytes; what comes past either is dropped. */
const mostHeld = 16_384;
const mostHeldBytes = 16 << 20;

/** Says of a packet whether it is dropped. */
export type Rule = (packet: Packet) => boolean;

const verdict = emptyVerdict();

/** One direction of a link. */
export class Channel implements Exit {
  /** Such as `"camera→desk"`. */
  readonly name: string;
  readonly rank: number;
  readonly rules: Set<Rule> = new Set<Rule>();
  /** Nothing passes. */
  isCut = false;
  readonly #immediate: boolean;
  readonly #fabric: Fabric;
  readonly #impairment: Impairment;
  #to: Interface | undefined;
  #hole: Hole | undefined;
  /** What has come and waits for `release()`; `undefined` where nothing is held. */
  #held: Flight[] | undefined;
  #heldBytes = 0;
  #order = 0;

  /** @param immediate whether packets arrive within the call that sends them, as over loopback. */
  constructor(fabric: Fabric, name: string, settings: CheckedSettings, immediate = false) {
    this.#immediate = immediate;
    this.name = name;
    this.rank = fabric.rank();
    this.#fabric = fabric;
    this.#impairment = new Impairment(settings, fabric.random(`link ${name}`));
  }

  get to(): Interface {
    return this.#to as Interface;
  }

  /** Names the far end, once. */
  lead(to: Interface): void {
    this.#to = to;
  }

  get settings(): CheckedSettings {
    return this.#impairment.settings;
  }

  get mtu(): number {
    return this.settings.mtuBytes;
  }

  set(settings: CheckedSettings): void {
    this.#impairment.set(settings);
  }

  /** `undefined` ends it. */
  swallow(hole: Hole | undefined): void {
    this.#hole = hole;
  }

  /** Packets that are held. */
  get heldPackets(): number {
    return this.#held?.length ?? 0;
  }

  /** Keeps what comes to the far end from now on, until `release()`. */
  hold(): void {
    this.#held ??= [];
  }

  /** Lets what was held arrive now, in the order in which it was sent. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#heldBytes = 0;
    const { timeline } = this.#fabric;
    for (const flight of held) {
      flight.time = timeline.now;
      timeline.schedule(flight);
    }
  }

  discard(): void {
    const { timeline, trace } = this.#fabric;
    const { now } = timeline;
    const waiting: Flight[] = [];
    let lastAt = 0;
    timeline.withdraw((happening) => {
      if (!(happening instanceof Flight) || happening.lane !== this) return false;
      if (happening.leftAt > now) waiting.push(happening);
      else if (!happening.reordered) lastAt = Math.max(lastAt, happening.time);
      return happening.leftAt > now;
    });
    this.#impairment.discardQueue(now, lastAt);
    for (const flight of waiting.sort((one, other) => one.order - other.order)) {
      flight.time = -1;
      trace.settle(flight, "lost in a crash");
    }
  }

  transmit(packet: Packet): void {
    const { timeline, trace } = this.#fabric;
    const { now } = timeline;
    const flight = new Flight(packet, this, now, this.#order++);
    trace.add(flight);
    const obstacle = this.#obstacle(packet, now);
    if (obstacle) {
      trace.settle(flight, obstacle);
      return;
    }
    this.#impairment.pass(now, packetBytes(packet), verdict);
    if (verdict.fate !== "passed") {
      trace.settle(flight, verdict.fate === "queue" ? "queue full" : "lost");
      return;
    }
    const { at, leftAt, duplicateAt, corruptBit, reordered } = verdict;
    if (corruptBit >= 0) {
      flight.packet = corrupt(packet, corruptBit, this.settings.corruptPasses);
      flight.corrupted = flight.packet !== packet;
      trace.weigh(flight, copiedBytes(flight.packet));
    }
    flight.reordered = reordered;
    flight.time = at;
    flight.leftAt = leftAt;
    if (this.#immediate) flight.happen();
    else timeline.schedule(flight);
    if (duplicateAt < 0) return;
    const second = new Flight(flight.packet, this, now, this.#order++);
    second.corrupted = flight.corrupted;
    second.duplicated = true;
    second.time = duplicateAt;
    second.leftAt = leftAt;
    trace.add(second);
    timeline.schedule(second);
  }

  land(flight: Flight): boolean {
    if (!this.#held) return this.to.node.arrive(flight, this.to);
    const bytes = packetBytes(flight.packet);
    const { trace } = this.#fabric;
    if (this.#held.length >= mostHeld || this.#heldBytes + bytes > mostHeldBytes) {
      trace.settle(flight, "queue full");
      return false;
    }
    this.#held.push(flight);
    this.#heldBytes += bytes;
    flight.held = true;
    trace.settle(flight, "held");
    return false;
  }

  #obstacle(packet: Packet, now: number): Fate | undefined {
    if (this.isCut || this.#fabric.parted(packet, this.to.node)) return "cut";
    if (this.#hole && inHole(this.#hole, now)) return "black hole";
    const { dropFragments, dropIcmp } = this.settings.firewall;
    if (dropFragments && isFragment(packet)) return "dropped by a firewall";
    if (dropIcmp && packet.content.protocol === "icmp") return "dropped by a firewall";
    // All of them see each packet.
    let dropped = false;
    for (const rule of this.rules) dropped = this.#drops(rule, packet, now) || dropped;
    if (dropped) return "dropped by a rule";
    return packetBytes(packet) > this.mtu ? "too big" : undefined;
  }

  /** A rule is the test's: what it throws ends the rule and the run, not the send that happens to ask. */
  #drops(rule: Rule, packet: Packet, now: number): boolean {
    try {
      return rule(packet);
    } catch (error) {
      this.rules.delete(rule);
      const happen = (): never => {
        throw error;
      };
      this.#fabric.timeline.schedule({ time: now, rank: this.rank, order: this.#order++, happen });
      return true;
    }
  }
}

/** A time during which a link swallows everything, over and over; whole nanoseconds. */
export interface Hole {
  readonly first: number;
  readonly on: number;
  readonly off: number;
}

function inHole({ first, on, off }: Hole, now: number): boolean {
  if (now < first) return false;
  return on === Infinity || (now - first) % (on + off) < on;
}
