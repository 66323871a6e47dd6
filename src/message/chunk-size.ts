import { longestBytes } from "../wire/message-frame.js";
import type { Outgoing } from "./outgoing.js";

/** The chunk size that nearly every path carries: BASE_PLPMTU of RFC 8899, section 5.1.2. */
export const safeChunkBytes = 1200;
/** How long larger chunks are not tried again: PMTU_RAISE_TIMER of RFC 8899, section 5.1.1. */
const keepMs = 600_000;
/**
 * Rounds of probes without progress in which the peer must answer a small datagram, before the path counts as a black hole. RFC
 * 8899, section 5.1.2, has 3 (MAX_PROBES). Here a report may be lost too: with 3, losses of 30% each way look like a black hole
 * now and then.
 */
const minRounds = 4;
/** The same for fleeting messages, each of which is sent once: with 4, losses of 30% each way would look like a black hole. */
const minFleetingRounds = 16;

/**
 * The chunk size for one peer. It falls to 1,200 bytes if the path does not carry larger chunks: the kernel refuses them, or
 * they vanish without an ICMP error while small datagrams are answered (a black hole: RFC 8899, section 4.3).
 *
 * A message is the evidence of a black hole if, since its last progress, the peer has answered small datagrams in several rounds of
 * probes, and has reported no full chunk of any message.
 */
export class ChunkSize {
  /** Times that larger chunks vanished. */
  blackHoles = 0;
  readonly #wanted: number;
  #smallUntil = -Infinity;
  /** Full chunks above 1,200 bytes that the peer reported. */
  #reported = 0;
  /** Small datagrams that were answered, at most one in each round; and their number at the last such report. */
  #answers = 0;
  #answersAtReport = 0;
  /** When the last small datagram without an answer left. */
  #askedAt: number | undefined;

  /** @param wanted the size that the program wants. */
  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  /** Bytes of each chunk of the messages that begin now. */
  at(now: number): number {
    return now < this.#smallUntil ? Math.min(this.#wanted, safeChunkBytes) : this.#wanted;
  }

  /** The path does not carry larger chunks. */
  fall(now: number): void {
    this.#smallUntil = now + keepMs;
    this.#answersAtReport = this.#answers;
  }

  /** The peer reported full chunks of a message with chunks above 1,200 bytes. */
  reported(chunks: number): void {
    this.#reported += chunks;
    this.#answersAtReport = this.#answers;
  }

  /** A small datagram that asks for an answer leaves. */
  asked(now: number): void {
    this.#askedAt = now;
  }

  /** The peer answered a small datagram. Returns the round trip in milliseconds; `undefined` if none was sent. */
  answered(now: number): number | undefined {
    const askedAt = this.#askedAt;
    if (askedAt === undefined) return undefined;
    this.#askedAt = undefined;
    this.#answers++;
    return now - askedAt;
  }

  /** A round of probes for a message begins. Returns whether the path is a black hole for its chunks. */
  isBlackHole(outgoing: Outgoing): boolean {
    if (outgoing.probes === 1) {
      outgoing.reportedBefore = this.#reported;
      outgoing.answersBefore = this.#answers;
    }
    return this.#answers - outgoing.answersBefore >= minRounds && this.#reported === outgoing.reportedBefore;
  }

  /** A fleeting message had no report in time. Returns whether the path is a black hole for the chunks of such messages. */
  get isFleetingBlackHole(): boolean {
    return this.#answers - this.#answersAtReport >= minFleetingRounds;
  }
}

/** Whether a message has chunks above 1,200 bytes, and can be divided into smaller ones. */
export function isDivisible({ frame: { size, length } }: Outgoing): boolean {
  return Math.min(size, length) > safeChunkBytes && length <= longestBytes(safeChunkBytes);
}
