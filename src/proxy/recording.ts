import type { Clock, Datagram, Endpoint, Loss, PathMtuChange, Unreachable } from "../index.js";
import type { RecordOptions, Recording } from "../capture/index.js";
import { type Flow, Flows, defaultTtl } from "../capture/record/flows.js";
import { datagramsText } from "../capture/record/notes.js";
import { recordTo } from "../capture/record/record.js";
import {
  type InterfaceTexts,
  RecordedInterface,
  type RecordingHost,
} from "../capture/record/recorded-interface.js";
import { type BlockWriter, captureTime } from "../wire/pcapng.js";
import type {
  DirectionName,
  Passage,
  RelayObserver,
  RelayObservers,
  SentDatagram,
  Sending,
} from "./observer.js";
import { commentOf, senderComment } from "./passage-comments.js";

/** What is recorded of a relay. */
export interface RecordedRelay {
  readonly address: Endpoint;
  readonly targets: readonly Endpoint[];
  readonly clock: Clock;
  readonly observers: RelayObservers;
}

/** Records a relay. @throws as `record` of `datagram/capture`. */
export function recordRelay(
  { address, targets, clock, observers }: RecordedRelay,
  file: string | URL | number,
  options: RecordOptions,
): Recording {
  const texts = {
    clients: { name: "clients", description: `clients of the relay at ${address}` },
    targets: { name: "targets", description: `sockets of the relay to ${targets.join(", ")}` },
  };
  const open = (host: RecordingHost): RecordedInterface[] => {
    const observer = new RecordedSides(host, clock, texts);
    const stop = observers.add(observer);
    for (const side of [observer.clients, observer.targets]) side.stop = stop;
    return [observer.clients, observer.targets];
  };
  return recordTo(file, options, { clock, atOnce: false, open });
}

/** One side of a relay in a file. */
class RecordedSide extends RecordedInterface {
  lost = 0;
  stop: () => void = () => undefined;
  /** Who sent the datagrams of each flow, as this section of the file says. */
  #senders = new WeakMap<Flow, Endpoint>();

  end(): void {
    this.stop();
  }

  override describe(writer: BlockWriter, interfaceId: number): void {
    this.#senders = new WeakMap();
    super.describe(writer, interfaceId);
  }

  /** Writes a datagram that leaves. If it is the first of its flow in this section, its comment says who sent it. */
  writeSent(
    sender: Endpoint | undefined,
    lines: readonly string[],
    timestamp: bigint,
    flow: Flow,
    data: Buffer,
  ): void {
    const length = flow.headers.length + data.length;
    // Another file may begin here, and the sender is unknown there.
    this.makeRoom(length, this.#sentComment(sender, lines, flow));
    const { missed } = this;
    this.write("out", this.#sentComment(sender, lines, flow), timestamp, flow, { data });
    if (sender !== undefined && this.missed === missed) this.#senders.set(flow, sender);
  }

  #sentComment(sender: Endpoint | undefined, lines: readonly string[], flow: Flow): string | undefined {
    const isNew = sender !== undefined && this.#senders.get(flow) !== sender;
    const all = isNew ? [...lines, senderComment(sender)] : lines;
    return all.length > 0 ? all.join("\n") : undefined;
  }

  write(
    direction: "in" | "out",
    comment: string | undefined,
    timestamp: bigint,
    flow: Flow,
    { data, ttl = defaultTtl, tos = 0 }: Pick<Datagram, "data"> & Partial<Pick<Datagram, "ttl" | "tos">>,
  ): void {
    this.datagram({ direction, comment }, captureTime(timestamp), flow, ttl, tos, data, 0, data.length);
  }

  /** Datagrams are missing on this side: the next packet says so. */
  lostBefore({ cause, datagrams }: Loss): void {
    if (cause === "close") {
      this.note(`the relay never read ${datagramsText(datagrams)}: it was closed`);
      return;
    }
    this.lost += datagrams;
    if (cause === "receiveBuffer") this.notes.lostAtBuffer(datagrams);
    else this.notes.lostElsewhere(datagrams, "the queue of the driver was full");
  }

  note(text: string): void {
    this.notes.add(text);
  }

  unreachable(report: Unreachable, flow: Flow | undefined): void {
    this.icmpError(report, flow);
  }

  pathMtu(change: PathMtuChange, flow: Flow): void {
    this.tooBig(change, flow);
  }
}

/** Turns what passes a relay into packets of two interfaces. */
class RecordedSides implements RelayObserver {
  readonly clients: RecordedSide;
  readonly targets: RecordedSide;
  readonly #host: RecordingHost;
  readonly #clock: Clock;
  readonly #flows = new Flows();

  constructor(
    host: RecordingHost,
    clock: Clock,
    texts: Readonly<Record<"clients" | "targets", InterfaceTexts>>,
  ) {
    this.#host = host;
    this.#clock = clock;
    this.clients = new RecordedSide(host, clock, () => texts.clients);
    this.targets = new RecordedSide(host, clock, () => texts.targets);
  }

  entered(passage: Passage, datagram: Datagram): void {
    const { direction, sender, destination } = passage;
    const timestamp = datagram.timestamp ?? this.#clock.wall();
    const flow = this.#flows.of(sender, destination);
    this.#from(direction).write("in", commentOf(passage, false), timestamp, flow, datagram);
  }

  left(
    direction: DirectionName,
    datagrams: readonly SentDatagram[],
    { source, destination, timestamp, unsent }: Sending,
  ): void {
    const side = this.#to(direction);
    if (unsent === datagrams.length) {
      side.note(`${datagramsText(unsent)} to ${destination} not sent`);
      return;
    }
    const flow = this.#flows.of(source, destination);
    const perhaps = `perhaps not sent: ${unsent} of ${datagrams.length} datagrams were not`;
    for (const { passage, isDuplicate, data } of datagrams) {
      const comment = passage && commentOf(passage, isDuplicate);
      const lines = [comment, unsent > 0 ? perhaps : undefined].filter((line) => line !== undefined);
      side.writeSent(passage?.sender, lines, timestamp, flow, data);
    }
  }

  discarded(direction: DirectionName, datagrams: number): void {
    this.#to(direction).note(`${datagramsText(datagrams)} in flight: the relay was closed`);
  }

  lost(direction: DirectionName, loss: Loss): void {
    this.#from(direction).lostBefore(loss);
  }

  unreachable(direction: DirectionName, report: Unreachable, source: Endpoint): void {
    const { destination } = report;
    this.#to(direction).unreachable(report, destination && this.#flows.of(source, destination));
  }

  pathMtu(direction: DirectionName, change: PathMtuChange, source: Endpoint): void {
    this.#to(direction).pathMtu(change, this.#flows.of(source, change.destination));
  }

  closed(): void {
    this.#host.closed();
    this.#host.closed();
  }

  /** The side that the datagrams of a direction come from. */
  #from(direction: DirectionName): RecordedSide {
    return direction === "up" ? this.clients : this.targets;
  }

  #to(direction: DirectionName): RecordedSide {
    return direction === "up" ? this.targets : this.clients;
  }
}
