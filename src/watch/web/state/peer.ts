import type { PeerRow } from "../../protocol.js";
import { Rates } from "./rates.js";

/** A peer as the page shows it: the last counts of the server, and its rate for the last minute. */
export class Peer {
  readonly rates: Rates = new Rates();
  row: PeerRow;
  /** Changes with each row. */
  revision = 0;

  constructor(row: PeerRow) {
    this.row = row;
  }

  /** Takes newer counts. Returns how many datagrams and bytes are new. */
  update(row: PeerRow, atMs: number): { readonly datagrams: number; readonly bytes: number } {
    // The counts are smaller than before if the position in a file was moved back.
    const datagrams = Math.max(0, row.datagrams - this.row.datagrams);
    const bytes = Math.max(0, row.bytes - this.row.bytes);
    this.row = row;
    this.revision++;
    this.rates.add(Math.floor(atMs / 1000), datagrams);
    return { datagrams, bytes };
  }
}

/** What a peer does now. */
export type Activity = "live" | "silent" | "idle";

/** A peer is live if a datagram came in the last 2 seconds, and silent if it sent regularly and has stopped. */
export function activityOf(row: PeerRow, nowMs: number): Activity {
  if (row.silent) return "silent";
  return row.datagrams > 0 && nowMs - row.lastMs < 2000 ? "live" : "idle";
}
