/** The progress and the lateness of a replay. On a terminal, one line is replaced. */

import type { ReplayLateness, ReplayStats } from "../capture/index.js";
import { rounded } from "./option-values.js";
import { StatusLine } from "./status-line.js";

/** Columns of the widest and of the narrowest bar. */
const [maxBar, minBar] = [20, 8] as const;

/** What the line shows of a replay. */
export interface ReplayState {
  readonly datagrams: number;
  /** How much of the recording is sent, from 0 to 1; `undefined` if its length is not known. */
  readonly share: number | undefined;
  /** The loops that are sent, and all loops. */
  readonly loop: number;
  readonly loops: number;
  readonly elapsedMs: number;
  readonly lateness: ReplayLateness | undefined;
}

/** The line in at most `columns` columns. */
export function replayLine(state: ReplayState, columns: number): string {
  const { datagrams, share, loop, loops, elapsedMs, lateness } = state;
  const round = loops === 1 ? "" : `, loop ${loop + 1}${loops === Infinity ? "" : ` of ${loops}`}`;
  const late = lateness ? `, 99% at most ${msText(lateness.p99Ms)} late` : "";
  const rest = `${datagrams} sent in ${durationText(elapsedMs)}${round}${late}`;
  if (share === undefined) return rest.slice(0, columns);
  const text = `${`${Math.floor(share * 100)}%`.padStart(4)}, ${rest}`;
  const bar = Math.min(maxBar, columns - text.length - "[] ".length);
  if (bar < minBar) return text.slice(0, columns);
  const filled = Math.floor(share * bar);
  return `[${"=".repeat(filled)}${" ".repeat(bar - filled)}] ${text}`;
}

/** Shows the progress on a terminal, and nothing elsewhere. */
export class ReplayProgress {
  readonly #totalMs: number | undefined;
  readonly #loops: number;
  readonly #line = new StatusLine((columns) => (this.#state ? replayLine(this.#state, columns) : "starting"));
  #state: ReplayState | undefined;

  /** @param totalMs milliseconds of the recording that are sent in each loop; `undefined` if that is not known. */
  constructor(totalMs: number | undefined, loops: number) {
    this.#totalMs = totalMs;
    this.#loops = loops;
  }

  /** @param startMs where in the recording each loop starts. */
  show({ datagrams, loops: loop, recordedMs, elapsedMs, lateness }: ReplayStats, startMs: number): void {
    const share = this.#totalMs === undefined ? undefined : shareOf(recordedMs - startMs, this.#totalMs);
    this.#state = { datagrams, share, loop, loops: this.#loops, elapsedMs, lateness };
  }

  end(): void {
    this.#line.end();
  }
}

/** `half of them at most 0.021 ms late, 99% 0.11 ms, all 2.3 ms; 4 later than 1 ms`. */
export function latenessText({ p50Ms, p99Ms, maxMs, late }: ReplayLateness): string {
  const later = late === 0 ? "none" : String(late);
  return `half of them at most ${msText(p50Ms)} late, 99% ${msText(p99Ms)}, all ${msText(maxMs)}; ${later} later than 1 ms`;
}

/** `34 ms`, `1.5 s`, `75 s`, `12 min 5 s`. */
export function durationText(ms: number): string {
  const seconds = ms / 1000;
  if (ms > 0 && ms < 1000) return `${rounded(Math.max(ms, 0.001))} ms`;
  if (seconds < 120) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function msText(ms: number): string {
  return `${rounded(Math.max(ms, 0.001))} ms`;
}

function shareOf(doneMs: number, totalMs: number): number {
  return totalMs > 0 ? Math.min(1, Math.max(0, doneMs / totalMs)) : 1;
}
