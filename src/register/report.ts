/** The counts of the datagrams of a program, as text and as JSON. */

import type { Totals } from "../core/ledger/ledger.js";
import type { Refusal } from "./refusals.js";

/**
 * Returns one line with the counts that are not 0; `sent` and `received` are always there.
 *
 * @param refusals are named, and the other ICMP errors are counted by their code.
 */
export function report(totals: Omit<Totals, "host">, refusals: readonly Refusal[] = []): string {
  const { sent, received, droppedKernel = 0, droppedQueue, unreachable = {}, sendErrors } = totals;
  const named = refusals.reduce((sum, refusal) => sum + refusal.count, 0);
  const parts = [
    `${count(sent.datagrams)} sent`,
    `${count(received.datagrams)} received`,
    ...(droppedKernel > 0
      ? [`${count(droppedKernel)} dropped: receive buffer full (sysctl net.core.rmem_max)`]
      : []),
    ...(droppedQueue > 0 ? [`${count(droppedQueue)} dropped: read ahead, and never taken`] : []),
    ...refusals.map((refusal) => `${count(refusal.count)} nobody listening at ${refusal.destination}`),
    ...Object.entries(unreachable)
      .map(([code, errors]) => [code, code === "ECONNREFUSED" ? errors - named : errors] as const)
      .filter(([, errors]) => errors > 0)
      .map(([code, errors]) => `${count(errors)} ICMP errors ${code}`),
    ...Object.entries(sendErrors).map(([code, errors]) => `${count(errors)} sends failed with ${code}`),
  ];
  return `datagram: ${parts.join(", ")}\n`;
}

/**
 * Returns the counts as one line with a JSON object: the fields of `stats()`, those that are known.
 *
 * @param refusals are `nobodyListening`.
 */
export function jsonReport(totals: Totals, refusals: readonly Refusal[] = []): string {
  return `${JSON.stringify({ pid: process.pid, ...totals, nobodyListening: refusals })}\n`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
