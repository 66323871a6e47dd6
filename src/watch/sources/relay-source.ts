import type { RecordOptions, Recording } from "../../capture/index.js";
import { lossTexts } from "../../core/ledger/report-texts.js";
import type { Datagram, Endpoint, Loss, PathMtuChange, Unreachable } from "../../index.js";
import type { Relay } from "../../proxy/index.js";
import type { DirectionName, Passage, RelayObserver, SentDatagram, Sending } from "../../proxy/observer.js";
import { observeRelay } from "../../proxy/relay.js";
import type { Model } from "../model/model.js";
import type { RelayState } from "../protocol.js";
import { RelayCounts } from "./relay-counts.js";
import { SourceLosses } from "./source-losses.js";
import type { WatchedSource } from "./source.js";

/**
 * Watches a relay as two sources: what came into it, and what left it. In both, the peers are those who sent the datagrams: clients
 * and targets. A loss by the relay's own faults is told as such, and not once more as a gap or a silence after the faults.
 */
export function relaySources(relay: Relay, model: Model): readonly WatchedSource[] {
  const before = new RelayBefore(relay, model);
  const after: WatchedSource = {
    ...{ send: undefined, socket: undefined },
    report: (nowMs) => before.reportAfter(nowMs),
    close: () => before.close(),
  };
  return [before, after];
}

/** The side before the faults, which observes for both. */
class RelayBefore implements WatchedSource, RelayObserver {
  readonly send: undefined = undefined;
  readonly socket: undefined = undefined;
  readonly #relay: Relay;
  readonly #model: Model;
  readonly #before: number;
  readonly #after: number;
  readonly #counts: RelayCounts;
  readonly #losses: SourceLosses;
  readonly #stop: () => void;
  /** Datagrams that were lost before the relay forwarded them, by cause, and not reported yet. */
  readonly #lost = new Map<Loss["cause"], number>();

  constructor(relay: Relay, model: Model) {
    this.#relay = relay;
    this.#model = model;
    const common = { simulated: false, sends: false } as const;
    this.#before = model.addSource({ kind: "before", label: String(relay.address), ...common }).id;
    this.#after = model.addSource({ kind: "after", label: relay.targets.join(", "), ...common }).id;
    this.#counts = new RelayCounts();
    this.#losses = new SourceLosses(this.#after, model, { receiveBuffer: 0, queue: 0 });
    this.#stop = observeRelay(relay, this);
  }

  readonly record = (file: string, options: RecordOptions): Recording => this.#relay.record(file, options);

  readonly relay = (): RelayState => ({
    ...{ type: "relay", before: this.#before, after: this.#after },
    ...this.#counts.state(),
  });

  report(nowMs: number): void {
    this.#counts.report(this.#model, this.#before, nowMs);
    for (const [cause, datagrams] of this.#lost) {
      const atLeast = cause === "receiveBuffer";
      const what = datagrams === 1 ? "1 datagram was" : `${datagrams} datagrams were`;
      this.#model.lost({
        // What was unread at the close of a client's socket was in the queue of this process.
        ...{ cause: atLeast ? cause : "queue", atMs: nowMs, source: this.#before, peer: undefined },
        ...{ datagrams, atLeast },
        sentence: `${atLeast ? "At least " : ""}${what} lost in the relay: ${lossTexts[cause]}.`,
        advice:
          cause === "close" ? undefined : "This is no fault that the relay simulates: send more slowly.",
      });
    }
    this.#lost.clear();
  }

  reportAfter(nowMs: number): void {
    this.#losses.report(nowMs);
  }

  close(): void {
    this.#stop();
  }

  // What the relay tells.

  entered(passage: Passage, { data, timestamp }: Datagram): void {
    const nowMs = Date.now();
    this.#counts.entered(passage, nowMs);
    const arrival = this.#arrival(
      passage.sender,
      passage.destination,
      timestamp ?? BigInt(nowMs) * 1_000_000n,
    );
    this.#model.arrived(this.#before, data, 0, arrival, nowMs);
  }

  left(
    _: DirectionName,
    datagrams: readonly SentDatagram[],
    { destination, timestamp, unsent }: Sending,
  ): void {
    const nowMs = Date.now();
    // It is not known which datagrams were not sent.
    for (const { passage, data } of datagrams.slice(0, datagrams.length - unsent)) {
      if (!passage) continue;
      this.#counts.left(passage);
      const arrival = this.#arrival(passage.sender, destination, timestamp);
      this.#model.arrived(this.#after, data, 0, arrival, nowMs);
    }
  }

  discarded(): void {
    // The relay is closed, and its page shows what it has shown.
  }

  lost(_: DirectionName, { cause, datagrams }: Loss): void {
    this.#lost.set(cause, (this.#lost.get(cause) ?? 0) + datagrams);
  }

  unreachable(_: DirectionName, report: Unreachable): void {
    this.#losses.unreachable(report, Date.now());
  }

  pathMtu(_: DirectionName, change: PathMtuChange): void {
    this.#losses.narrowed(change);
  }

  closed(): void {
    // See `discarded`.
  }

  #arrival(from: Endpoint, to: Endpoint, timestamp: bigint): Parameters<Model["arrived"]>[3] {
    return { from, to, timestamp, lostBefore: 0 };
  }
}
