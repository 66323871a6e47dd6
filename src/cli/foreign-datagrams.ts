/** Datagrams of another format: counted, and reported once. */

import type { MessagesStats } from "../message/index.js";
import { notice, warn } from "./terminal.js";

/** How often the counts are looked at, in milliseconds. */
const everyMs = 500;

/** The number of datagrams that were dropped because they are no frames of messages, or frames of another version. */
export function foreignDatagrams({
  version = 0,
  short = 0,
  kind = 0,
  flags = 0,
}: MessagesStats["dropped"]): number {
  return version + short + kind + flags;
}

/**
 * Warns once when such datagrams come.
 *
 * @param warning returns the text; `undefined` while none has come.
 * @returns a function that ends this.
 */
export function warnOfForeign(warning: () => string | undefined): () => void {
  const timer = setInterval(() => {
    const text = warning();
    if (text === undefined) return;
    clearInterval(timer);
    warn(text);
  }, everyMs).unref();
  return () => clearInterval(timer);
}

/** A line of the summary, if such datagrams came. */
export function foreignSummary(datagrams: number): void {
  if (datagrams > 0) notice(`  datagrams of another format: ${datagrams}`);
}
