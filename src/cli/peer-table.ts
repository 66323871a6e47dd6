import { count } from "../core/ledger/count-text.js";
import { columnsOf, cutText, printable } from "./payload.js";
import { maxPeers, peersText } from "./peer-count.js";
import type { Paint } from "./terminal.js";

/** The fields of a datagram that the table needs. */
interface TableDatagram {
  readonly source: string;
  /** Bytes of the payload as sent. */
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint | undefined;
}

/** How the table is shown. */
interface TableStyle {
  readonly paint: Paint;
  /** The text of a time. */
  readonly timeText: (ns: bigint | undefined) => string;
  /** Longer lines are cut. */
  readonly columns: number;
}

interface Row {
  datagrams: number;
  bytes: number;
  minBytes: number;
  maxBytes: number;
  readonly first: bigint | undefined;
  last: bigint | undefined;
}

/** Counts datagrams by their sources. */
export class PeerTable {
  /** Bytes of all payloads as sent. */
  bytes = 0;
  readonly #rows = new Map<string, Row>();
  /** Datagrams of sources for which the table has no room. */
  #others = 0;

  add({ source, size, timestamp }: TableDatagram): void {
    this.bytes += size;
    let row = this.#rows.get(source);
    if (!row && this.#rows.size === maxPeers) {
      this.#others++;
      return;
    }
    if (!row) {
      row = { datagrams: 0, bytes: 0, minBytes: size, maxBytes: size, first: timestamp, last: timestamp };
      this.#rows.set(source, row);
    }
    row.datagrams++;
    row.bytes += size;
    row.minBytes = Math.min(row.minBytes, size);
    row.maxBytes = Math.max(row.maxBytes, size);
    row.last = timestamp ?? row.last;
  }

  /** The first and the last time of all datagrams in the table, in nanoseconds since 1970. */
  get times(): bigint[] {
    return [...this.#rows.values()]
      .flatMap(({ first, last }) => [first, last])
      .filter((ns) => ns !== undefined);
  }

  /** As `peersText`. */
  get countText(): string {
    return peersText(this.#rows.size, this.#others > 0);
  }

  /** The table: the peers with the most bytes come first. */
  text({ paint, timeText, columns }: TableStyle): string {
    const sorted = [...this.#rows].sort(([, one], [, other]) => other.bytes - one.bytes);
    const rows = sorted.map(([name, { datagrams, bytes, minBytes, maxBytes, first, last }]) => {
      const sizes = minBytes === maxBytes ? String(minBytes) : `${minBytes}-${maxBytes}`;
      return [printable(name), String(datagrams), String(bytes), sizes, timeText(first), timeText(last)];
    });
    const all = [["peer", "datagrams", "bytes", "sizes", "first", "last"], ...rows];
    const widths = [0, 1, 2, 3, 4].map((column) =>
      all.reduce((widest, row) => Math.max(widest, columnsOf(row[column] ?? "")), 0),
    );
    const padded = (cell: string, column: number): string =>
      cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - columnsOf(cell)));
    const lines = all.map((row) => cutText(row.map(padded).join("  "), columns));
    const others = this.#others === 0 ? "" : `${count(this.#others, "datagram")} of other peers\n`;
    return lines.map((line, index) => `${index === 0 ? paint("bold", line) : line}\n`).join("") + others;
  }
}
