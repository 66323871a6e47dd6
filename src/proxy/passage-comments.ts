import { dropCause, dropComment } from "../capture/drop-comment.js";
import type { Passage } from "./observer.js";

/** What the comment of a datagram says that the relay did to it. */
export type Effects = Pick<
  Passage,
  "dropped" | "delayMs" | "delayedBy" | "duplicatedBy" | "reorderedBy" | "corruptedBy"
> & {
  /** Who sent it, if the comment says so. */
  readonly sender: string | undefined;
};

/** The interfaces of a file of a relay, and the direction of what comes in there. */
const sides: Readonly<Record<string, Passage["direction"]>> = { clients: "up", targets: "down" };

/** Whether a datagram of a file is one of a relay. */
export function isOfRelay({ interface: by, direction }: Recorded): boolean {
  return by !== undefined && Object.hasOwn(sides, by) && direction !== undefined;
}

/** The direction in which a datagram of a file of a relay passes. */
export function passageDirection({ interface: by = "", direction }: Recorded): Passage["direction"] {
  const comesIn = sides[by] ?? "up";
  return direction === "out" ? (comesIn === "up" ? "down" : "up") : comesIn;
}

/** Where a datagram was recorded. */
interface Recorded {
  readonly interface?: string | undefined;
  readonly direction?: "in" | "out" | undefined;
}

const senderPrefix = "sender: ";

/** What the relay did to a datagram, a line for each effect; `undefined` if it did nothing. */
export function commentOf(passage: Passage, isDuplicate: boolean): string | undefined {
  const { dropped, delayMs, delayedBy, duplicatedBy, reorderedBy, corruptedBy } = passage;
  if (dropped !== undefined) return dropComment(dropped);
  const lines = [
    isDuplicate && `duplicate: ${duplicatedBy}`,
    !isDuplicate && duplicatedBy !== undefined && `duplicated: ${duplicatedBy}`,
    delayedBy !== "" && `delayed ${delayMs.toFixed(1)} ms: ${delayedBy}`,
    reorderedBy !== undefined && `reordered: ${reorderedBy}`,
    corruptedBy !== undefined && `corrupted: ${corruptedBy}`,
  ].filter((line) => line !== false);
  return lines.length > 0 ? lines.join("\n") : undefined;
}

/** The line that says who sent a datagram that leaves from a socket of the relay. */
export function senderComment(sender: Passage["sender"]): string {
  return `${senderPrefix}${sender}`;
}

/** Reads a comment of `commentOf` and `senderComment`. Other lines are passed over. */
export function effectsOf(comment: string | undefined): Effects {
  const dropped = comment === undefined ? undefined : dropCause(comment);
  const lines = dropped !== undefined || comment === undefined ? [] : comment.split("\n");
  const after = (prefix: string): string | undefined =>
    lines.find((line) => line.startsWith(prefix))?.slice(prefix.length);
  const [, delay, delayedBy = ""] = /^delayed (\d{1,12}\.\d) ms: (.*)$/m.exec(lines.join("\n")) ?? [];
  return {
    dropped,
    delayMs: Number(delay ?? 0),
    delayedBy,
    duplicatedBy: after("duplicated: ") ?? after("duplicate: "),
    reorderedBy: after("reordered: "),
    corruptedBy: after("corrupted: "),
    sender: after(senderPrefix),
  };
}
