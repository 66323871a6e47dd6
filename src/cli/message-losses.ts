/** Messages that did not arrive whole: told on standard error, at most one line a second and receiver. */

import type { CodecLoss, LostMessage } from "../message/index.js";
import { count } from "../core/ledger/count-text.js";
import { notice, noticeObject } from "./terminal.js";

/** Milliseconds between two lines. */
const intervalMs = 1000;
/** Runs of missing chunks that a line names. */
const maxRuns = 6;

/** A loss of `messages()` or of a codec. */
export type MessageLoss = LostMessage | CodecLoss;

const causes: Readonly<Record<MessageLoss["cause"], string>> = {
  idle: "nothing more came",
  late: "it took longer than the deadline of its sender, or than 1 h",
  superseded: "a newer one arrived",
  source: "its source had too much under way",
  memory: "the memory for messages was full",
  crc: "its checksum is wrong",
  gap: "later datagrams arrived",
  size: "it is longer than --max-size",
  invalid: "its bytes contradict the format",
  evicted: "the memory was needed for others",
};

/** Reports lost messages. */
export class MessageLosses {
  readonly #json: boolean;
  readonly #timer: NodeJS.Timeout;
  /** How many were lost by each cause. */
  readonly #counts = new Map<string, number>();
  #last: MessageLoss | undefined;
  #untold = 0;

  /** @param json whether each line is an object. */
  constructor(json: boolean) {
    this.#json = json;
    this.#timer = setInterval(() => this.#tell(), intervalMs).unref();
  }

  add(loss: MessageLoss): void {
    this.#counts.set(loss.cause, (this.#counts.get(loss.cause) ?? 0) + 1);
    this.#last = loss;
    this.#untold++;
  }

  /** Reports the last losses. */
  end(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  summary(): void {
    const total = [...this.#counts.values()].reduce((sum, each) => sum + each, 0);
    const byCause = [...this.#counts].map(([cause, times]) => `${cause} ${times}`).join(", ");
    notice(`  messages lost: ${total}${byCause && ` (${byCause})`}`);
  }

  #tell(): void {
    const last = this.#last;
    if (!last) return;
    const losses = this.#untold;
    this.#last = undefined;
    this.#untold = 0;
    if (this.#json) noticeObject({ time: new Date().toISOString(), event: "lost", losses, ...last });
    else notice(`${lossText(last)}${losses === 1 ? "" : ` (the last of ${losses} messages)`}`);
  }
}

/** A loss in words, with the chunks that are missing. */
export function lossText(loss: MessageLoss): string {
  const why = causes[loss.cause];
  if ("chunks" in loss) {
    const { source, length, chunks, received, missing } = loss;
    const gone = chunks - received;
    const which = gone > 0 ? `${gone} of ${count(chunks, "chunk")} are missing (${runsOf(missing)}): ` : "";
    return `lost a message of ${count(length, "byte")} from ${source}: ${which}${why}`;
  }
  const { source, received, missing } = loss;
  const least = missing === undefined ? "an unknown number" : String(missing);
  return `lost a message from ${source}: ${count(received, "datagram")} arrived, ${least} are missing: ${why}`;
}

/** Numbers in order as runs: `3, 7-9`. */
function runsOf(numbers: readonly number[]): string {
  const runs: { start: number; end: number }[] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last?.end === number - 1) last.end = number;
    else runs.push({ start: number, end: number });
  }
  const shown = runs
    .slice(0, maxRuns)
    .map(({ start, end }) => (start === end ? String(start) : `${start}-${end}`));
  return shown.join(", ") + (runs.length > maxRuns ? ", …" : "");
}
