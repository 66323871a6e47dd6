/**
 * What a page shows: `model.ts` joins the counts of peers (`peer-table.ts`, `peer.ts`), the last datagrams (`datagram-ring.ts`,
 * `payload-look.ts`), the reports of losses (`loss-log.ts`, `missing.ts`) and the pictures (`pictures.ts`, `last-pictures.ts`,
 * `message-decoder.ts`). All of it is bounded, whatever strangers send.
 *
 * The model has no timers and no clock: the sources (`../sources`) tell it what happens and when, and the server (`../server`) asks
 * it.
 */

import type { Buffer } from "node:buffer";

import type { Address } from "../../core/address/address.js";
import type { Playback, Source } from "../protocol.js";
import { DatagramRing } from "./datagram-ring.js";
import { type LastPicture, findLastPictures } from "./last-pictures.js";
import { LossLog, type NewLoss } from "./loss-log.js";
import { Missing } from "./missing.js";
import type { Peer } from "./peer.js";
import { PeerTable } from "./peer-table.js";
import { Pictures } from "./pictures.js";

/** What the server hears of a model at once. */
export interface ModelListener {
  /** A picture of a peer is complete. */
  picture(peer: Peer, picture: Buffer): void;
  /** A datagram arrived from a peer of which a page awaits a reply. */
  answered(peer: Peer, position: number): void;
}

/** What a source knows of a datagram. */
export interface Arrival {
  readonly from: Address;
  readonly to: Address;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  /** Datagrams that were dropped just before it, at least. */
  readonly lostBefore: number;
}

/** What a page shows of all sources. */
export class Model {
  readonly peers: PeerTable = new PeerTable();
  readonly ring: DatagramRing = new DatagramRing();
  readonly losses: LossLog = new LossLog();
  readonly #missing = new Missing();
  readonly pictures: Pictures = new Pictures({
    picture: (peer, picture) => this.listener?.picture(peer, picture),
    found: (peer) => this.peers.change(peer),
    broken: (peer, loss) => this.#missing.broken(peer, loss),
  });
  readonly #sources: Source[] = [];
  /** The peers of which a page awaits a reply. It is mostly empty. */
  readonly #awaited = new Set<Peer>();
  listener: ModelListener | undefined;
  /** The time that pages show, in milliseconds since 1970: that of the file if one is watched. */
  now: () => number = () => Date.now();
  /** The position in the file that is watched, if it is one. */
  playback: Playback | undefined;

  get sources(): readonly Source[] {
    return this.#sources;
  }

  addSource(source: Omit<Source, "id">): Source {
    const added = { id: this.#sources.length, ...source };
    this.#sources.push(added);
    return added;
  }

  /**
   * A datagram arrived, or a run of them end to end.
   *
   * @param segment bytes of each datagram but the last, which may be shorter; 0 if it is one datagram.
   */
  arrived(source: number, data: Buffer, segment: number, arrival: Arrival, nowMs: number): void {
    const { from, to, timestamp } = arrival;
    const peer = this.peers.of(source, from, nowMs);
    const { length } = data;
    const size = segment === 0 ? length : segment;
    let { lostBefore } = arrival;
    if (peer.arrived(length, size, lostBefore, nowMs)) this.peers.refresh(peer);
    this.peers.change(peer);
    const { ring, pictures } = this;
    const first = ring.count;
    const isAwaited = this.#awaited.size > 0 && this.#awaited.has(peer);
    const isKept = isAwaited || this.#takes(length, size === 0 ? 1 : Math.ceil(length / size), nowMs);
    const at = isKept ? ring.copy(data) : 0;
    let start = 0;
    do {
      const end = Math.min(start + size, length);
      if (isKept) ring.add(peer, false, at + start, end - start, to, timestamp, lostBefore);
      lostBefore = 0;
      if (pictures.mayTake(peer, data, start)) {
        const datagram = data.subarray(start, end);
        if (pictures.take(peer, datagram, nowMs) && isKept) ring.markPicture();
        this.#missing.take(peer, datagram);
      }
      start = end;
    } while (start < length);
    if (isAwaited) this.listener?.answered(peer, first);
  }

  /** A datagram was sent. */
  sent(source: number, data: Buffer, { from, to, timestamp }: Arrival, nowMs: number): void {
    const peer = this.peers.of(source, to, nowMs);
    peer.sent++;
    peer.sentBytes += data.length;
    if (peer.datagrams + peer.sent <= 3) this.peers.refresh(peer);
    this.peers.change(peer);
    const { ring } = this;
    if (this.#takes(data.length, 1, nowMs))
      ring.add(peer, true, ring.copy(data), data.length, from, timestamp, 0);
  }

  /** Whether datagrams go to the list. All of a file do: it is read as fast as its reader says, so copies cost no datagram. */
  #takes(bytes: number, datagrams: number, nowMs: number): boolean {
    return this.playback !== undefined || this.ring.takes(bytes, datagrams, nowMs);
  }

  /** Sets whether the listener hears of each datagram of a peer. */
  setAwaited(peer: Peer, isAwaited: boolean): void {
    if (isAwaited) this.#awaited.add(peer);
    else this.#awaited.delete(peer);
  }

  /** Changes a count of a peer. @returns its number. */
  count(source: number, address: Address, field: "truncated" | "icmp", nowMs: number): number {
    const peer = this.peers.of(source, address, nowMs);
    peer[field]++;
    this.peers.change(peer);
    return peer.id;
  }

  lost(loss: NewLoss): void {
    this.losses.add(loss);
  }

  /** Finds the last whole picture of each of some peers in the datagrams that are kept, in turns: see `findLastPictures`. */
  lastPictures(ids: ReadonlySet<number>): Generator<LastPicture | undefined, void> {
    return findLastPictures(this.ring, this.pictures, ids);
  }

  /** Reports what the senders' own numbers say is missing, and the peers that became silent: one report of each for each source. */
  report(nowMs: number): void {
    for (const loss of this.#missing.report(nowMs)) if (!this.#isAfterFaults(loss.source)) this.lost(loss);
    this.#reportSilent(nowMs);
  }

  /** Whether a source is behind the faults of a relay, so that what is missing there is no fault of the sender or the network. */
  #isAfterFaults(source: number | undefined): boolean {
    return source !== undefined && this.#sources[source]?.kind === "after";
  }

  #reportSilent(nowMs: number): void {
    const silent = new Map<number, Peer[]>();
    for (const peer of this.peers) {
      if (!peer.checkSilence(nowMs)) continue;
      this.peers.change(peer);
      if (this.#isAfterFaults(peer.source)) continue;
      silent.set(peer.source, [...(silent.get(peer.source) ?? []), peer]);
    }
    for (const [source, [first, ...others]] of silent) {
      if (!first) continue;
      const seconds = Math.round((nowMs - first.lastMs) / 1000);
      const more = others.length === 0 ? "" : ` So have ${others.length} other peers.`;
      this.lost({
        ...{ cause: "silent", atMs: nowMs, source, peer: first.id, datagrams: undefined, atLeast: false },
        sentence: `${first.address} sent regularly and has been silent for ${seconds} s.${more}`,
        advice: "See whether the device has power and reaches this network.",
      });
    }
  }

  /** Forgets everything but the sources. */
  clear(): void {
    this.peers.clear();
    this.ring.clear();
    this.losses.clear();
    this.pictures.clear();
    this.#missing.clear();
    this.#awaited.clear();
  }
}
