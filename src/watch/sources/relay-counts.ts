import type { Endpoint } from "../../index.js";
import type { Passage } from "../../proxy/observer.js";
import type { RelaySender, RelayState } from "../protocol.js";

/** Senders that are kept. A new one takes the place of the one that was silent longest. */
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
}

/** What a cause has dropped. */
export interface DropNews {
  readonly cause: string;
  readonly total: number;
  /** All datagrams that came into the relay. */
  readonly of: number;
  /** The sender of the last one. */
  readonly last: Endpoint | undefined;
}

/** Counts what a relay does, by sender and by cause. */
export class RelayCounts {
  readonly #senders = new Map<string, Sender>();
  readonly #causes = new Map<string, { total: number; told: number; last: Endpoint }>();
  #arrived = 0;

  entered(passage: Passage, nowMs: number): void {
    const sender = this.#of(passage, nowMs);
    const { dropped, delayMs } = passage;
    this.#arrived++;
    sender.lastMs = nowMs;
    sender.arrived++;
    if (dropped !== undefined) {
      this.#dropped(sender, dropped, passage.sender);
      return;
    }
    sender.passed++;
    sender.delayMs += delayMs;
    if (delayMs > sender.maxDelayMs) sender.maxDelayMs = delayMs;
    if (passage.duplicatedBy !== undefined) sender.duplicated++;
    if (passage.reorderedBy !== undefined) sender.reordered++;
    if (passage.corruptedBy !== undefined) sender.corrupted++;
  }

  left({ direction, sender }: Passage): void {
    const known = this.#senders.get(keyOf(direction, sender));
    if (known) known.forwarded++;
  }

  /** The causes whose total has doubled since it was told: few reports, however long a relay drops. */
  takeNews(): DropNews[] {
    const news: DropNews[] = [];
    for (const [cause, counts] of this.#causes) {
      if (counts.total < Math.max(1, 2 * counts.told)) continue;
      counts.told = counts.total;
      news.push({ cause, total: counts.total, of: this.#arrived, last: counts.last });
    }
    return news;
  }

  state(): Pick<RelayState, "senders" | "others"> {
    const all = [...this.#senders.values()].sort((a, b) => b.lastMs - a.lastMs || b.arrived - a.arrived);
    return { senders: all.slice(0, maxRows).map(rowOf), others: Math.max(0, all.length - maxRows) };
  }

  #dropped(sender: Sender, dropped: string, last: Endpoint): void {
    const own = sender.dropped.size < maxCauses || sender.dropped.has(dropped) ? dropped : otherCauses;
    sender.dropped.set(own, (sender.dropped.get(own) ?? 0) + 1);
    const cause = this.#causes.size < maxCauses || this.#causes.has(dropped) ? dropped : otherCauses;
    const counts = this.#causes.get(cause);
    if (counts) {
      counts.total++;
      counts.last = last;
    } else this.#causes.set(cause, { total: 1, told: 0, last });
  }

  #of({ direction, sender }: Passage, nowMs: number): Sender {
    const key = keyOf(direction, sender);
    const known = this.#senders.get(key);
    if (known) return known;
    if (this.#senders.size >= maxSenders) this.#forgetOne();
    const added: Sender = {
      ...{ address: String(sender), direction, lastMs: nowMs, arrived: 0, forwarded: 0, passed: 0 },
      ...{ duplicated: 0, reordered: 0, corrupted: 0, delayMs: 0, maxDelayMs: 0 },
      dropped: new Map(),
    };
    this.#senders.set(key, added);
    return added;
  }

  #forgetOne(): void {
    let oldest: readonly [string, number] | undefined;
    for (const [key, { lastMs }] of this.#senders)
      if (oldest === undefined || lastMs < oldest[1]) oldest = [key, lastMs];
    if (oldest) this.#senders.delete(oldest[0]);
  }
}

function keyOf(direction: Passage["direction"], sender: Endpoint): string {
  return `${direction} ${sender}`;
}

function rowOf({ passed, delayMs, dropped, lastMs: _, ...sender }: Sender): RelaySender {
  return {
    ...sender,
    meanDelayMs: passed === 0 ? 0 : delayMs / passed,
    dropped: Array.from(dropped, ([by, datagrams]) => ({ by, datagrams })),
  };
}
