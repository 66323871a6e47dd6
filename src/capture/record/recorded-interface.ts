import type { Buffer } from "node:buffer";

import { assert } from "../../core/assert.js";
import type { Clock } from "../../core/driver/driver.js";
import { tooBigKind } from "../../core/driver/icmp.js";
import type { PathMtuChange, Unreachable } from "../../core/ledger/reports.js";
import {
  type BlockWriter,
  type CaptureTime,
  LINKTYPE_RAW,
  type PacketNotes,
  captureTime,
} from "../../wire/pcapng.js";
import { type BlockCounts, noBlockCounts } from "./block-counts.js";
import { type Flow, payloadSum, writeHeaders } from "./flows.js";
import { icmpPacket } from "./icmp-packet.js";
import { Notes, maxCommentBytes } from "./notes.js";

/** Bytes of the block of a packet, or of the counts of an interface, without packet and comment, at most. */
export const blockBytes = 80;
/** Bytes of the description of an interface, at most. */
export const descriptionBytes = 1024;
/** Characters of a name or a description, at most. */
const maxTextLength = 150;
/** Bytes of the end of a section for one interface, at most: its description, and its counts with a comment. */
export const maxEndBytes: number = descriptionBytes + blockBytes + maxCommentBytes;

/** What a recording gives to its interfaces. */
export interface RecordingHost {
  /** Memory for blocks of the interface, after its description; `undefined` if nothing can be written now. */
  room(of: RecordedInterface, bytes: number): BlockWriter | undefined;
  /** A datagram was written to that memory. */
  written(): void;
  /** Whether the recording has ended. */
  readonly isOver: boolean;
  /** Nothing more comes from an interface. */
  closed(): void;
}

/** How the file describes an interface. */
export interface InterfaceTexts {
  readonly name: string;
  readonly description: string;
}

/** One interface of a recording: its blocks, and the counts of what was written of it. */
export abstract class RecordedInterface {
  /** The interface of the current section of the file; `undefined` until it is described there. */
  interfaceId: number | undefined;
  /** The counts of the memory that is filled now. */
  counts: BlockCounts = noBlockCounts();
  /** Datagrams that could not be written. */
  missed = 0;
  protected readonly host: RecordingHost;
  protected readonly notes: Notes = new Notes();
  readonly #clock: Clock;
  readonly #texts: () => InterfaceTexts;

  /** @param texts is asked again for each file. */
  constructor(host: RecordingHost, clock: Clock, texts: () => InterfaceTexts) {
    this.host = host;
    this.#clock = clock;
    this.#texts = texts;
  }

  /** Losses before the datagrams were read, at least. */
  abstract get lost(): number;

  /** Whether losses or notes wait for the next packet. */
  get hasNotes(): boolean {
    return this.notes.waiting;
  }

  /** Bytes of what waits for the next packet, at most. */
  get notesBytes(): number {
    return this.notes.commentBytes;
  }

  /** Sees no more datagrams. */
  abstract end(): void;

  /** Describes the interface in a section of a file. */
  describe(writer: BlockWriter, interfaceId: number): void {
    this.interfaceId = interfaceId;
    const { name, description } = this.#texts();
    writer.interfaceDescription({
      linkType: LINKTYPE_RAW,
      snapLength: 0,
      name: name.slice(0, maxTextLength),
      description: description.slice(0, maxTextLength),
    });
  }

  /**
   * Writes the counts of a section of a file, which has the description.
   *
   * @param isLast whether no packet follows that could tell what waits.
   * @param commentBytes for what waits, at most.
   */
  endSection(writer: BlockWriter, counts: BlockCounts, isLast: boolean, commentBytes: number): void {
    assert(this.interfaceId !== undefined, "an interface is described before its counts are written");
    const told = isLast ? this.notes.take(commentBytes) : undefined;
    const missed = counts.missed + (told?.missed ?? 0);
    writer.interfaceStatistics({
      interfaceId: this.interfaceId,
      time: this.now(),
      received: counts.datagrams + counts.unreachable + missed,
      lost: counts.lost + (told?.lost ?? 0),
      notWritten: missed,
      comment: told?.comment === "" ? undefined : told?.comment,
    });
  }

  /** Blocks with these counts could not be written. */
  notWritten({ datagrams, lost, missed }: BlockCounts): void {
    this.missed += datagrams;
    this.notes.missed(datagrams + missed);
    if (lost > 0) this.notes.lostAtBuffer(lost);
  }

  /** Writes the datagram that is from `start` to `end` in `data`. */
  datagram(
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
    const writer = this.#room(length, plain.comment);
    if (!writer) {
      if (this.host.isOver) return;
      this.missed++;
      this.notes.missed(1);
      return;
    }
    const at = this.#begin(writer, time, length);
    data.copy(writer.bytes, at + headerBytes, start, end);
    const sum = payloadSum(writer.words, at + headerBytes, payloadBytes);
    writeHeaders(flow, writer.bytes, at, payloadBytes, sum, ttl, tos);
    writer.endPacket(this.notes.waiting ? this.#notesWith(plain) : plain);
    this.counts.datagrams++;
    this.counts.bytes += payloadBytes;
    this.host.written();
  }

  /** Begins the file or the section that a packet of `length` bytes with a comment comes to, before its comment is chosen. */
  protected makeRoom(length: number, comment: string | undefined): void {
    this.#room(length, comment);
  }

  /**
   * Writes an ICMP error.
   *
   * @param flow of the datagram; without it, or if the error is not known well, it is a note.
   * @param mtu as in `icmpPacket`.
   */
  protected icmpError(report: Unreachable, flow: Flow | undefined, mtu = 0): void {
    const { destination, code, kind = "ICMP error" } = report;
    const packet = flow && icmpPacket(report, flow, mtu);
    if (!packet) {
      this.notes.add(`${kind} (${code}) for a datagram to ${destination ?? "an unknown peer"}`);
      return;
    }
    const comment = mtu > 0 ? `${kind} (${code}): the MTU is ${mtu}` : `${kind} (${code})`;
    const writer = this.#room(packet.length, comment);
    if (!writer) return;
    const notes = this.#notesWith({ direction: "in", comment });
    const at = this.#begin(writer, this.now(), packet.length);
    writer.bytes.set(packet, at);
    writer.endPacket(notes);
    this.counts.unreachable++;
  }

  /** Writes the ICMP error about a packet that was too big, with the MTU. @param flow of the datagram. */
  protected tooBig({ destination, mtu, from }: PathMtuChange, flow: Flow): void {
    // Without a router, a route of this host has changed, and no packet came.
    if (from === undefined) return;
    this.icmpError({ destination, code: "EMSGSIZE", kind: tooBigKind(flow.version), from }, flow, mtu);
  }

  /** Memory for a packet, with its comment and what waits for it. */
  #room(length: number, comment?: string): BlockWriter | undefined {
    const own = comment === undefined ? 0 : 3 * comment.length + 8;
    return this.host.room(this, blockBytes + length + own + this.notesBytes);
  }

  /** Starts a packet. @returns where its bytes are. */
  #begin(writer: BlockWriter, time: CaptureTime, length: number): number {
    const { interfaceId } = this;
    assert(interfaceId !== undefined, "an interface is described before its packets");
    return writer.beginPacket(interfaceId, time, length, length);
  }

  /** The notes of a packet, and what waits for it. */
  #notesWith(plain: PacketNotes): PacketNotes {
    const told = this.notes.take();
    if (!told) return plain;
    const { lost, missed, comment } = told;
    this.counts.lost += lost;
    this.counts.missed += missed;
    const own = plain.comment === undefined ? "" : `${plain.comment}\n`;
    return { ...plain, dropCount: lost + missed || undefined, comment: own + comment };
  }

  protected now(): CaptureTime {
    return captureTime(this.#clock.wall());
  }
}
