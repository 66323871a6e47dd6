import { Buffer } from "node:buffer";

import { type Endpoint, isWildcard, unmapped } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import type { Run } from "../core/receive/inbox.js";
import { engineOf } from "../core/socket/settings.js";
import type { Socket } from "../core/socket/socket.js";
import {
  type Checksum,
  type Payload,
  endOfSealed,
  frameKind,
  newFrame,
  readFrame,
  readSealedFrame,
} from "../wire/message-frame.js";
import { newReport, readReport } from "../wire/message-report.js";
import type { AddressProofs } from "./address-proofs.js";
import { tooLong } from "./deliveries.js";
import type { Peer } from "./peers.js";
import type { Receiver } from "./receiver.js";
import type { Requests } from "./requests.js";

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

  constructor(socket: Socket, crc32: Checksum, to: FrameOwners) {
    this.#socket = socket;
    this.#crc32 = crc32;
    this.#to = to;
  }

  /** Takes the datagrams of a run. */
  take(run: Run, now: number): void {
    const { data, source, segment, metadata } = run;
    const route = metadata && this.#hasManyAddresses() ? metadata.answer : undefined;
    const sealedEnd = endOfSealed(data, segment, this.#crc32);
    const inRuns = this.#inRuns;
    let start = 0;
    do {
      const end = segment === 0 ? data.length : Math.min(start + segment, data.length);
      const sealed = end <= sealedEnd ? (sealedEnd - start) / segment : 0;
      start = end + segment * this.#takeOne(data, start, end, sealed, source, route, now);
    } while (start < data.length);
    if (this.#inRuns === inRuns) engineOf(this.#socket).reuse(run);
  }

  /**
   * Takes the datagram from `start` to `end`, and perhaps some of those after it.
   *
   * @param sealed the number of datagrams from this one on whose checksums are known to be right.
   * @returns the number of the further datagrams that it took.
   */
  #takeOne(
    data: Buffer,
    start: number,
    end: number,
    sealed: number,
    source: Endpoint,
    route: Ancillary | undefined,
    now: number,
  ): number {
    const frame = this.#frame;
    const payload = this.#payload;
    const fault =
      sealed > 0
        ? readSealedFrame(data, frame, payload, start, end)
        : readFrame(data, frame, this.#crc32, payload, start, end);
    if (fault !== undefined) {
      this.#to.receiver.drop(fault);
      return 0;
    }
    switch (frame.kind) {
      case frameKind.probe:
        this.#to.proofs.answer(source, frame.id, route);
        return 0;
      case frameKind.probeAck:
        if (this.#to.proofs.isProof(source, frame.id)) {
          const peer = this.#seen(source, end - start, route, now);
          peer.sender?.answered();
          this.#proven(peer);
        } else this.#to.receiver.drop("token");
        return 0;
      case frameKind.report:
        this.#reported(source, data.subarray(start, end), now);
        return 0;
      case frameKind.request:
        if (!this.#to.requests.handler || this.#to.requests.isFull) {
          const isOurs = this.#to.find(source)?.sender?.returned(frame) === true;
          this.#to.receiver.drop(isOurs ? "returned" : this.#to.requests.handler ? "busy" : "unserved");
          return 0;
        }
        break;
      case frameKind.reply: {
        const peer = this.#to.find(source);
        if (!peer || !this.#to.requests.awaits(peer, frame, now)) {
          this.#to.receiver.drop("unexpected");
          return 0;
        }
      }
    }
    const peer = this.#seen(source, end - start, route, now);
    if (peer.sender?.returned(frame) === true) {
      this.#to.receiver.drop("returned");
      return 0;
    }
    if (!peer.isProven) this.#to.proofs.askInTurn(peer);
    const taken = this.#to.receiver.series(peer, frame, data, start, end - start, sealed, now);
    if (taken > 0) return taken - 1;
    // A message of one chunk is no copy.
    if (payload.bytes.length === frame.length) this.#inRuns++;
    this.#to.receiver.chunk(peer, frame, payload, now);
    return 0;
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
    const isKnown =
      report.credit === 0
        ? sender?.refused(frame, (message) => tooLong(peer as Peer, message, report.limit))
        : sender?.reported(frame, report);
    if (!peer || isKnown !== true) {
      this.#to.receiver.drop("stray");
      return;
    }
    peer.lastSeen = now;
    this.#proven(peer);
  }

  #proven(peer: Peer): void {
    if (peer.isProven) return;
    this.#to.receiver.proven(peer);
    peer.sender?.resume();
  }
}
