/** The status line of `datagram listen`. */

import type { Socket } from "../index.js";
import { count } from "../core/ledger/count-text.js";
import { measuredRate } from "./option-values.js";
import { RecentRate } from "./recent-rate.js";
import { StatusLine } from "./status-line.js";

/** The rates are those of the last versions of the line. There are ten a second. */
const rateSamples = 20;

/** What the line shows. */
export interface ListenState {
  readonly datagrams: number;
  readonly datagramsPerSecond: number;
  readonly rateBps: number;
  /** Such as `3 peers`. */
  readonly peers: string;
  readonly lost: Lost;
}

interface Lost {
  readonly datagrams: number;
  /** Whether this is the exact number. Linux counts merged datagrams as one, and not every driver knows the kernel's losses. */
  readonly isExact: boolean;
}

/** The numbers so far, of all sockets. */
export interface ListenCounts {
  readonly datagrams: number;
  readonly bytes: number;
  /** Such as `3 peers`. */
  readonly peers: string;
  /** Losses that the sockets do not count, at least. */
  readonly lost?: number;
}

/** The line. Parts that do not fit in `columns` columns are left out: first the total, then the bits. */
export function listenLine(state: ListenState, columns: number): string {
  const { datagrams, datagramsPerSecond, rateBps, peers, lost } = state;
  const lostText = `${lost.datagrams} lost${lost.isExact || lost.datagrams === 0 ? "" : " or more"}`;
  if (datagrams === 0) return lost.datagrams === 0 ? "no datagrams yet" : `no datagrams yet | ${lostText}`;
  const rate = `${Math.round(datagramsPerSecond)}/s`;
  const short = [rate, peers, lostText];
  const [, ...others] = short;
  const middle = [`${rate}, ${measuredRate(rateBps)}`, ...others];
  const lines = [[...middle, count(datagrams, "datagram")], middle, short].map((parts) => parts.join(" | "));
  return lines.find((line) => line.length <= columns) ?? lines.at(-1) ?? "";
}

/** Shows rate, peers, losses and total on a terminal until it is ended. */
export function showListenStatus(sockets: readonly Socket[], counts: () => ListenCounts): StatusLine {
  const [datagramRate, byteRate] = [1, 2].map(() => new RecentRate(rateSamples, performance.now())) as [
    RecentRate,
    RecentRate,
  ];
  return new StatusLine((columns) => {
    const { datagrams, bytes, peers, lost = 0 } = counts();
    const nowMs = performance.now();
    const datagramsPerSecond = datagramRate.add(datagrams, nowMs);
    const rateBps = byteRate.add(bytes, nowMs) * 8;
    return listenLine(
      { datagrams, datagramsPerSecond, rateBps, peers, lost: lostOf(sockets, lost) },
      columns,
    );
  });
}

function lostOf(sockets: readonly Socket[], others: number): Lost {
  let datagrams = others;
  let isExact = others === 0;
  for (const socket of sockets) {
    const { droppedKernel, droppedQueue } = socket.stats();
    datagrams += (droppedKernel ?? 0) + droppedQueue;
    if (droppedKernel !== 0) isExact = false;
  }
  return { datagrams, isExact };
}
