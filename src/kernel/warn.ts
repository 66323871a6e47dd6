import type { Warning } from "../core/events.js";

const told = new Set<Warning["code"]>();

/** Tells of a warning that nobody listens to as Node tells of its own, once for each kind. */
export function warn({ code, message }: Warning): void {
  if (told.has(code)) return;
  told.add(code);
  process.emitWarning(message, { type: "DatagramWarning", code });
}
