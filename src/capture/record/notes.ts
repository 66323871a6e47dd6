import { Buffer } from "node:buffer";

/** Texts that wait for the next packet, at most. */
const maxTexts = 8;
/** Characters of a text, at most. An address has the name of an interface, and the addresses of this package are no longer. */
const maxTextLength = 300;
/** Bytes of a count after a text, and of the end of its line, at most. */
const maxCountBytes = 30;
/** Bytes of a line that is no text, at most. */
const maxLineBytes = 140;
/** Bytes of the longest comment that `take` returns. */
export const maxCommentBytes: number = maxTexts * (3 * maxTextLength + maxCountBytes) + 3 * maxLineBytes;

/** What a packet tells of the time before it. */
export interface Told {
  /** Datagrams that were lost before the socket read them. */
  readonly lost: number;
  /** Datagrams that could not be written. */
  readonly missed: number;
  /** The texts, and the losses by cause. */
  readonly comment: string;
}

/** Losses and notes of one socket that the next packet will tell. */
export class Notes {
  /** Losses at the receive buffer of the kernel. */
  #lostAtBuffer = 0;
  #lostElsewhere = 0;
  #missed = 0;
  /** Texts, and how often each came. */
  readonly #texts = new Map<string, number>();
  /** Bytes of the texts with their counts, at most. */
  #textBytes = 0;
  #moreTexts = 0;

  /** Whether the next packet has something to tell. */
  waiting = false;

  lostAtBuffer(datagrams: number): void {
    this.#lostAtBuffer += datagrams;
    this.waiting = true;
  }

  lostElsewhere(datagrams: number, why: string): void {
    this.#lostElsewhere += datagrams;
    this.add(`${datagramsText(datagrams)} before this: lost, because ${why}`);
  }

  missed(datagrams: number): void {
    this.#missed += datagrams;
    if (datagrams > 0) this.waiting = true;
  }

  add(text: string): void {
    this.waiting = true;
    const cut = text.slice(0, maxTextLength);
    const count = this.#texts.get(cut) ?? 0;
    if (count > 0) this.#texts.set(cut, count + 1);
    else if (this.#texts.size >= maxTexts) this.#moreTexts++;
    else {
      this.#texts.set(cut, 1);
      this.#textBytes += Buffer.byteLength(cut) + maxCountBytes;
    }
  }

  /** Bytes of the comment that `take` would return, at most. */
  get commentBytes(): number {
    const lines = [this.#lostAtBuffer, this.#missed, this.#moreTexts].filter((count) => count > 0).length;
    return this.#textBytes + lines * maxLineBytes;
  }

  /**
   * Returns what waits, and forgets it.
   *
   * @param maxBytes of the comment, which is cut there.
   * @returns `undefined` if nothing waits.
   */
  take(maxBytes: number = maxCommentBytes): Told | undefined {
    if (!this.waiting) return undefined;
    const lines: string[] = [];
    if (this.#lostAtBuffer > 0) {
      const lost = datagramsText(this.#lostAtBuffer);
      lines.push(`at least ${lost} before this: lost, because the receive buffer was full`);
    }
    if (this.#missed > 0) {
      const missed = datagramsText(this.#missed);
      lines.push(`${missed} before this: not recorded, because the disk was too slow or failed`);
    }
    for (const [text, count] of this.#texts) lines.push(count === 1 ? text : `${text} (${count} times)`);
    if (this.#moreTexts > 0) lines.push(`${this.#moreTexts} more notes`);
    const told = {
      lost: this.#lostAtBuffer + this.#lostElsewhere,
      missed: this.#missed,
      comment: cutTo(lines.join("\n"), maxBytes),
    };
    this.#lostAtBuffer = this.#lostElsewhere = this.#missed = this.#moreTexts = this.#textBytes = 0;
    this.#texts.clear();
    this.waiting = false;
    return told;
  }
}

/** The start of a text that has at most `maxBytes`. */
function cutTo(text: string, maxBytes: number): string {
  return Buffer.byteLength(text) <= maxBytes ? text : text.slice(0, Math.max(0, Math.floor(maxBytes / 3)));
}

/** A count with its noun, such as "1 datagram" or "12 datagrams". */
export function datagramsText(count: number): string {
  return `${count} datagram${count === 1 ? "" : "s"}`;
}
