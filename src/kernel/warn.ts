import type { Warning } from "../core/ledger/reports.js";

const told = new Set<Warning["code"]>();

/** Emits a warning without a listener as a warning of the process, once for each code. */
export function warn({ code, message }: Warning): void {
  if (told.has(code)) return;
  told.add(code);
  process.emitWarning(message, { type: "DatagramWarning", code });
}
