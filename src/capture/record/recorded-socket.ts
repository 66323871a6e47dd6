import type { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { assert } from "../../core/assert.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import type { Loss, Unreachable } from "../../core/ledger/reports.js";
import type { Datagram } from "../../core/receive/datagram.js";
import type { Run } from "../../core/receive/inbox.js";
import { observe } from "../../core/socket/settings.js";
import type { Socket } from "../../core/socket/socket.js";
import type { Observation, Observer } from "../../core/socket/taps.js";
import {
  type BlockWriter,
  type CaptureTime,
  LINKTYPE_RAW,
  type PacketNotes,
  captureTime,
} from "../../wire/pcapng.js";
import { type Flow, type Flows, defaultTtl, payloadSum, writeHeaders } from "./flows.js";
import { icmpPacket } from "./icmp-packet.js";
import { Notes, datagramsText, maxCommentBytes } from "./notes.js";

/** The notes of most packets. */
const plainNotes = { in: { direction: "in" }, out: { direction: "out" } } as const;
/** Bytes of the block of a packet, or of the counts of an interface, without packet and comment, at most. */
export const blockBytes = 80;
/** Bytes of the counts of an interface with their comment, at most. */
export const maxCountsBytes: number = blockBytes + maxCommentBytes;

/** What a recording gives to the sockets that it records. */
export interface RecordingHost {
  /** Memory for blocks of the socket, after its description; `undefined` if nothing can be written now. */
  room(socket: RecordedSocket, bytes: number): BlockWriter | undefined;
  /** Whether the recording has ended. */
  readonly isOver: boolean;
  /** The socket is closed. */
  closed(): void;
}

/** Counts of what blocks hold of one socket. */
export interface BlockCounts {
  datagrams: number;
  /** Bytes of payloads. */
  bytes: number;
  unreachable: number;
  /** Losses before the socket read the datagrams, as the packets tell them. */
  lost: number;
  /** Datagrams that could not be written, as the packets tell them. */
  missed: number;
}

export function noBlockCounts(): BlockCounts {
  return { datagrams: 0, bytes: 0, unreachable: 0, lost: 0, missed: 0 };
}

/** Turns what happens to the datagrams of one socket into blocks. */
export class RecordedSocket implements Observer {
  /** The interface of the current section of the file; `undefined` until it is described there. */
  interfaceId: number | undefined;
  /** The counts of the memory that is filled now. */
  counts: BlockCounts = noBlockCounts();
  /** Datagrams that could not be written. */
  missed = 0;
  readonly #socket: Socket;
  readonly #host: RecordingHost;
  readonly #flows: Flows;
  readonly #notes = new Notes();
  readonly #observation: Observation;
  /** Losses at the receive buffer, as the datagrams after them tell, and as the socket counts them. */
  #lostByMetadata = 0;
  #lostByEvents = 0;
  #lostAtBuffer = 0;
  #lostElsewhere = 0;

  /** @throws `OSError` `EBADF` if the socket is closed. */
  constructor(socket: Socket, host: RecordingHost, flows: Flows) {
    this.#socket = socket;
    this.#host = host;
    this.#flows = flows;
    this.#observation = observe(socket, this);
  }

  /** Losses before the socket read the datagrams, at least. */
  get lost(): number {
    return this.#lostAtBuffer + this.#lostElsewhere;
  }

  /** Whether losses or notes wait for the next packet. */
  get hasNotes(): boolean {
    return this.#notes.waiting;
  }

  /** Sees no more datagrams. */
  end(): void {
    this.#observation.end();
  }

  /** Describes the interface in a section of a file. */
  describe(writer: BlockWriter, interfaceId: number): void {
    this.interfaceId = interfaceId;
    const name = String(this.#observation.local());
    writer.interfaceDescription({ linkType: LINKTYPE_RAW, snapLength: 0, name, description: "UDP socket" });
  }

  /**
   * Writes the counts of a section of a file, which has the description.
   *
   * @param isLast whether no packet follows that could tell what waits.
   */
  endSection(writer: BlockWriter, counts: BlockCounts, isLast: boolean): void {
    assert(this.interfaceId !== undefined, "an interface is described before its counts are written");
    const told = isLast ? this.#notes.take() : undefined;
    const missed = counts.missed + (told?.missed ?? 0);
    writer.interfaceStatistics({
      interfaceId: this.interfaceId,
      time: this.#now(),
      received: counts.datagrams + counts.unreachable + missed,
      lost: counts.lost + (told?.lost ?? 0),
      notWritten: missed,
      comment: told?.comment,
    });
  }

  /** Blocks with these counts could not be written. */
  notWritten({ datagrams, lost, missed }: BlockCounts): void {
    this.missed += datagrams;
    this.#notes.missed(datagrams + missed);
    if (lost > 0) this.#notes.lostAtBuffer(lost);
  }

  received({ data, source, segment, metadata }: Run): void {
    const flow = this.#flows.of(source, metadata?.destination ?? this.#observation.local());
    const timestamp = metadata?.timestamp;
    const time = timestamp === undefined ? this.#now() : captureTime(timestamp);
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
      this.#datagram(plainNotes.in, time, flow, ttl, tos, data, start, end);
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
    this.#datagram(plainNotes.out, this.#now(), flow, ttl, tos, payload, 0, payload.length);
  }

  dropped({ cause, datagrams }: Loss, isSeen: boolean): void {
    const isClosed = cause === "close";
    if (isSeen) {
      const why = isClosed ? "it closed the socket" : "it waited for an answer";
      this.#notes.add(`the program never took ${datagramsText(datagrams)} of this recording: ${why}`);
    } else if (cause === "receiveBuffer") {
      this.#lostByEvents += datagrams;
      this.#countLostAtBuffer();
    } else {
      this.#lostElsewhere += datagrams;
      const why = isClosed ? "the socket was closed" : "the queue of the driver was full";
      this.#notes.lostElsewhere(datagrams, why);
    }
  }

  unreachable(report: Unreachable): void {
    const { destination, code, kind = "ICMP error" } = report;
    const flow = destination && this.#flows.of(this.#observation.local(), destination);
    const packet = flow && icmpPacket(report, flow);
    if (!packet) {
      this.#notes.add(`${kind} (${code}) for a datagram to ${destination ?? "an unknown peer"}`);
      return;
    }
    const comment = `${kind} (${code})`;
    const writer = this.#room(packet.length + 3 * comment.length + 8);
    if (!writer) return;
    const notes = this.#notesWith({ direction: "in", comment });
    const at = this.#begin(writer, this.#now(), packet.length);
    writer.bytes.set(packet, at);
    writer.endPacket(notes);
    this.counts.unreachable++;
  }

  truncated({ data, size, source }: Datagram): void {
    this.#notes.add(`the program took ${data.length} of ${size} bytes of a datagram from ${source}`);
  }

  closed(): void {
    this.#host.closed();
  }

  /** Writes the datagram that is from `start` to `end` in `data`. */
  #datagram(
    plain: PacketNotes,
    time: CaptureTime,
    flow: Flow,
    ttl: number,
    tos: number,
    data: Buffer,
    start: number,
    end: number,
  ): void {
    const headerBytes = flow.headers.length;
    const payloadBytes = end - start;
    const length = headerBytes + payloadBytes;
    const writer = this.#room(length);
    if (!writer) {
      if (this.#host.isOver) return;
      this.missed++;
      this.#notes.missed(1);
      return;
    }
    const at = this.#begin(writer, time, length);
    data.copy(writer.bytes, at + headerBytes, start, end);
    const sum = payloadSum(writer.words, at + headerBytes, payloadBytes);
    writeHeaders(flow, writer.bytes, at, payloadBytes, sum, ttl, tos);
    writer.endPacket(this.#notes.waiting ? this.#notesWith(plain) : plain);
    this.counts.datagrams++;
    this.counts.bytes += payloadBytes;
  }

  /** Memory for a packet, with its notes. */
  #room(length: number): BlockWriter | undefined {
    return this.#host.room(this, blockBytes + length + (this.#notes.waiting ? maxCommentBytes : 0));
  }

  /** Starts a packet. @returns where its bytes are. */
  #begin(writer: BlockWriter, time: CaptureTime, length: number): number {
    const { interfaceId } = this;
    assert(interfaceId !== undefined, "an interface is described before its packets");
    return writer.beginPacket(interfaceId, time, length, length);
  }

  /** The notes of a packet, and what waits for it. */
  #notesWith(plain: PacketNotes): PacketNotes {
    const told = this.#notes.take();
    if (!told) return plain;
    const { lost, missed, comment } = told;
    this.counts.lost += lost;
    this.counts.missed += missed;
    const own = plain.comment === undefined ? "" : `${plain.comment}\n`;
    return { ...plain, dropCount: lost + missed || undefined, comment: own + comment };
  }

  #now(): CaptureTime {
    return captureTime(this.#socket.clock.wall());
  }

  /** Both counts are of the same losses, and either one may come first. */
  #countLostAtBuffer(): void {
    const more = Math.max(this.#lostByMetadata, this.#lostByEvents) - this.#lostAtBuffer;
    if (more <= 0) return;
    this.#lostAtBuffer += more;
    this.#notes.lostAtBuffer(more);
  }
}
