import { dropCountIsMinimum } from "../core/capabilities.js";
import { lossTexts, narrowText, refusalText } from "../core/ledger/report-texts.js";
import type { Address, PathMtuChange, Socket, Unreachable } from "../index.js";
import { count } from "../core/ledger/count-text.js";
import { HostLosses } from "./host-losses.js";
import { notice, noticeObject } from "./terminal.js";

/** Milliseconds between two lines about one cause. */
const intervalMs = 1000;

/** The sockets of an address that is listened on. */
export interface LossSource {
  /** The socket that receives. */
  readonly socket: Socket;
  /** The socket that sends the answers: the same or another one. */
  readonly answering: Socket;
  /** The address, if there are several. */
  readonly local: Address | undefined;
}

/** Reports losses on standard error, at most one line for each cause, address and second, with all losses since the last line. */
export class Losses {
  readonly #sources: readonly SourceLosses[];
  readonly #host: HostLosses | undefined;
  readonly #timer: NodeJS.Timeout;

  /**
   * @param json whether each line is an object.
   * @param ofWorker whether another process reports the losses of the receive buffers and of the host, for several workers.
   */
  constructor(sources: readonly LossSource[], json: boolean, ofWorker = false) {
    this.#sources = sources.map((source) => new SourceLosses(source, json, ofWorker));
    const sockets = sources.map(({ socket }) => socket);
    this.#host = ofWorker ? undefined : new HostLosses(sockets, json);
    this.#timer = setInterval(() => this.#tell(), intervalMs).unref();
  }

  /** Reports the last losses, before the sockets are closed. */
  end(): void {
    clearInterval(this.#timer);
    this.#tell();
    for (const source of this.#sources) source.end();
  }

  /** Prints the counts of the whole host, for the summary. */
  summary(): void {
    this.#host?.summary();
  }

  #tell(): void {
    for (const source of this.#sources) source.tell();
    this.#host?.report();
  }
}

/** The losses of one address. */
class SourceLosses {
  readonly #source: LossSource;
  readonly #json: boolean;
  readonly #ofWorker: boolean;
  /** How many losses of each cause were reported. */
  readonly #told = { receiveBuffer: 0, queue: 0 };
  #unreachable: { readonly last: Unreachable; readonly reports: number } | undefined;
  #narrowed: { readonly last: PathMtuChange; readonly paths: number } | undefined;

  constructor(source: LossSource, json: boolean, ofWorker: boolean) {
    this.#source = source;
    this.#json = json;
    this.#ofWorker = ofWorker;
    source.answering.on("unreachable", this.#onUnreachable).on("pathMtu", this.#onPathMtu);
  }

  end(): void {
    this.#source.answering.off("unreachable", this.#onUnreachable).off("pathMtu", this.#onPathMtu);
  }

  /** Reports the losses since the last call. */
  tell(): void {
    // Asks the kernel instead of waiting for events, which come after this call. Before close(), which adds losses.
    const { droppedKernel = 0, droppedQueue } = this.#source.socket.stats();
    if (!this.#ofWorker) this.#tellDropped("receiveBuffer", droppedKernel);
    this.#tellDropped("queue", droppedQueue);
    const unreachable = this.#unreachable;
    this.#unreachable = undefined;
    if (unreachable) this.#tellUnreachable(unreachable.last, unreachable.reports);
    const narrowed = this.#narrowed;
    this.#narrowed = undefined;
    if (narrowed) this.#tellNarrowed(narrowed.last, narrowed.paths);
  }

  readonly #onUnreachable = (last: Unreachable): void => {
    this.#unreachable = { last, reports: (this.#unreachable?.reports ?? 0) + 1 };
  };

  readonly #onPathMtu = (last: PathMtuChange): void => {
    this.#narrowed = { last, paths: (this.#narrowed?.paths ?? 0) + 1 };
  };

  #tellDropped(cause: "receiveBuffer" | "queue", total: number): void {
    const datagrams = total - this.#told[cause];
    this.#told[cause] = total;
    if (datagrams <= 0) return;
    const { local, socket } = this.#source;
    const atLeast = cause === "receiveBuffer" && dropCountIsMinimum(socket.capabilities);
    if (this.#json) noticeObject({ time: now(), event: "dropped", cause, local, datagrams, atLeast });
    else {
      const least = atLeast ? " at least" : "";
      notice(
        `lost ${count(datagrams, "datagram")}${local ? ` on ${local}` : ""}${least}: ${lossTexts[cause]}`,
      );
    }
  }

  #tellUnreachable(report: Unreachable, reports: number): void {
    if (this.#json) noticeObject({ time: now(), event: "unreachable", reports, ...report });
    else {
      const what = reports === 1 ? "an answer" : `the last of at least ${reports} answers that`;
      notice(`${refusalText(report, report.destination)}: ${what} did not arrive`);
    }
  }

  #tellNarrowed(change: PathMtuChange, paths: number): void {
    if (this.#json) noticeObject({ time: now(), event: "pathMtu", paths, ...change });
    else notice(`${narrowText(change)}${paths === 1 ? "" : ` (the last of ${paths} paths)`}`);
  }
}

function now(): string {
  return new Date().toISOString();
}
