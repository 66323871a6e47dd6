import type { CapturedDatagram, CapturedUnreachable } from "../../capture/index.js";
import { icmpKind } from "../../core/driver/icmp.js";
import { payloadWithin } from "../../core/send/path-mtu-cache.js";
import type { PathMtuChange, Unreachable } from "../../index.js";
import type { Arrival, Model } from "../model/model.js";
import type { RelayState } from "../protocol.js";
import { SourceLosses } from "./source-losses.js";

/** Shows the datagrams of a file in the model. */
export interface FileSides {
  /** The source that losses of the recorder belong to, and what to do against them. */
  readonly lossSource: number;
  readonly lossAdvice: string | undefined;
  /** What a relay did until the position, if the file is one of a relay. */
  readonly relay: (() => RelayState) | undefined;
  show(datagram: CapturedDatagram, arrival: Arrival, nowMs: number): void;
  unreachable(error: Unreachable, nowMs: number): void;
  narrowed(change: PathMtuChange): void;
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
  #losses: SourceLosses;

  constructor(label: string, model: Model) {
    this.#model = model;
    this.lossSource = model.addSource({ kind: "recording", label, simulated: false, sends: false }).id;
    this.#losses = noLosses(this.lossSource, model);
  }

  show({ data, direction }: CapturedDatagram, arrival: Arrival, nowMs: number): void {
    if (direction === "out") this.#model.sent(this.lossSource, data, arrival, nowMs);
    else this.#model.arrived(this.lossSource, data, 0, arrival, nowMs);
  }

  unreachable(error: Unreachable, nowMs: number): void {
    this.#losses.unreachable(error, nowMs);
  }

  narrowed(change: PathMtuChange): void {
    this.#losses.narrowed(change);
  }

  report(atMs: number): void {
    this.#losses.report(atMs);
  }

  clear(): void {
    this.#losses = noLosses(this.lossSource, this.#model);
  }
}

/** The losses of a source that begins. */
export function noLosses(source: number, model: Model): SourceLosses {
  return new SourceLosses(source, model, { receiveBuffer: 0, queue: 0 });
}

/** The path MTU that an ICMP error of a file has, as a socket would have told it; `undefined` if it has none. */
export function pathMtuOf({ destination, from, mtu }: CapturedUnreachable): PathMtuChange | undefined {
  return mtu === undefined
    ? undefined
    : { destination, from, mtu, maxPayload: payloadWithin(mtu, destination) };
}

/** An ICMP error of a file, as a socket would have told it. */
export function unreachableOf({ destination, from, type, code }: CapturedUnreachable): Unreachable {
  const kind = icmpKind(from.includes(":") ? 6 : 4, type, code);
  return { destination, kind, from, code: kind === "port unreachable" ? "ECONNREFUSED" : "EHOSTUNREACH" };
}
