import { type Frame, frameKind } from "../wire/message-frame.js";
import { Delivered } from "./delivered.js";

/** How long messages without a report are remembered, in milliseconds, and how many of them. */
const keepMs = 30_000;
const maxMessages = 4096;

/** Messages to one peer that ended without a report of the whole message: their chunks may still be sent back. */
export class Unreported {
  #messages: Delivered | undefined;

  add(frame: Readonly<Frame>, now: number): void {
    if (frame.kind === frameKind.reply) return;
    this.#messages ??= new Delivered(now, keepMs, maxMessages);
    this.#messages.add(frame.id, frame.crc, now);
  }

  has(frame: Readonly<Frame>, now: number): boolean {
    return frame.kind !== frameKind.reply && this.#messages?.has(frame.id, frame.crc, now) === true;
  }
}
