import { type Frame, chunkBytes, frameKind, frameOverheadBytes } from "../wire/message-frame.js";
import { Batches, Burst, datagramBytes } from "./burst.js";
import type { Congestion } from "./congestion.js";
import { extraCopies, maxTail, tailCopies } from "./copies.js";
import type { SenderHost } from "./job.js";
import type { Outgoing } from "./outgoing.js";

/** At least every so many chunks, a report is asked for. */
const reportEvery = 64;

/** Makes the bursts to one peer: chooses their chunks, decides which of them ask for a report, and counts them as sent. */
export class Bursts {
  /** Chunks sent, and those of them that were sent again. */
  sentChunks = 0;
  resentChunks = 0;
  readonly #host: SenderHost;
  readonly #congestion: Congestion;
  readonly #batches: Batches;
  #sinceReport = 0;

  /** @param maxCalls bursts that may be under way. */
  constructor(host: SenderHost, congestion: Congestion, maxCalls: number) {
    this.#host = host;
    this.#congestion = congestion;
    this.#batches = new Batches(maxCalls);
  }

  /**
   * The next chunks of a message. After the last one come its parities, and copies of what ends it.
   *
   * @param room for so many chunks.
   * @param window in chunks.
   * @returns `undefined` if none may leave.
   */
  next(outgoing: Outgoing, room: number, window: number, now: number): Burst | undefined {
    const { frame } = outgoing;
    const congestion = this.#congestion;
    const burst = this.#newBurst(outgoing, this.#maxDatagrams(outgoing, room));
    const every = Math.max(1, Math.min(reportEvery, Math.floor(window / 4)));
    const ending: number[] = [];
    while (burst.datagrams < room) {
      const index = outgoing.next();
      if (index < 0) break;
      if (frame.kind !== frameKind.reply && index === outgoing.sentChunks) {
        this.#addNew(burst, outgoing, room - burst.datagrams, window, every, ending, now);
        break;
      }
      const isAgain = index < outgoing.sentChunks;
      const isLast = !outgoing.hasLost && outgoing.sentChunks + 1 >= outgoing.chunks && !isAgain;
      const fills = congestion.inFlight + 1 >= window;
      const isNow = isAgain || isLast || fills || ++this.#sinceReport >= every;
      if (!this.mayLeave(frame, datagramBytes(frame, index))) {
        if (burst.datagrams > 0) break;
        this.#batches.put(burst.batch);
        return undefined;
      }
      if (isNow) this.#sinceReport = 0;
      if (isAgain || isLast) ending.push(burst.datagrams);
      this.#add(burst, outgoing, index, isNow, now);
    }
    if (outgoing.sentChunks === outgoing.chunks) {
      while (outgoing.sentParities < outgoing.parity) burst.parity(outgoing.sentParities++, outgoing.parity);
      const copies = outgoing.fleeting ? 0 : tailCopies(ending.length, congestion.lossRatio);
      for (let copy = 0; copy < copies; copy++) for (const at of ending) burst.repeat(at);
      this.#countCopies(outgoing, copies * ending.length);
    }
    return burst;
  }

  /**
   * So many chunks that were sent and not reported, or copies of the last one if fewer are missing.
   *
   * @returns `undefined` if none may leave.
   */
  missing(outgoing: Outgoing, datagrams: number, now: number): Burst | undefined {
    const { frame } = outgoing;
    const missing = outgoing
      .missing(datagrams)
      .filter((index) => this.mayLeave(frame, datagramBytes(frame, index)));
    const last = missing[missing.length - 1];
    if (last === undefined) return undefined;
    const burst = this.#newBurst(outgoing, datagrams);
    for (const index of missing) this.#add(burst, outgoing, index, index === last, now);
    const bytes = datagramBytes(frame, last);
    while (burst.datagrams < datagrams && this.mayLeave(frame, bytes)) burst.repeat(missing.length - 1);
    this.#countCopies(outgoing, burst.datagrams - missing.length);
    return burst;
  }

  /** Whether a datagram of so many bytes may leave for a message. */
  mayLeave({ kind }: Readonly<Frame>, bytes: number): boolean {
    return kind !== frameKind.reply || this.#host.mayReply(bytes);
  }

  /** The datagrams of a burst have left. */
  left(burst: Burst): void {
    this.#batches.put(burst.batch);
  }

  /** Frees the memory that bursts left. */
  clear(): void {
    this.#batches.clear();
  }

  /** Adds the next new chunks to a burst, as many as there are, at most `max`. They ask for reports as in `next`. */
  #addNew(
    burst: Burst,
    outgoing: Outgoing,
    max: number,
    window: number,
    every: number,
    ending: number[],
    now: number,
  ): void {
    const { frame, sentChunks: first, chunks: all } = outgoing;
    const attempt = outgoing.fleeting ? frame.attempt : 0;
    const chunks = Math.min(max, all - first);
    const hasLast = first + chunks === all;
    const full = hasLast && chunkBytes(frame, all - 1) < frame.size ? chunks - 1 : chunks;
    const at = burst.datagrams;
    const isRun = full > 0 && burst.run(first, full, attempt);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const isLast = hasLast && chunk === chunks - 1;
      const fills = this.#congestion.inFlight + chunk + 1 >= window;
      const isNow = isLast || fills || ++this.#sinceReport >= every;
      if (isNow) this.#sinceReport = 0;
      if (!isRun || chunk >= full) burst.chunk(first + chunk, attempt, isNow);
      else if (isNow) burst.askIn(at + chunk);
    }
    if (hasLast) ending.push(at + chunks - 1);
    if (first === 0) outgoing.progressAt = now;
    this.sentChunks += chunks;
    outgoing.sentNew(chunks, this.#congestion, now);
  }

  #newBurst(outgoing: Outgoing, datagrams: number): Burst {
    const { size, length } = outgoing.frame;
    const batch = this.#batches.take(Math.min(size, length) + frameOverheadBytes, datagrams);
    return new Burst(batch, outgoing, this.#host.copyPieces);
  }

  /** The largest number of datagrams of a burst: of so many chunks, and of the parities and the copies after the last one. */
  #maxDatagrams(outgoing: Outgoing, room: number): number {
    const { chunks, sentChunks, parity, sentParities, fleeting } = outgoing;
    if (sentChunks + room < chunks) return room;
    const sent = Math.min(room, chunks);
    const copied = fleeting ? 0 : Math.min(sent, maxTail);
    return sent + parity - sentParities + copied * extraCopies(this.#congestion.lossRatio);
  }

  #countCopies(outgoing: Outgoing, copies: number): void {
    outgoing.resent += copies;
    this.sentChunks += copies;
    this.resentChunks += copies;
  }

  /** Adds a chunk to a burst, and counts it as sent. */
  #add(burst: Burst, outgoing: Outgoing, index: number, isNow: boolean, now: number): void {
    const attempt = outgoing.fleeting ? outgoing.frame.attempt : outgoing.attemptOf(index);
    burst.chunk(index, attempt, isNow);
    this.sentChunks++;
    if (outgoing.sentChunks === 0) outgoing.progressAt = now;
    if (index < outgoing.sentChunks) this.resentChunks++;
    outgoing.sent(index, this.#congestion, now);
  }
}
