import type { CapturedDatagram } from "../../capture/index.js";
import { isEndpoint } from "../../core/address/address.js";
import { Address, type Endpoint, type PathMtuChange, type Unreachable } from "../../index.js";
import type { Passage } from "../../proxy/observer.js";
import { type Effects, effectsOf, isOfRelay, passageDirection } from "../../proxy/passage-comments.js";
import type { Arrival, Model } from "../model/model.js";
import type { RelayState } from "../protocol.js";
import { type FileSides, noLosses } from "./file-side.js";
import { RelayCounts } from "./relay-counts.js";
import type { SourceLosses } from "./source-losses.js";

/** Characters of a cause that are kept: a file may claim any. */
const maxCauseLength = 200;
/** Targets that the name of the side after the faults has. */
const maxTargets = 16;
/** Flows whose senders are kept. */
const maxFlows = 4096;

/** Finds out whether a file is that of a relay, from its datagrams. */
export class RelayTraces {
  #isRelay: boolean | undefined;
  #address: Endpoint | undefined;
  readonly #targets = new Set<string>();

  add(datagram: CapturedDatagram): void {
    if (this.#isRelay === false) return;
    this.#isRelay = isOfRelay(datagram);
    const { interface: by, direction, destination } = datagram;
    if (by === "clients" && direction === "in") this.#address ??= destination;
    if (by === "targets" && direction === "out" && this.#targets.size < maxTargets)
      this.#targets.add(String(destination));
  }

  /** The labels of both sides; `undefined` if it is no file of a relay. */
  get labels(): { readonly before: string; readonly after: string } | undefined {
    if (this.#isRelay !== true || this.#address === undefined) return undefined;
    return { before: String(this.#address), after: [...this.#targets].join(", ") };
  }
}

/** A file that a relay wrote: both of its sides, and what it did, as `relay-source.ts` shows a relay that runs. */
export class RelayFile implements FileSides {
  readonly lossAdvice: undefined = undefined;
  readonly lossSource: number;
  readonly #after: number;
  readonly #model: Model;
  #counts = new RelayCounts();
  #losses: SourceLosses;
  /** Who sent what leaves on a flow, as the file said last. */
  readonly #senders = new Map<string, Endpoint>();

  constructor({ before, after }: NonNullable<RelayTraces["labels"]>, model: Model) {
    const common = { simulated: false, sends: false } as const;
    this.#model = model;
    this.lossSource = model.addSource({ kind: "before", label: before, ...common }).id;
    this.#after = model.addSource({ kind: "after", label: after, ...common }).id;
    this.#losses = noLosses(this.#after, model);
  }

  readonly relay = (): RelayState => ({
    ...{ type: "relay", before: this.lossSource, after: this.#after },
    ...this.#counts.state(),
  });

  show(datagram: CapturedDatagram, arrival: Arrival, nowMs: number): void {
    const effects = effectsOf(datagram.comment);
    const { data } = datagram;
    if (datagram.direction === "out") {
      const sender = this.#senderOf(datagram, effects);
      this.#counts.left({ direction: passageDirection(datagram), sender });
      this.#model.arrived(this.#after, data, 0, { ...arrival, from: sender }, nowMs);
      return;
    }
    this.#counts.entered(passageOf(datagram, effects), nowMs);
    this.#model.arrived(this.lossSource, data, 0, arrival, nowMs);
  }

  unreachable(error: Unreachable, nowMs: number): void {
    this.#losses.unreachable(error, nowMs);
  }

  narrowed(change: PathMtuChange): void {
    this.#losses.narrowed(change);
  }

  report(atMs: number): void {
    this.#counts.report(this.#model, this.lossSource, atMs);
    this.#losses.report(atMs);
  }

  clear(): void {
    this.#counts = new RelayCounts();
    this.#losses = noLosses(this.#after, this.#model);
    this.#senders.clear();
  }

  /** Who sent a datagram that left: the comment of the first one of a flow says so. Else it is the socket of the relay. */
  #senderOf({ source, destination }: CapturedDatagram, { sender }: Effects): Endpoint {
    const flow = `${source} ${destination}`;
    const told = sender === undefined ? undefined : addressOf(sender);
    if (!told) return this.#senders.get(flow) ?? source;
    if (this.#senders.size >= maxFlows) this.#senders.clear();
    this.#senders.set(flow, told);
    return told;
  }
}

function passageOf(datagram: CapturedDatagram, effects: Effects): Passage {
  const { source, destination } = datagram;
  const direction = passageDirection(datagram);
  const dropped = effects.dropped?.slice(0, maxCauseLength);
  return { ...effects, dropped, direction, sender: source, destination };
}

/** An address that the file claims. */
function addressOf(text: string): Endpoint | undefined {
  try {
    const address = Address.parse(text);
    return isEndpoint(address) ? address : undefined;
  } catch {
    return undefined;
  }
}
