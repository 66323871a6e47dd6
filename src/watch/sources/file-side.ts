import type { CapturedDatagram } from "../../capture/index.js";
import type { Arrival, Model } from "../model/model.js";
import type { RelayState } from "../protocol.js";

/** Shows the datagrams of a file in the model. */
export interface FileSides {
  /** The source that losses of the recorder belong to, and what to do against them. */
  readonly lossSource: number;
  readonly lossAdvice: string | undefined;
  /** What a relay did until the position, if the file is one of a relay. */
  readonly relay: (() => RelayState) | undefined;
  show(datagram: CapturedDatagram, arrival: Arrival, nowMs: number): void;
  /** Reports what came together since the last call. */
  report(atMs: number): void;
  /** The file begins again. */
  clear(): void;
}

/** A file of tcpdump, or of sockets. */
export class PlainFile implements FileSides {
  readonly relay: undefined = undefined;
  readonly lossSource: number;
  readonly lossAdvice =
    "Record with a larger buffer, such as tcpdump -B 65536, or on a machine with less to do.";
  readonly #model: Model;

  constructor(label: string, model: Model) {
    this.#model = model;
    this.lossSource = model.addSource({ kind: "recording", label, simulated: false, sends: false }).id;
  }

  show({ data, direction }: CapturedDatagram, arrival: Arrival, nowMs: number): void {
    if (direction === "out") this.#model.sent(this.lossSource, data, arrival, nowMs);
    else this.#model.arrived(this.lossSource, data, 0, arrival, nowMs);
  }

  report(): void {
    // Each datagram is shown at once.
  }

  clear(): void {
    // It keeps nothing.
  }
}
