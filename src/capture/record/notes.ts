/** Texts that wait for the next packet, at most. */
const maxTexts = 8;
/** Characters of a text, at most. An address has the name of an interface, and the addresses of this package are no longer. */
const maxTextLength = 300;
/** Bytes of the longest comment that `take` returns: the texts, and the losses by cause. */
export const maxCommentBytes: number = (maxTexts + 4) * 3 * maxTextLength;

/** What a packet tells of the time before it. */
export interface Told {
  /** Datagrams that were lost before the socket read them. */
  readonly lost: number;
  /** Datagrams that could not be written. */
  readonly missed: number;
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
    const count = this.#texts.get(text) ?? 0;
    if (count === 0 && this.#texts.size >= maxTexts) this.#moreTexts++;
    else this.#texts.set(text.slice(0, maxTextLength), count + 1);
  }

  /** Returns what waits, and forgets it. `undefined` if nothing waits. */
  take(): Told | undefined {
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
      comment: lines.join("\n"),
    };
    this.#lostAtBuffer = this.#lostElsewhere = this.#missed = this.#moreTexts = 0;
    this.#texts.clear();
    this.waiting = false;
    return told;
  }
}

/** A count with its noun, such as "1 datagram" or "12 datagrams". */
export function datagramsText(count: number): string {
  return `${count} datagram${count === 1 ? "" : "s"}`;
}
