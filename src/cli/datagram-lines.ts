/** How `datagram listen` prints datagrams: as lines, as JSON, or as bytes. */

import { Buffer } from "node:buffer";

import type { StoredDatagram } from "../gateway/index.js";
import type { Address, Datagram } from "../index.js";
import { count } from "../core/ledger/count-text.js";
import { isoTime } from "./iso-time.js";
import { jsonLine, payloadFields, printable, showPayload } from "./payload.js";
import type { PeerTable } from "./peer-table.js";
import { noticeColumns, onNotices, onOutput, outputColumns } from "./terminal.js";

/** The options for the output. */
export interface LineOptions {
  readonly hex?: boolean;
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly full?: boolean;
  /** Whether no datagram is printed. */
  readonly quiet?: boolean;
}

/** A datagram, the part of its payload that is shown, and its source as text. */
interface Shown {
  readonly datagram: Datagram &
    Partial<Pick<StoredDatagram, "sequence" | "index" | "missingBefore" | "channel">>;
  readonly data: Buffer;
  readonly from: string;
}

/** Makes the output. */
export class DatagramLines {
  readonly #options: LineOptions;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /** @param local the address that they arrived at, if there are several. */
  show<Each extends Shown>(
    received: readonly Each[],
    timeOf: (datagram: Each["datagram"]) => Date,
    local: Address | undefined,
  ): string | Uint8Array {
    if (this.#options.quiet) return "";
    if (this.#options.raw) return Buffer.concat(received.map(({ data }) => data));
    return received.map((each) => this.#line(each, local, timeOf(each.datagram))).join("");
  }

  #line({ datagram, data, ...shown }: Shown, local: Address | undefined, time: Date): string {
    const { json, hex = false, full } = this.#options;
    const { source, size } = datagram;
    const truncated = data.length < size;
    if (json) {
      const fields = { source, local, size, truncated, ...payloadFields(data), ...metadataFields(datagram) };
      return jsonLine({ time: time.toISOString(), ...fields });
    }
    const clock = clockTime(time);
    // The zone of an address in a stream is the text of a stranger.
    const from = printable(shown.from);
    const to = local ? ` > ${local}` : "";
    const bytes = truncated ? `cut to ${data.length} of ${count(size, "byte")}` : count(size, "byte");
    const room = full ? Infinity : outputColumns() - `${clock} ${from}${to} ${bytes} `.length;
    const start = `${onOutput("dim", clock)} ${onOutput("cyan", from)}${to}`;
    return `${start} ${truncated ? onOutput("bold", bytes) : bytes} ${showPayload(data, hex, room)}\n`;
  }
}

/** The metadata of a datagram as fields of a JSON object. Unknown fields are left out. */
function metadataFields(datagram: Shown["datagram"]): object {
  const { destination, interface: by, ttl, tos, timestamp, lostBefore } = datagram;
  const { sequence, index, missingBefore, channel } = datagram;
  const time = timestamp === undefined ? undefined : isoTime(timestamp);
  return {
    destination,
    interface: by,
    ttl,
    tos,
    timestamp: time,
    lostBefore,
    sequence,
    index,
    missingBefore,
    channel,
  };
}

/** The style of the table of peers. A time of another day than `now` is a date. */
export function tableStyle(now: Date): Parameters<PeerTable["text"]>[0] {
  const timeText = (ns: bigint | undefined): string => {
    const time = new Date(Number((ns ?? 0n) / 1_000_000n));
    return time.toDateString() === now.toDateString()
      ? clockTime(time).slice(0, -".000".length)
      : dateText(time);
  };
  return { paint: onNotices, timeText, columns: noticeColumns() };
}

/** The local time, from hours to milliseconds. */
function clockTime(time: Date): string {
  const seconds = `${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  return `${two(time.getHours())}:${two(time.getMinutes())}:${seconds}`;
}

/** The local date. */
function dateText(time: Date): string {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
