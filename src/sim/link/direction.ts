import { copiedBytes, corrupt } from "../packet/corrupt.js";
import { type Packet, isFragment, packetBytes } from "../packet/packet.js";
import type { NetworkContext } from "../node/context.js";
import type { OutgoingLink, Interface } from "../node/node.js";
import type { Fate } from "../trace/entry.js";
import type { CheckedSettings } from "./check.js";
import { Transit } from "./transit.js";
import { Impairment, emptyVerdict } from "./impairment.js";

/** The number and bytes of packets that one direction holds after `hold()`. Packets above either limit are dropped. */
const maxHeldPackets = 16_384;
const maxHeldBytes = 16 << 20;

/** Decides on one packet: `true` drops it. */
export type Rule = (packet: Packet) => boolean;

const verdict = emptyVerdict();

/** One direction of a link. */
export class LinkDirection implements OutgoingLink {
  /** Such as `"camera→desk"`. */
  readonly name: string;
  readonly rank: number;
  readonly rules: Set<Rule> = new Set<Rule>();
  /** Whether the link is cut, so that no packet passes. */
  isCut = false;
  readonly #immediate: boolean;
  readonly #context: NetworkContext;
  readonly #impairment: Impairment;
  #to: Interface | undefined;
  #blackHole: BlackHoleTimes | undefined;
  /** Packets that entered the link and have not arrived. */
  #inFlight = 0;
  /** Packets that arrived and wait for `release()`; `undefined` without `hold()`. */
  #held: Transit[] | undefined;
  #heldBytes = 0;
  #order = 0;

  /** @param immediate whether packets arrive within the call that sends them, as over loopback. */
  constructor(context: NetworkContext, name: string, settings: CheckedSettings, immediate = false) {
    this.#immediate = immediate;
    this.name = name;
    this.rank = context.nextRank();
    this.#context = context;
    this.#impairment = new Impairment(settings, context.randomStream(`link ${name}`));
  }

  get to(): Interface {
    return this.#to as Interface;
  }

  /** Sets the interface at the far end; called once. */
  setFarEnd(to: Interface): void {
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

  /** Begins a black hole; `undefined` ends it. */
  setBlackHole(hole: BlackHoleTimes | undefined): void {
    this.#blackHole = hole;
  }

  /** The number of packets that are held. */
  get heldPackets(): number {
    return this.#held?.length ?? 0;
  }

  /** Holds the packets that arrive at the far end from now on, until `release()`. */
  hold(): void {
    this.#held ??= [];
  }

  /** Lets the held packets arrive now, in the order in which they were sent. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#heldBytes = 0;
    const { scheduler } = this.#context;
    for (const transit of held) {
      transit.time = scheduler.now;
      this.#inFlight++;
      scheduler.schedule(transit);
    }
  }

  /** Discards the packets that have not left yet, because the host crashed. */
  discard(): void {
    const { scheduler, trace } = this.#context;
    const { now } = scheduler;
    const waiting: Transit[] = [];
    let lastAt = 0;
    scheduler.cancelMatching((event) => {
      if (!(event instanceof Transit) || event.direction !== this) return false;
      if (event.leftAt > now) waiting.push(event);
      else if (!event.reordered) lastAt = Math.max(lastAt, event.time);
      return event.leftAt > now;
    });
    this.#impairment.discardQueue(now, lastAt);
    this.#inFlight -= waiting.length;
    for (const transit of waiting.sort((one, other) => one.order - other.order)) {
      transit.time = -1;
      trace.setFate(transit, "lost in a crash");
    }
  }

  transmit(packet: Packet): void {
    const { scheduler, trace } = this.#context;
    const { now } = scheduler;
    const transit = new Transit(packet, this, now, this.#order++);
    trace.add(transit);
    const reason = this.#reasonToDrop(packet, now);
    if (reason) {
      trace.setFate(transit, reason);
      return;
    }
    this.#impairment.pass(now, packetBytes(packet), verdict);
    if (verdict.fate !== "passed") {
      trace.setFate(transit, verdict.fate === "queue" ? "queue full" : "lost");
      return;
    }
    const { at, leftAt, duplicateAt, corruptBit, reordered } = verdict;
    if (corruptBit >= 0) {
      transit.packet = corrupt(packet, corruptBit, this.settings.corruptPasses);
      transit.corrupted = transit.packet !== packet;
      trace.addCopiedBytes(transit, copiedBytes(transit.packet));
    }
    transit.reordered = reordered;
    transit.time = at;
    transit.leftAt = leftAt;
    this.#inFlight++;
    if (this.#immediate) transit.fire();
    else scheduler.schedule(transit);
    if (duplicateAt < 0) return;
    const second = new Transit(transit.packet, this, now, this.#order++);
    second.corrupted = transit.corrupted;
    second.duplicated = true;
    second.time = duplicateAt;
    second.leftAt = leftAt;
    trace.add(second);
    this.#inFlight++;
    scheduler.schedule(second);
  }

  /** Delivers a packet to the far end, or holds it. Returns whether a program was called. */
  arrive(transit: Transit): boolean {
    if (--this.#inFlight < 0) throw new Error(`${this.name} has ${this.#inFlight} packets in flight`);
    if (!this.#held) return this.to.node.arrive(transit, this.to);
    const bytes = packetBytes(transit.packet);
    const { trace } = this.#context;
    if (this.#held.length >= maxHeldPackets || this.#heldBytes + bytes > maxHeldBytes) {
      trace.setFate(transit, "queue full");
      return false;
    }
    this.#held.push(transit);
    this.#heldBytes += bytes;
    transit.held = true;
    trace.setFate(transit, "held");
    return false;
  }

  /** The fate of a packet that does not enter the link; `undefined` if it enters. */
  #reasonToDrop(packet: Packet, now: number): Fate | undefined {
    if (this.isCut || this.#context.isPartitioned(packet, this.to.node)) return "cut";
    if (this.#blackHole && isInBlackHole(this.#blackHole, now)) return "black hole";
    const { dropFragments, dropIcmp } = this.settings.firewall;
    if (dropFragments && isFragment(packet)) return "dropped by a firewall";
    if (dropIcmp && packet.content.protocol === "icmp") return "dropped by a firewall";
    // Each rule sees each packet, also one that is dropped already.
    let dropped = false;
    for (const rule of this.rules) dropped = this.#drops(rule, packet, now) || dropped;
    if (dropped) return "dropped by a rule";
    return packetBytes(packet) > this.mtu ? "too big" : undefined;
  }

  /** An error of a rule ends the rule and the run. It does not fail the send that asked the rule. */
  #drops(rule: Rule, packet: Packet, now: number): boolean {
    try {
      return rule(packet);
    } catch (error) {
      this.rules.delete(rule);
      const fire = (): never => {
        throw error;
      };
      this.#context.scheduler.schedule({ time: now, rank: this.rank, order: this.#order++, fire });
      return true;
    }
  }
}

/** When a link drops everything: from `first` on for `on`, then not for `off`, and so on. Whole nanoseconds. */
export interface BlackHoleTimes {
  readonly first: number;
  readonly on: number;
  readonly off: number;
}

function isInBlackHole({ first, on, off }: BlackHoleTimes, now: number): boolean {
  if (now < first) return false;
  return on === Infinity || (now - first) % (on + off) < on;
}
