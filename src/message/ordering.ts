import type { Message } from "./message.js";

/** A later message of the channel is at most so far ahead. Anything else begins anew. */
const maxAhead = 1024;

/** A channel: the id that is next, and the messages that wait for it. */
interface Channel {
  next: number;
  readonly held: Map<number, Message>;
}

/** Holds back messages of ordered channels until those before them have arrived. */
export class Ordering {
  readonly #channels = new Map<number, Channel>();
  /** Bytes and number of the messages that are held back, and when the last of them came. */
  bytes = 0;
  #held = 0;
  #heldAt = 0;

  /** A message arrived. Returns those that are next in the order. */
  arrived(id: number, message: Message, now: number): Message[] {
    const channel = this.#channels.get(message.channel);
    const ahead = channel ? (id - channel.next) >>> 0 : 0;
    if (!channel || ahead > maxAhead) {
      const skipped = channel ? this.#take(channel, [...channel.held.keys()]) : [];
      this.#channels.set(message.channel, { next: (id + 1) >>> 0, held: new Map() });
      return [...skipped, message];
    }
    channel.held.set(id, message);
    this.bytes += message.data.length;
    this.#held++;
    this.#heldAt = now;
    return this.#flush(channel);
  }

  /** A message will never arrive. Returns those that waited for it. */
  lost(channelNumber: number, id: number): Message[] {
    const channel = this.#channels.get(channelNumber);
    if (!channel) return [];
    const ahead = (id - channel.next) >>> 0;
    if (ahead > maxAhead) return [];
    // Those before it that have not begun will not arrive either.
    const before = [...channel.held.keys()].filter((held) => (held - channel.next) >>> 0 < ahead);
    const taken = this.#take(channel, before);
    channel.next = (id + 1) >>> 0;
    return [...taken, ...this.#flush(channel)];
  }

  /** When messages that wait for others are released: `ms` after the last of them came. `Infinity` if none waits. */
  releaseAt(ms: number): number {
    return this.#held === 0 ? Infinity : this.#heldAt + ms;
  }

  /** Returns all messages that wait for others. */
  release(): Message[] {
    return [...this.#channels.values()].flatMap((channel) => {
      const ids = [...channel.held.keys()].sort(
        (a, b) => ((a - channel.next) >>> 0) - ((b - channel.next) >>> 0),
      );
      const last = ids.at(-1);
      const released = this.#take(channel, ids);
      if (last !== undefined) channel.next = (last + 1) >>> 0;
      return released;
    });
  }

  #flush(channel: Channel): Message[] {
    const ids: number[] = [];
    for (; channel.held.has(channel.next); channel.next = (channel.next + 1) >>> 0) ids.push(channel.next);
    return this.#take(channel, ids);
  }

  #take(channel: Channel, ids: readonly number[]): Message[] {
    return ids.map((id) => {
      const message = channel.held.get(id) as Message;
      channel.held.delete(id);
      this.bytes -= message.data.length;
      this.#held--;
      return message;
    });
  }
}
