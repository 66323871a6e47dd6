import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import type { Loss, PathMtuChange, Unreachable } from "../../core/ledger/reports.js";
import type { Datagram } from "../../core/receive/datagram.js";
import type { Run } from "../../core/receive/inbox.js";
import { observe } from "../../core/socket/settings.js";
import type { Socket } from "../../core/socket/socket.js";
import type { Observation, Observer } from "../../core/socket/taps.js";
import { captureTime } from "../../wire/pcapng.js";
import { type Flows, defaultTtl } from "./flows.js";
import { datagramsText } from "./notes.js";
import { RecordedInterface, type RecordingHost } from "./recorded-interface.js";

/** The notes of most packets. */
const plainNotes = { in: { direction: "in" }, out: { direction: "out" } } as const;
/** Turns what happens to the datagrams of one socket into blocks. */
export class RecordedSocket extends RecordedInterface implements Observer {
  readonly #flows: Flows;
  readonly #observation: Observation;
  /** Losses at the receive buffer, as the datagrams after them tell, and as the socket counts them. */
  #lostByMetadata = 0;
  #lostByEvents = 0;
  #lostAtBuffer = 0;
  #lostElsewhere = 0;

  /** @throws `OSError` `EBADF` if the socket is closed. */
  constructor(socket: Socket, host: RecordingHost, flows: Flows) {
    super(host, socket.clock, () => ({
      name: String(this.#observation.local()),
      description: "UDP socket",
    }));
    this.#flows = flows;
    this.#observation = observe(socket, this);
  }

  override get lost(): number {
    return this.#lostAtBuffer + this.#lostElsewhere;
  }

  override end(): void {
    this.#observation.end();
  }

  received({ data, source, segment, metadata }: Run): void {
    const flow = this.#flows.of(source, metadata?.destination ?? this.#observation.local());
    const timestamp = metadata?.timestamp;
    const time = timestamp === undefined ? this.now() : captureTime(timestamp);
    const ttl = metadata?.ttl ?? defaultTtl;
    const tos = metadata?.tos ?? 0;
    const lostBefore = metadata?.lostBefore ?? 0;
    if (lostBefore > 0) {
      this.#lostByMetadata += lostBefore;
      this.#countLostAtBuffer();
    }
    const step = segment === 0 ? data.length : segment;
    let start = 0;
    do {
      const end = Math.min(start + step, data.length);
      this.datagram(plainNotes.in, time, flow, ttl, tos, data, start, end);
      start = end;
    } while (start < data.length);
  }

  sent(payload: Buffer, destination: Endpoint, ancillary: Ancillary | undefined): void {
    const local = this.#observation.local();
    const host = ancillary?.source?.host;
    const source = host === undefined ? local : (sharedAddress(host, local.port) as Endpoint);
    const flow = this.#flows.of(source, destination);
    const ttl = ancillary?.ttl ?? defaultTtl;
    const tos = ancillary?.tos ?? ancillary?.ecn ?? 0;
    this.datagram(plainNotes.out, this.now(), flow, ttl, tos, payload, 0, payload.length);
  }

  dropped({ cause, datagrams }: Loss, isSeen: boolean): void {
    const isClosed = cause === "close";
    if (isSeen) {
      const why = isClosed ? "it closed the socket" : "it waited for an answer";
      this.notes.add(`the program never took ${datagramsText(datagrams)} of this recording: ${why}`);
    } else if (cause === "receiveBuffer") {
      this.#lostByEvents += datagrams;
      this.#countLostAtBuffer();
    } else {
      this.#lostElsewhere += datagrams;
      const why = isClosed ? "the socket was closed" : "the queue of the driver was full";
      this.notes.lostElsewhere(datagrams, why);
    }
  }

  unreachable(report: Unreachable): void {
    const { destination } = report;
    this.icmpError(report, destination && this.#flows.of(this.#observation.local(), destination));
  }

  pathMtu(change: PathMtuChange): void {
    this.tooBig(change, this.#flows.of(this.#observation.local(), change.destination));
  }

  truncated({ data, size, source }: Datagram): void {
    this.notes.add(`the program took ${data.length} of ${size} bytes of a datagram from ${source}`);
  }

  closed(): void {
    this.host.closed();
  }

  /** Both counts are of the same losses, and either one may come first. */
  #countLostAtBuffer(): void {
    const more = Math.max(this.#lostByMetadata, this.#lostByEvents) - this.#lostAtBuffer;
    if (more <= 0) return;
    this.#lostAtBuffer += more;
    this.notes.lostAtBuffer(more);
  }
}
