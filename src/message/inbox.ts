import type { Message } from "./message.js";

type Step = IteratorResult<Message, undefined>;

/** The messages that arrived and that no call has read, and the calls that wait for one. */
export class MessageInbox {
  /** Bytes of the messages that no call has read. */
  bytes = 0;
  readonly #messages: Message[] = [];
  #first = 0;
  readonly #waiting: ((step: Step) => void)[] = [];
  readonly #waits: (on: boolean) => void;
  #ended = false;

  /** @param waits is called when the first call waits, and when none waits any more. */
  constructor(waits: (on: boolean) => void) {
    this.#waits = waits;
  }

  push(message: Message): void {
    const wake = this.#waiting.shift();
    if (!wake) {
      this.#messages.push(message);
      this.bytes += message.data.length;
      return;
    }
    if (this.#waiting.length === 0) this.#waits(false);
    wake({ done: false, value: message });
  }

  next(): Promise<Step> {
    const message = this.#messages[this.#first];
    if (message) {
      this.bytes -= message.data.length;
      this.#first++;
      if (this.#first > 1024 || this.#first === this.#messages.length) {
        this.#messages.splice(0, this.#first);
        this.#first = 0;
      }
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) this.#waits(true);
    });
  }

  end(): void {
    this.#ended = true;
    for (const wake of this.#waiting) wake({ done: true, value: undefined });
    if (this.#waiting.length > 0) this.#waits(false);
    this.#waiting.length = 0;
  }
}
