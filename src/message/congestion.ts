/** When a chunk was sent, and what was delivered at that time: the sample of the delivery rate needs it. */
export interface Departure {
  readonly sentAt: number;
  readonly delivered: number;
  readonly deliveredAt: number;
  readonly firstSentAt: number;
}

/** Chunks that may be under way to a new peer: RFC 6928, section 2. */
const initialWindow = 10;
/** The smallest window. With fewer chunks, one loss leaves nothing that could show it. */
const minWindow = 4;
/** Round trips that a delivery rate counts. */
const rateRounds = 10;
/** How long the shortest round trip counts, in milliseconds, before the path is measured anew. */
const minRttMs = 10_000;
/** The slow start ends after so many rounds in which the rate did not grow by a quarter. */
const maxFlatRounds = 3;
/** Milliseconds that are added to a round trip and its deviation before a probe is sent. */
const probeSlackMs = 5;
/** The wait for the first report of a peer: RFC 6298, section 2.1. */
const initialProbeMs = 1000;
/** How long a chunk of a fleeting message counts as under way before the first report of a peer, in milliseconds. */
const firstFleetingMs = 100;
/** The longest wait between two probes, in milliseconds. */
const maxProbeMs = 2000;

/**
 * What is known of the path to one peer, and the window: how many chunks may be under way. It follows TCP Westwood (Mascolo et
 * al., MobiCom 2001): after a loss, the window is what the path has delivered in its shortest round trip. So losses by chance
 * do not empty the path. Times are milliseconds, and amounts are chunks.
 */
export class Congestion {
  window: number = initialWindow;
  inFlight = 0;
  /** The smoothed round trip (RFC 6298); `undefined` while no round trip is known. */
  srttMs: number | undefined;
  rttVarMs = 0;
  /** Share of the recent chunks that were lost. */
  lossRatio = 0;
  /** Whether chunks overtake each other: then a gap alone does not mean a loss. */
  reorders = false;
  /** All chunks that were reported so far. */
  delivered = 0;
  #deliveredAt = 0;
  #firstSentAt = 0;
  /** The shortest round trips of the current and of the last period. */
  #minRtt = Infinity;
  #minRttBefore = Infinity;
  #minRttUntil = 0;
  /** The slow start ends at this window. */
  #threshold = Infinity;
  /** Chunks sent until this time belong to the last reduction of the window. */
  #reducedAt = -Infinity;
  /** Up to this value of `delivered`, the window was the limit. */
  #limitedUntil = -1;
  /** The largest rates of the last rounds, in chunks per millisecond, the current one first. */
  readonly #rates: number[] = [0];
  #roundEnd = 0;
  #flatRounds = 0;
  /** That of the chunk that left last. */
  #departure: Departure | undefined;
  #fullRate = 0;
  readonly #maxWindow: number;

  constructor(maxWindow: number) {
    this.#maxWindow = maxWindow;
    this.window = Math.min(this.window, maxWindow);
  }

  get minRttMs(): number {
    return Math.min(this.#minRtt, this.#minRttBefore);
  }

  get slowStart(): boolean {
    return this.window < this.#threshold;
  }

  /** The largest delivery rate of the last rounds, in chunks per millisecond. */
  get rate(): number {
    return Math.max(...this.#rates);
  }

  /** How long to wait for a report before a probe is sent. */
  get probeMs(): number {
    if (this.srttMs === undefined) return initialProbeMs;
    return this.srttMs + 4 * this.rttVarMs + probeSlackMs;
  }

  /** How long to wait for the first report. Nothing of a fleeting message is sent again, so a short wait does no harm. */
  firstProbeMs(fleeting: boolean): number {
    return fleeting && this.srttMs === undefined ? firstFleetingMs : this.probeMs;
  }

  /** How long to wait for a report after so many probes without one. */
  waitMs(probes: number): number {
    const { probeMs } = this;
    return Math.min(probeMs * 2 ** probes, Math.max(maxProbeMs, probeMs));
  }

  /** How much later than a chunk another one must have been sent, if its report shows that the first one is lost. */
  get reorderMs(): number {
    const min = this.minRttMs;
    return Math.max(0.5, min === Infinity ? 0 : min / 8);
  }

  /** Chunks per millisecond that may leave; `Infinity` if nothing limits them. */
  get pace(): number {
    if (this.srttMs === undefined) return Infinity;
    return ((this.slowStart ? 2 : 1.25) * this.window) / Math.max(this.srttMs, 0.01);
  }

  /** Chunks leave. Chunks of one burst share the object that this returns. */
  sent(now: number, chunks = 1): Departure {
    if (this.inFlight === 0) this.#firstSentAt = this.#deliveredAt = now;
    this.inFlight += chunks;
    const last = this.#departure;
    if (
      last?.sentAt === now &&
      last.delivered === this.delivered &&
      last.deliveredAt === this.#deliveredAt &&
      last.firstSentAt === this.#firstSentAt
    )
      return last;
    return (this.#departure = {
      sentAt: now,
      delivered: this.delivered,
      deliveredAt: this.#deliveredAt,
      firstSentAt: this.#firstSentAt,
    });
  }

  /** The window kept chunks from leaving. */
  limited(): void {
    this.#limitedUntil = this.delivered + this.inFlight;
  }

  /** A round trip was measured. */
  measured(rttMs: number, now: number): void {
    if (now > this.#minRttUntil) {
      this.#minRttBefore = this.#minRtt;
      this.#minRtt = Infinity;
      this.#minRttUntil = now + minRttMs;
    }
    this.#minRtt = Math.min(this.#minRtt, rttMs);
    if (this.srttMs === undefined) {
      this.srttMs = rttMs;
      this.rttVarMs = rttMs / 2;
      return;
    }
    this.rttVarMs += (Math.abs(rttMs - this.srttMs) - this.rttVarMs) / 4;
    this.srttMs += (rttMs - this.srttMs) / 8;
  }

  /**
   * A report came.
   *
   * @param acked chunks that it reports for the first time.
   * @param lost chunks that it shows to be lost.
   * @param newest the departure of the last sent of the reported chunks.
   * @param newestLost when the last sent of the lost chunks was sent.
   */
  reported(
    acked: number,
    lost: number,
    newest: Departure | undefined,
    newestLost: number,
    now: number,
  ): void {
    const count = acked + lost;
    if (count > 0) this.lossRatio += (lost / count - this.lossRatio) * (1 - 0.98 ** count);
    if (acked > 0) {
      this.delivered += acked;
      this.#deliveredAt = now;
      if (newest) this.#sample(newest, now);
      if (this.delivered - acked <= this.#limitedUntil) this.#grow(acked);
    }
    if (lost > 0 && newestLost > this.#reducedAt) this.#reduce(now);
  }

  /** Several probes were not answered. */
  stalled(now: number): void {
    this.#threshold = Math.max(minWindow, this.window / 2);
    this.window = Math.min(this.#maxWindow, this.#threshold);
    this.#reducedAt = now;
  }

  #sample({ sentAt, delivered, deliveredAt, firstSentAt }: Departure, now: number): void {
    this.#firstSentAt = sentAt;
    if (delivered >= this.#roundEnd) this.#endRound();
    const ms = Math.max(now - deliveredAt, sentAt - firstSentAt);
    // Within less than the shortest round trip, reports that came together would look like a fast path.
    if (ms <= 0 || ms < this.minRttMs * 0.9) return;
    this.#rates[0] = Math.max(this.#rates[0] ?? 0, (this.delivered - delivered) / ms);
  }

  #endRound(): void {
    this.#roundEnd = this.delivered;
    const rate = this.#rates[0] ?? 0;
    if (rate >= this.#fullRate * 1.25) {
      this.#fullRate = rate;
      this.#flatRounds = 0;
    } else if (
      this.delivered <= this.#limitedUntil &&
      ++this.#flatRounds >= maxFlatRounds &&
      this.slowStart
    ) {
      this.#threshold = this.window;
    }
    this.#rates.unshift(0);
    if (this.#rates.length > rateRounds) this.#rates.pop();
  }

  #grow(acked: number): void {
    this.window = Math.min(this.#maxWindow, this.window + (this.slowStart ? acked : acked / this.window));
  }

  /** A loss in the slow start is ignored while the rate grows and no queue is seen. */
  #reduce(now: number): void {
    const min = this.minRttMs;
    if (min === Infinity) return;
    if (this.slowStart && this.#flatRounds === 0 && (this.srttMs ?? 0) < 1.25 * min + 2) return;
    this.#reducedAt = now;
    const fitting = Math.max(minWindow, this.rate * min);
    this.#threshold = Math.min(this.#maxWindow, fitting);
    this.window = Math.min(this.window, this.#threshold);
  }
}
