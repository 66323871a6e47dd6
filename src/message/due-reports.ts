import type { Ancillary } from "../core/driver/ancillary.js";
import type { Frame } from "../wire/message-frame.js";
import type { Incoming } from "./incoming.js";
import type { Peer } from "./peers.js";
import type { ReceiverHost } from "./receiver-host.js";
import { ReportWriter } from "./reports.js";

/** The smallest and the largest number of chunks that a report gives leave to send. */
const minCredit = 4;
const maxCredit = 65_535;

/** A message that is complete, with the chunk that its report echoes. */
interface Completed {
  readonly peer: Peer;
  readonly frame: Frame;
  readonly route: Ancillary | undefined;
  /** How often the report is sent. */
  readonly copies: number;
  /** When the chunk arrived; `undefined` if that was now. */
  readonly arrivedMs: number | undefined;
}

/** The reports to send after the datagrams that were read together: one for each message. */
export class DueReports {
  readonly #host: Pick<ReceiverHost, "answer" | "bufferChunks">;
  /** At most one for each message that is not complete. This is no `Map`: `Incoming.join` says why. */
  readonly #partials: { readonly partial: Incoming; readonly peer: Peer }[] = [];
  readonly #completed: Completed[] = [];
  readonly #writer = new ReportWriter();

  constructor(host: Pick<ReceiverHost, "answer" | "bufferChunks">) {
    this.#host = host;
  }

  /** A message that is not complete is to be reported. */
  add(partial: Incoming, peer: Peer): void {
    if (partial.isReportDue) return;
    partial.isReportDue = true;
    this.#partials.push({ partial, peer });
  }

  delete(partial: Incoming): void {
    if (!partial.isReportDue) return;
    partial.isReportDue = false;
    const index = this.#partials.findIndex((due) => due.partial === partial);
    this.#partials.splice(index, 1);
  }

  /** A message is complete. @param arrival of its chunk, if that was before now */
  complete(
    peer: Peer,
    frame: Readonly<Frame>,
    copies: number,
    arrival?: { readonly arrivedMs: number; readonly route: Ancillary | undefined },
  ): void {
    const last = this.#completed.at(-1);
    if (last?.peer === peer && last.frame.id === frame.id && last.frame.crc === frame.crc) {
      last.frame.index = frame.index;
      last.frame.attempt = frame.attempt;
      return;
    }
    const { arrivedMs, route } = arrival ?? { arrivedMs: undefined, route: peer.route };
    this.#completed.push({ peer, frame: { ...frame }, route, copies, arrivedMs });
  }

  /** Reports at once that a message is longer than `limit`. */
  refuse(peer: Peer, frame: Readonly<Frame>, limit: number): void {
    this.#host.answer(peer, this.#writer.refused(frame, limit), peer.route);
  }

  /** Sends the reports. @param sources of messages that are not complete: each may use its share of the receive buffer. */
  send(sources: number, now: number): void {
    const share = Math.floor(this.#host.bufferChunks / Math.max(1, sources));
    const credit = Math.max(minCredit, Math.min(maxCredit, share));
    for (const { partial, peer } of this.#partials) {
      partial.isReportDue = false;
      partial.unreported = 0;
      partial.reportedAt = now;
      this.#host.answer(peer, this.#writer.partial(partial, credit, now), partial.route);
    }
    this.#partials.length = 0;
    for (const { peer, frame, route, copies, arrivedMs = now } of this.#completed) {
      const report = this.#writer.complete(frame, credit, now - arrivedMs);
      for (let copy = 0; copy < copies; copy++) this.#host.answer(peer, report, route);
    }
    this.#completed.length = 0;
  }
}
