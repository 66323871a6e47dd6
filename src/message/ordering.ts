import { assert } from "../core/assert.js";
import { messageBytes } from "./incoming.js";
import type { Message } from "./message.js";

/** A message of an order is at most so far from the next one. An id further away begins a new order. */
const maxAhead = 1024;
/** Orders of a channel that have ended and are remembered: a late chunk of them must not begin a new order. */
const maxEnded = 4;

/** A channel: the id that is next, and the messages that wait for it. */
interface Channel {
  next: number;
  /** Messages that wait; `undefined` for a message that is lost. */
  readonly held: Map<number, Message | undefined>;
  /** When the last of them came. */
  heldAt: number;
  /** `next` of the orders before this one, the newest first. */
  readonly ended: readonly number[];
}

/** Holds back messages of ordered channels until those before them have arrived. */
export class Ordering {
  readonly #channels = new Map<number, Channel>();
  /** Bytes of memory of the messages that are held back. */
  bytes = 0;

  /** Whether later messages were delivered: a message with this id is too late. */
  isPast(channelNumber: number, id: number): boolean {
    const channel = this.#channels.get(channelNumber);
    if (!channel || distance(channel.next, id) <= maxAhead) return false;
    return [channel.next, ...channel.ended].some((next) => isNear(next, id));
  }

  /** Whether a message that arrives now must wait for others. */
  mustWait(channelNumber: number, id: number): boolean {
    const channel = this.#channels.get(channelNumber);
    return channel !== undefined && id !== channel.next && distance(channel.next, id) <= maxAhead;
  }

  /** A message arrived that is not past. Returns the messages that are next in the order. */
  arrived(id: number, message: Message, now: number): Message[] {
    assert(!this.isPast(message.channel, id), "a message that is too late is refused earlier");
    const channel = this.#channels.get(message.channel);
    if (!channel || distance(channel.next, id) > maxAhead) {
      const skipped = channel ? this.#take(channel, [...channel.held.keys()].sort(inOrder(channel))) : [];
      const ended = channel ? [channel.next, ...channel.ended].slice(0, maxEnded) : [];
      this.#channels.set(message.channel, { next: (id + 1) >>> 0, held: new Map(), heldAt: now, ended });
      return [...skipped, message];
    }
    // Another message with the same id, of a sender that has started again: the order says nothing about the first one.
    const replaced = this.#take(channel, [id]);
    channel.held.set(id, message);
    channel.heldAt = now;
    this.bytes += messageBytes + message.data.length;
    return [...replaced, ...this.#flush(channel)];
  }

  /** A message is arriving: if it was lost before, those after it wait for it again. */
  began(channelNumber: number, id: number): void {
    const held = this.#channels.get(channelNumber)?.held;
    if (held?.has(id) === true && held.get(id) === undefined) held.delete(id);
  }

  /** A message that was arriving is lost. Returns the messages that waited for it alone. */
  lost(channelNumber: number, id: number): Message[] {
    const channel = this.#channels.get(channelNumber);
    if (!channel || distance(channel.next, id) > maxAhead) return [];
    // Another message with the same id may be held back: it has arrived.
    if (!channel.held.has(id)) channel.held.set(id, undefined);
    return this.#flush(channel);
  }

  /**
   * When the first messages are released: `ms` after the last message of their channel came. `Infinity` if none waits.
   *
   * @param isArriving whether a message has begun: those after it wait until it has arrived or is lost.
   */
  releaseAt(ms: number, isArriving: (channel: number, id: number) => boolean): number {
    let at = Infinity;
    for (const [number, { next, held, heldAt }] of this.#channels)
      if (held.size > 0 && !isArriving(number, next)) at = Math.min(at, heldAt + ms);
    return at;
  }

  /** Returns the messages that waited for `ms` for a message that has not begun. */
  release(ms: number, isArriving: (channel: number, id: number) => boolean, now: number): Message[] {
    const released: Message[] = [];
    for (const [number, channel] of this.#channels) {
      // The same sum as in `releaseAt`: another one may be rounded to another number.
      if (channel.heldAt + ms > now) continue;
      while (channel.held.size > 0 && !isArriving(number, channel.next)) {
        channel.next = (channel.next + 1) >>> 0;
        released.push(...this.#flush(channel));
      }
    }
    return released;
  }

  /** Returns all messages that wait, at the end of a peer. */
  end(): Message[] {
    return [...this.#channels.values()].flatMap((channel) =>
      this.#take(channel, [...channel.held.keys()].sort(inOrder(channel))),
    );
  }

  #flush(channel: Channel): Message[] {
    const ids: number[] = [];
    for (; channel.held.has(channel.next); channel.next = (channel.next + 1) >>> 0) ids.push(channel.next);
    return this.#take(channel, ids);
  }

  #take({ held }: Channel, ids: readonly number[]): Message[] {
    return ids.flatMap((id) => {
      const message = held.get(id);
      held.delete(id);
      if (!message) return [];
      this.bytes -= messageBytes + message.data.length;
      return [message];
    });
  }
}

/** How far an id is ahead of another one. */
function distance(from: number, to: number): number {
  return (to - from) >>> 0;
}

function isNear(one: number, other: number): boolean {
  return Math.min(distance(one, other), distance(other, one)) <= maxAhead;
}

function inOrder({ next }: Channel): (one: number, other: number) => number {
  return (one, other) => distance(next, one) - distance(next, other);
}
