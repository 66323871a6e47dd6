import type { CapturedDatagram } from "../capture/index.js";
import { timeText } from "./iso-time.js";
import { maxPeers, peersText } from "./peer-count.js";
import { count, onOutput } from "./terminal.js";

interface Row {
  datagrams: number;
  bytes: number;
  minBytes: number;
  maxBytes: number;
  readonly first: bigint | undefined;
  last: bigint | undefined;
}

/** Counts the datagrams of a capture file by their sources. */
export class PeerTable {
  /** Bytes of all payloads as sent. */
  bytes = 0;
  readonly #rows = new Map<string, Row>();
  /** Datagrams of sources for which the table has no room. */
  #others = 0;

  add({ source, size, timestamp }: CapturedDatagram): void {
    this.bytes += size;
    const name = String(source);
    let row = this.#rows.get(name);
    if (!row && this.#rows.size === maxPeers) {
      this.#others++;
      return;
    }
    if (!row) {
      row = { datagrams: 0, bytes: 0, minBytes: size, maxBytes: size, first: timestamp, last: timestamp };
      this.#rows.set(name, row);
    }
    row.datagrams++;
    row.bytes += size;
    row.minBytes = Math.min(row.minBytes, size);
    row.maxBytes = Math.max(row.maxBytes, size);
    row.last = timestamp ?? row.last;
  }

  /** As `peersText`. */
  get countText(): string {
    return peersText(this.#rows.size, this.#others > 0);
  }

  /** The table: the peers with the most bytes come first. */
  text(): string {
    const sorted = [...this.#rows].sort(([, one], [, other]) => other.bytes - one.bytes);
    const rows = sorted.map(([name, { datagrams, bytes, minBytes, maxBytes, first, last }]) => {
      const sizes = minBytes === maxBytes ? String(minBytes) : `${minBytes}-${maxBytes}`;
      return [name, String(datagrams), String(bytes), sizes, timeText(first), timeText(last)];
    });
    const all = [["peer", "datagrams", "bytes", "sizes", "first", "last"], ...rows];
    const widths = [0, 1, 2, 3, 4].map((column) =>
      all.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0),
    );
    const lines = all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
    const others = this.#others === 0 ? "" : `${count(this.#others, "datagram")} of other peers\n`;
    return lines.map((line, index) => `${index === 0 ? onOutput("bold", line) : line}\n`).join("") + others;
  }
}
