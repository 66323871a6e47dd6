import { lossTexts, narrowText, refusalText } from "../../core/ledger/report-texts.js";
import type { Address, Datagram, PathMtuChange, Unreachable } from "../../index.js";
import type { NewLoss } from "../model/loss-log.js";
import type { Model } from "../model/model.js";

/** Reports the losses of one source, at most one report for each cause at each `report`. */
export class SourceLosses {
  readonly #id: number;
  readonly #model: Model;
  /** How many losses were reported. */
  readonly #told: { receiveBuffer: number; queue: number };
  // What the next reports are about.
  #unreachable: { last: Unreachable; reports: number } | undefined;
  #narrowed: { last: PathMtuChange; paths: number } | undefined;
  #truncated: { last: Datagram; peer: number; datagrams: number } | undefined;
  #warning: string | undefined;

  /** @param before the losses until now, which are not reported. */
  constructor(id: number, model: Model, before: { receiveBuffer: number; queue: number }) {
    this.#id = id;
    this.#model = model;
    this.#told = { ...before };
  }

  truncated(last: Datagram, nowMs: number): void {
    const peer = this.#model.count(this.#id, last.source, "truncated", nowMs);
    this.#truncated = { last, peer, datagrams: (this.#truncated?.datagrams ?? 0) + 1 };
  }

  unreachable(last: Unreachable, nowMs: number): void {
    if (last.destination) this.#model.count(this.#id, last.destination, "icmp", nowMs);
    this.#unreachable = { last, reports: (this.#unreachable?.reports ?? 0) + 1 };
  }

  narrowed(last: PathMtuChange): void {
    this.#narrowed = { last, paths: (this.#narrowed?.paths ?? 0) + 1 };
  }

  warned(message: string): void {
    this.#warning = message;
  }

  /**
   * Reports datagrams that were dropped.
   *
   * @param total all that were dropped so far.
   * @param atLeast whether the total is a minimum.
   * @param command raises the limit of the receive buffer, if there is one.
   */
  dropped(
    cause: "receiveBuffer" | "queue",
    total: number,
    atLeast: boolean,
    atMs: number,
    command?: string,
  ): void {
    const datagrams = total - this.#told[cause];
    this.#told[cause] = total;
    if (datagrams <= 0) return;
    const what = `${datagrams} ${datagrams === 1 ? "datagram was" : "datagrams were"} lost`;
    this.#lost({
      ...{ cause, atMs, datagrams, atLeast },
      sentence: `${atLeast ? "At least " : ""}${what}: ${lossTexts[cause]}.`,
      advice: adviceOf(cause, command),
    });
  }

  /** Reports everything else since the last call. */
  report(atMs: number): void {
    this.#reportTruncated(atMs);
    this.#reportUnreachable(atMs);
    const narrowed = this.#narrowed;
    this.#narrowed = undefined;
    if (narrowed) {
      const more = narrowed.paths === 1 ? "" : ` (the last of ${narrowed.paths} paths)`;
      const advice = "Send datagrams that are not larger than that.";
      const text = `${narrowText(narrowed.last)}${more}`;
      this.#lost({ cause: "pathMtu", atMs, sentence: sentenceOf(text), advice });
    }
    const warning = this.#warning;
    this.#warning = undefined;
    if (warning !== undefined) this.#lost({ cause: "warning", atMs, sentence: sentenceOf(warning) });
  }

  #reportTruncated(atMs: number): void {
    const truncated = this.#truncated;
    this.#truncated = undefined;
    if (!truncated) return;
    const { last, peer, datagrams } = truncated;
    const what = datagrams === 1 ? "A datagram" : `${datagrams} datagrams were cut. The last one`;
    this.#lost({
      ...{ cause: "truncated", atMs, peer, datagrams },
      sentence: `${what} from ${last.source} had ${last.size} bytes and was cut to ${last.data.length}.`,
      advice: "Receive with a larger bufsize: 65,535 is enough for every datagram.",
    });
  }

  #reportUnreachable(atMs: number): void {
    const unreachable = this.#unreachable;
    this.#unreachable = undefined;
    if (!unreachable) return;
    const { last, reports } = unreachable;
    const what = reports === 1 ? "a datagram did" : `the last of at least ${reports} datagrams that did`;
    this.#lost({
      ...{ cause: "unreachable", atMs, datagrams: reports, atLeast: true },
      peer: this.#peerOf(last.destination),
      sentence: sentenceOf(`${refusalText(last, last.destination)}: ${what} not arrive`),
    });
  }

  #peerOf(address: Address | undefined): number | undefined {
    return address && this.#model.peers.find(this.#id, String(address))?.id;
  }

  #lost(loss: Pick<NewLoss, "cause" | "atMs" | "sentence"> & Partial<NewLoss>): void {
    const unknown = { peer: undefined, datagrams: undefined, atLeast: false, advice: undefined };
    this.#model.lost({ ...unknown, source: this.#id, ...loss });
  }
}

/** What to do about datagrams that were dropped. */
function adviceOf(cause: "receiveBuffer" | "queue", command: string | undefined): string {
  if (cause === "queue") return "Read the datagrams faster, or several at a time with recvMany().";
  return command === undefined
    ? "Read the datagrams faster, or open the socket with a larger receiveBuffer."
    : `Raise net.core.rmem_max: \`${command}\``;
}

/** Makes a sentence of a text that the command prints as a line. */
function sentenceOf(text: string): string {
  const start = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}
