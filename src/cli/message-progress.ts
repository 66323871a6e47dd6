/** The progress of a message that is sent: on a terminal, one line that is replaced. */

import type { PeerStats } from "../message/index.js";
import { formatBytes, measuredRate } from "./option-values.js";
import { RecentRate } from "./recent-rate.js";
import { StatusLine } from "./status-line.js";

/** Milliseconds after which the line says that the peer has reported nothing. */
const silentMs = 1000;
/** The rate is that of the last versions of the line. */
const rateSamples = 20;
/** Columns of the widest and of the narrowest bar. */
const [maxBar, minBar] = [20, 8] as const;

/** What the line shows. */
export interface ProgressState {
  /** Bytes of the message, and how many of them have arrived. */
  readonly bytes: number;
  readonly arrivedBytes: number;
  /** Bits a second. */
  readonly rateBps: number;
  readonly resentChunks: number;
  readonly elapsedMs: number;
}

/** The line in at most `columns` columns. */
export function progressLine(state: ProgressState, columns: number): string {
  const { bytes, arrivedBytes, rateBps, resentChunks, elapsedMs } = state;
  const share = bytes === 0 ? 0 : arrivedBytes / bytes;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const resent = resentChunks === 0 ? "" : `, ${resentChunks} resent`;
  const rest =
    arrivedBytes > 0
      ? `${measuredRate(rateBps)}${resent}, ${timeLeft((bytes - arrivedBytes) * 8, rateBps)}`
      : elapsedMs < silentMs
        ? "starting"
        : `no report yet${resent}`;
  const text = `${percent} of ${formatBytes(bytes)}, ${rest}`;
  const bar = Math.min(maxBar, columns - text.length - "[] ".length);
  if (bar < minBar) return text.slice(0, columns);
  const filled = Math.floor(share * bar);
  return `[${"=".repeat(filled)}${" ".repeat(bar - filled)}] ${text}`;
}

/** Shows the progress of one message on a terminal, and nothing elsewhere. */
export class Progress {
  readonly #bytes: number;
  readonly #chunkBytes: number;
  readonly #stats: () => PeerStats;
  readonly #now: () => number;
  readonly #start: number;
  readonly #rate: RecentRate;
  readonly #line = new StatusLine((columns) => progressLine(this.#state(), columns));
  #arrivedBytes = 0;

  constructor(bytes: number, chunkBytes: number, stats: () => PeerStats, now: () => number) {
    this.#bytes = bytes;
    this.#chunkBytes = chunkBytes;
    this.#stats = stats;
    this.#now = now;
    this.#start = now();
    this.#rate = new RecentRate(rateSamples, this.#start);
  }

  end(): void {
    this.#line.end();
  }

  #state(): ProgressState {
    const { sentChunks, resentChunks, inFlightChunks } = this.#stats();
    const arrived = (sentChunks - resentChunks - inFlightChunks) * this.#chunkBytes;
    // A chunk that is lost counts as arrived until it is sent again: the line never goes back.
    this.#arrivedBytes = Math.max(this.#arrivedBytes, Math.min(arrived, this.#bytes));
    const nowMs = this.#now();
    return {
      bytes: this.#bytes,
      arrivedBytes: this.#arrivedBytes,
      rateBps: this.#rate.add(this.#arrivedBytes, nowMs) * 8,
      resentChunks,
      elapsedMs: nowMs - this.#start,
    };
  }
}

function timeLeft(bits: number, rateBps: number): string {
  if (rateBps <= 0) return "stalled";
  const seconds = Math.ceil(bits / rateBps);
  if (seconds < 100) return `${seconds} s left`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min left` : `${Math.ceil(minutes / 60)} h left`;
}
