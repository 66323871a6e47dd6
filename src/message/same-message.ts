/** Whether frames are of the same message. */

import { type Frame, frameFlag, frameKind } from "../wire/message-frame.js";

/** Whether a chunk or a parity has the header of a message, whose id and CRC it has. */
export function belongs(frame: Readonly<Frame>, first: Readonly<Frame>): boolean {
  return frame.size === first.size && isOfMessage(frame, first);
}

/** As `belongs`, for any size of chunks. */
function isOfMessage(frame: Readonly<Frame>, first: Readonly<Frame>): boolean {
  return (
    frame.length === first.length &&
    frame.channel === first.channel &&
    ((frame.flags ^ first.flags) & ~frameFlag.now) === 0 &&
    (frame.kind === first.kind || (isOfData(frame) && isOfData(first)))
  );
}

export function isOfData({ kind }: Readonly<Frame>): boolean {
  return kind === frameKind.data || kind === frameKind.parity;
}

/** Whether the sender has divided a message into smaller chunks, because the path does not carry the larger ones. */
export function isDividedAnew(before: Readonly<Frame>, frame: Readonly<Frame>): boolean {
  return frame.size < before.size && isOfMessage(frame, before);
}
