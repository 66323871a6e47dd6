import { Buffer } from "node:buffer";

import { type Endpoint, isWildcard, unmapped } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import type { Run } from "../core/receive/inbox.js";
import { engineOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";
import {
  type Checksum,
  type Frame,
  type Payload,
  endOfSealed,
  frameKind,
  frameOverheadBytes,
  isOneOfSeveral,
  newFrame,
  readFrame,
  readIdentity,
  readSealedFrame,
} from "../wire/message-frame.js";
import { newReport, readReport } from "../wire/message-report.js";
import type { AddressProofs } from "./address-proofs.js";
import { tooLong } from "./deliveries.js";
import type { Peer } from "./peers.js";
import type { Receiver } from "./receiver.js";
import type { Requests } from "./requests.js";

/** Datagrams of a run from which on those of one message are taken together. */
const minSeries = 2;

/** Where the frames go. */
export interface FrameOwners {
  readonly receiver: Receiver;
  readonly requests: Requests;
  readonly proofs: AddressProofs;
  /** The peer of an address, if it is known. */
  find(source: Endpoint): Peer | undefined;
  /** The peer of an address, which is made if needed. */
  peerAt(source: Endpoint): Peer;
}

/** Reads the frames of received datagrams, and passes each to the part that it is for, by its kind. */
export class FrameDispatch {
  readonly #socket: Socket;
  readonly #crc32: Checksum;
  readonly #to: FrameOwners;
  readonly #frame = newFrame();
  readonly #payload: Payload<Buffer> = { bytes: Buffer.alloc(0), crc: undefined };
  readonly #report = newReport();
  /** Whether the socket is bound to a wildcard address; `undefined` until a datagram arrives. */
  #isWildcard: boolean | undefined;
  /** Messages that are in the memory of the run that they came in. */
  #inRuns = 0;
  readonly #takesSeries: boolean;

  constructor(socket: Socket, crc32: Checksum, to: FrameOwners) {
    this.#socket = socket;
    this.#crc32 = crc32;
    this.#takesSeries = engineOf(socket).takeChunks !== undefined;
    this.#to = to;
  }

  /** Takes the datagrams of a run. */
  take(run: Run, now: number): void {
    const { data, source, segment, metadata } = run;
    const route = metadata && this.#hasManyAddresses() ? metadata.answer : undefined;
    const inSeries = this.#takesSeries && segment > frameOverheadBytes && isOneOfSeveral(data, 0, segment);
    const sealedEnd = inSeries ? 0 : endOfSealed(data, segment, this.#crc32);
    const inRuns = this.#inRuns;
    let start = 0;
    do {
      const end = segment === 0 ? data.length : Math.min(start + segment, data.length);
      const taken = inSeries ? this.#takeSeries(data, start, segment, source, route, now) : 0;
      if (taken === 0) this.#takeOne(data, start, end, end <= sealedEnd, source, route, now);
      start = taken > 0 ? start + taken * segment : end;
    } while (start < data.length);
    if (this.#inRuns === inRuns) engineOf(this.#socket).reuse(run);
  }

  /**
   * Takes the chunks from `start` on of a message that has begun to arrive.
   *
   * @returns their number; 0 if the datagram must be taken alone.
   */
  #takeSeries(
    data: Buffer,
    start: number,
    segment: number,
    source: Endpoint,
    route: Ancillary | undefined,
    now: number,
  ): number {
    const datagrams = Math.floor((data.length - start) / segment);
    const peer = datagrams < minSeries ? undefined : this.#to.find(source);
    if (peer?.isProven !== true) return 0;
    const frame = this.#frame;
    // Nothing is checked yet. This only finds the message, of which other chunks were checked.
    readIdentity(data, start, frame);
    const partial = peer.partialOf(frame);
    if (partial?.frame.crc !== frame.crc || !this.#isWanted(peer, partial.frame, now)) return 0;
    return this.#to.receiver.series(peer, partial, data, start, segment, datagrams, route, now);
  }

  /** Whether further chunks of a message are taken. */
  #isWanted(peer: Peer, frame: Readonly<Frame>, now: number): boolean {
    const { requests } = this.#to;
    if (frame.kind === frameKind.request) return requests.handler !== undefined && !requests.isFull;
    return frame.kind !== frameKind.reply || requests.awaits(peer, frame, now);
  }

  /** Takes the datagram from `start` to `end`. @param isSealed whether its checksum is known to be right. */
  #takeOne(
    data: Buffer,
    start: number,
    end: number,
    isSealed: boolean,
    source: Endpoint,
    route: Ancillary | undefined,
    now: number,
  ): void {
    const frame = this.#frame;
    const payload = this.#payload;
    const fault = isSealed
      ? readSealedFrame(data, frame, payload, start, end)
      : readFrame(data, frame, this.#crc32, payload, start, end);
    if (fault !== undefined) {
      this.#to.receiver.drop(fault);
      return;
    }
    switch (frame.kind) {
      case frameKind.probe:
        this.#to.proofs.answer(source, frame.id, route);
        return;
      case frameKind.probeAck:
        if (this.#to.proofs.isProof(source, frame.id)) {
          const peer = this.#seen(source, end - start, route, now);
          peer.sender?.answered();
          this.#proven(peer);
        } else this.#to.receiver.drop("token");
        return;
      case frameKind.report:
        this.#reported(source, data.subarray(start, end), now);
        return;
      case frameKind.request:
        if (!this.#to.requests.handler || this.#to.requests.isFull) {
          const isOurs = this.#to.find(source)?.sender?.returned(frame) === true;
          this.#to.receiver.drop(isOurs ? "returned" : this.#to.requests.handler ? "busy" : "unserved");
          return;
        }
        break;
      case frameKind.reply: {
        const peer = this.#to.find(source);
        if (!peer || !this.#to.requests.awaits(peer, frame, now)) {
          this.#to.receiver.drop("unexpected");
          return;
        }
      }
    }
    const peer = this.#seen(source, end - start, route, now);
    if (peer.sender?.returned(frame) === true) {
      this.#to.receiver.drop("returned");
      return;
    }
    if (!peer.isProven) this.#to.proofs.askInTurn(peer);
    // A message of one chunk is no copy.
    if (payload.bytes.length === frame.length) this.#inRuns++;
    this.#to.receiver.chunk(peer, frame, payload, now);
  }

  /** Whether the socket receives at all addresses of its host. Otherwise each datagram leaves from its one address. */
  #hasManyAddresses(): boolean {
    // A connected socket has one address, and the wildcard address again after `connect(null)`.
    if (this.#socket.closed || engineOf(this.#socket).peer) return false;
    return (this.#isWildcard ??= isWildcard(unmapped(this.#socket.getsockname()).host));
  }

  #seen(source: Endpoint, bytes: number, route: Ancillary | undefined, now: number): Peer {
    const peer = this.#to.peerAt(source);
    peer.lastSeen = now;
    peer.route = route;
    if (!peer.isProven) peer.receivedBytes += bytes;
    return peer;
  }

  #reported(source: Endpoint, data: Buffer, now: number): void {
    const frame = this.#frame;
    const report = this.#report;
    if (!readReport(data, frame, report)) {
      this.#to.receiver.drop("report");
      return;
    }
    const peer = this.#to.find(source);
    const sender = peer?.sender;
    if (peer && !peer.isProven) peer.receivedBytes += data.length;
    const kind =
      report.credit === 0
        ? sender?.refused(frame, (message) => tooLong(peer as Peer, message, report.limit))
        : sender?.reported(frame, report);
    if (!peer || kind === undefined) {
      this.#to.receiver.drop("stray");
      return;
    }
    peer.lastSeen = now;
    // The requester chose the id of a reply, and others may know its bytes: such a report may come from a forged address.
    if (kind !== frameKind.reply) this.#proven(peer);
  }

  #proven(peer: Peer): void {
    if (peer.isProven) return;
    this.#to.receiver.proven(peer);
    peer.sender?.resume();
  }
}
