import { type Frame, frameKind } from "../wire/message-frame.js";
import type { Job } from "./job.js";

/** Messages to one peer that are sent at a time. A receiver keeps 8. */
const maxActive = 6;
/** Bytes of these messages; one message may be longer. A receiver keeps 2 MiB of a source. With fewer, two of 1 MB take turns. */
const maxActiveBytes = 1 << 21;

/** The messages to one peer: those that wait, and those that are being sent. */
export class Jobs implements Iterable<Job> {
  readonly #waiting: Job[] = [];
  /** The oldest first. */
  readonly active: Job[] = [];

  /** The messages that are not sent to the end. */
  get size(): number {
    return this.#waiting.length + this.active.length;
  }

  /** The messages that are being sent, then those that wait. The list is a copy. */
  [Symbol.iterator](): IterableIterator<Job> {
    return [...this.active, ...this.#waiting][Symbol.iterator]();
  }

  get waiting(): Iterable<Job> {
    return this.#waiting;
  }

  /**
   * A message whose memory the program has resized or transferred to another thread while it was still needed. That of a fleeting
   * message whose call has ended is the program's again.
   */
  get gone(): Job | undefined {
    return this.active.find(({ outgoing, isSettled }) => !isSettled && outgoing.isGone);
  }

  add(job: Job): void {
    this.#waiting.push(job);
  }

  /** Returns `false` if the message is not there. */
  remove(job: Job): boolean {
    for (const list of [this.active, this.#waiting]) {
      const at = list.indexOf(job);
      if (at < 0) continue;
      list.splice(at, 1);
      return true;
    }
    return false;
  }

  clear(): void {
    this.active.length = this.#waiting.length = 0;
  }

  /** The message that is sent in the chunks of a header. */
  find(frame: Readonly<Frame>): Job | undefined {
    return this.active.find(
      ({ outgoing }) => outgoing.frame.size === frame.size && isSame(outgoing.frame, frame),
    );
  }

  /** The message of a header, in whatever chunks it is sent now. */
  findOfKind(kind: number, frame: Readonly<Frame>): Job | undefined {
    const sentKind = kind === frameKind.parity ? frameKind.data : kind;
    return this.active.find(
      ({ outgoing }) => outgoing.frame.kind === sentKind && isSame(outgoing.frame, frame),
    );
  }

  /** Moves messages from those that wait to those that are sent, and calls `begin` with each. */
  start(begin: (job: Job) => void): void {
    let unsettled = 0;
    let bytes = 0;
    for (const { outgoing, isSettled } of this.active) {
      if (isSettled) continue;
      unsettled++;
      bytes += outgoing.frame.length;
    }
    for (let at = 0; at < this.#waiting.length && unsettled < maxActive;) {
      const job = this.#waiting[at] as Job;
      const { length } = job.outgoing.frame;
      if (bytes > 0 && bytes + length > maxActiveBytes) return;
      if (job.mayStart?.() === false) {
        at++;
        continue;
      }
      this.#waiting.splice(at, 1);
      this.active.push(job);
      unsettled++;
      bytes += length;
      begin(job);
    }
  }
}

/** Whether two headers belong to the same message. */
function isSame(one: Readonly<Frame>, other: Readonly<Frame>): boolean {
  return (
    one.id === other.id &&
    one.crc === other.crc &&
    one.length === other.length &&
    one.channel === other.channel
  );
}
