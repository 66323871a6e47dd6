import type { Endpoint } from "../../index.js";
import { type Passage, clientLimit, relayLoop } from "../../proxy/observer.js";
import type { Model } from "../model/model.js";
import type { RelaySender, RelayState } from "../protocol.js";

/**
 * Senders that are kept. Source addresses can be forged: a new one takes the place of the one that was silent longest of those that
 * sent one datagram, or, if there is none, of all.
 */
const maxSenders = 1024;
/** Senders that a page gets. */
const maxRows = 200;
/** Causes that are told apart, for a sender and for the relay. The others are one more. */
const maxCauses = 66;
const otherCauses = "other settings and rules";

/** What the relay did to the datagrams of one sender. */
interface Sender {
  readonly address: string;
  readonly direction: Passage["direction"];
  lastMs: number;
  arrived: number;
  forwarded: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  passed: number;
  delayMs: number;
  maxDelayMs: number;
  readonly dropped: Map<string, number>;
  readonly key: string;
  /** The neighbours in the list that has it. */
  before: Sender | undefined;
  after: Sender | undefined;
}

/**
 * Senders, the one that was silent longest first. It is a list and not the order of a `Map`: to find the first entry of one, V8 walks
 * over all that were deleted since it last made the table anew.
 */
class SenderList {
  first: Sender | undefined;
  #last: Sender | undefined;

  append(sender: Sender): void {
    sender.before = this.#last;
    if (this.#last) this.#last.after = sender;
    else this.first = sender;
    this.#last = sender;
  }

  remove(sender: Sender): void {
    const { before, after } = sender;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.#last = before;
    sender.before = sender.after = undefined;
  }
}

/** Counts what a relay does, by sender and by cause. */
export class RelayCounts {
  readonly #senders = new Map<string, Sender>();
  /** Senders of one datagram, and the others. */
  readonly #strangers = new SenderList();
  readonly #known = new SenderList();
  readonly #causes = new Map<string, { total: number; told: number; last: Endpoint }>();
  #arrived = 0;

  entered(passage: Passage, nowMs: number): void {
    const { dropped, delayMs } = passage;
    this.#arrived++;
    if (dropped !== undefined) this.#dropped(dropped, passage.sender);
    // It has no place in the relay, and gets none here.
    if (dropped === clientLimit || dropped === relayLoop) return;
    const sender = this.#of(passage, nowMs);
    sender.lastMs = nowMs;
    sender.arrived++;
    if (dropped !== undefined) {
      const cause = sender.dropped.size < maxCauses || sender.dropped.has(dropped) ? dropped : otherCauses;
      sender.dropped.set(cause, (sender.dropped.get(cause) ?? 0) + 1);
      return;
    }
    sender.passed++;
    sender.delayMs += delayMs;
    if (delayMs > sender.maxDelayMs) sender.maxDelayMs = delayMs;
    if (passage.duplicatedBy !== undefined) sender.duplicated++;
    if (passage.reorderedBy !== undefined) sender.reordered++;
    if (passage.corruptedBy !== undefined) sender.corrupted++;
  }

  left({ direction, sender }: Pick<Passage, "direction" | "sender">): void {
    const known = this.#senders.get(keyOf(direction, sender));
    if (known) known.forwarded++;
  }

  /**
   * Reports the causes whose total has doubled since it was told: few reports, however long a relay drops.
   *
   * @param before the source that is the side before the faults.
   */
  report(model: Model, before: number, atMs: number): void {
    for (const [cause, counts] of this.#causes) {
      const { total, told, last } = counts;
      if (total < Math.max(1, 2 * told)) continue;
      counts.told = total;
      const peer = model.peers.find(before, String(last))?.id;
      model.lost({
        ...{ cause: "relay", atMs, source: before, peer, datagrams: total, atLeast: false },
        sentence: `The relay dropped ${total} of ${this.#arrived} datagrams so far, by its settings: ${cause}.`,
        advice: undefined,
      });
    }
  }

  state(): Pick<RelayState, "senders" | "others"> {
    const all = [...this.#senders.values()].sort((a, b) => b.lastMs - a.lastMs || b.arrived - a.arrived);
    return { senders: all.slice(0, maxRows).map(rowOf), others: Math.max(0, all.length - maxRows) };
  }

  #dropped(dropped: string, last: Endpoint): void {
    const cause = this.#causes.size < maxCauses || this.#causes.has(dropped) ? dropped : otherCauses;
    const counts = this.#causes.get(cause);
    if (counts) {
      counts.total++;
      counts.last = last;
    } else this.#causes.set(cause, { total: 1, told: 0, last });
  }

  /** The sender of a datagram that has come: the last whose place is taken. */
  #of({ direction, sender }: Passage, nowMs: number): Sender {
    const key = keyOf(direction, sender);
    const known = this.#senders.get(key);
    if (known) {
      (known.arrived === 1 ? this.#strangers : this.#known).remove(known);
      this.#known.append(known);
      return known;
    }
    if (this.#senders.size >= maxSenders) this.#forgetOne();
    const added: Sender = {
      ...{ address: String(sender), direction, lastMs: nowMs, arrived: 0, forwarded: 0, passed: 0 },
      ...{ duplicated: 0, reordered: 0, corrupted: 0, delayMs: 0, maxDelayMs: 0 },
      ...{ dropped: new Map(), key, before: undefined, after: undefined },
    };
    this.#senders.set(key, added);
    this.#strangers.append(added);
    return added;
  }

  #forgetOne(): void {
    const oldest = this.#strangers.first ?? this.#known.first;
    if (!oldest) return;
    (oldest.arrived === 1 ? this.#strangers : this.#known).remove(oldest);
    this.#senders.delete(oldest.key);
  }
}

function keyOf(direction: Passage["direction"], sender: Endpoint): string {
  return `${direction} ${sender}`;
}

function rowOf(sender: Sender): RelaySender {
  const { address, direction, arrived, forwarded, duplicated, reordered, corrupted } = sender;
  const { passed, delayMs, maxDelayMs, dropped } = sender;
  return {
    ...{ address, direction, arrived, forwarded, duplicated, reordered, corrupted, maxDelayMs },
    meanDelayMs: passed === 0 ? 0 : delayMs / passed,
    dropped: Array.from(dropped, ([by, datagrams]) => ({ by, datagrams })),
  };
}
