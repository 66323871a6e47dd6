/**
 * Target: the receiver of messages, fed with frames of eight sources, of which the first two have proven their addresses. It
 * delivers only what its CRC says, nothing twice, keeps within its memory, and counts each datagram that it drops.
 */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";

import { Address, type Endpoint } from "../../src/core/address/address.js";
import { messageBytes } from "../../src/message/incoming.js";
import type { Message } from "../../src/message/message.js";
import { type Peer, Peers } from "../../src/message/peers.js";
import type { Arrived, ReceiverHost, ReceiverLimits } from "../../src/message/receiver-host.js";
import { Receiver } from "../../src/message/receiver.js";
import {
  type Payload,
  frameFlag,
  frameKind,
  isFleeting,
  newFrame,
  readFrame,
} from "../../src/wire/message-frame.js";
import { newReport, readReport } from "../../src/wire/message-report.js";
import { ManualClock } from "./clock.js";
import { type Step, sources } from "./steps.js";

const limits: ReceiverLimits = {
  maxPartials: 3,
  maxSourceBytes: 20_000,
  maxBytes: 50_000,
  maxUnreadBytes: 50_000,
  idleMs: 1000,
  totalMs: 4000,
  confirm: "arrival",
  confirmMs: 10_000,
};
/** Messages are remembered for so long after they were delivered. */
const rememberedMs = 30_000;
const chunkKinds: readonly number[] = [frameKind.data, frameKind.parity, frameKind.request, frameKind.reply];
/** Two ports of each of four hosts: a NAT may change the port. */
const addresses = Array.from(
  { length: sources },
  (_, source) => new Address(`10.0.0.${(source >> 1) + 1}`, 5000 + (source & 1)) as Endpoint,
);

export function receiveAll(steps: readonly Step[]): void {
  const run = new Receiving();
  for (const step of steps) run.step(step);
  run.end();
}

class Receiving implements ReceiverHost {
  readonly clock = new ManualClock();
  readonly peers = new Peers((peer) => this.#receiver.forget(peer));
  readonly bufferChunks = 100;
  readonly takeChunks = undefined;
  readonly spare = undefined;
  unreadBytes = 0;
  readonly #receiver = new Receiver(this, limits);
  /** The CRC of each frame, with its host. */
  readonly #crcs = new Set<string>();
  /** When each message was delivered, by its identity. */
  readonly #delivered = new Map<string, number>();
  /** Counts that grow with the effects of a datagram. */
  #messages = 0;
  #lost = 0;

  constructor() {
    for (const address of addresses.slice(0, 2)) this.#receiver.proven(this.peers.get(address));
  }

  step({ source, waitMs, data }: Step): void {
    this.#wait(waitMs);
    const frame = newFrame();
    const payload: Payload<Buffer> = { bytes: Buffer.alloc(0), crc: undefined };
    // A datagram may have others before and after it.
    const memory = Buffer.concat([data.subarray(0, 3), data, data.subarray(0, 3)]);
    const fault = readFrame(memory, frame, crc32, payload, 3, 3 + data.length);
    if (fault !== undefined || !chunkKinds.includes(frame.kind)) return;
    const now = this.clock.now();
    const peer = this.peers.get(addresses[source] as Endpoint);
    peer.lastSeen = now;
    if (!peer.isProven) peer.receivedBytes += data.length;
    this.#crcs.add(`${peer.address.host} ${frame.crc}`);
    const before = this.#traces();
    // The memory of a datagram is used again, so a receiver that keeps a view delivers wrong bytes.
    const isOneChunk = payload.bytes.length === frame.length;
    this.#receiver.chunk(peer, frame, payload, now);
    if (!isOneChunk) memory.fill(0xee);
    assert.notDeepEqual(this.#traces(), before, "a datagram was neither used nor counted as dropped");
    this.#receiver.flush(now);
    this.#check();
  }

  /** All messages end. */
  end(): void {
    this.#wait(limits.totalMs + limits.idleMs);
    this.#wait(limits.totalMs + limits.idleMs);
    assert.equal(this.#receiver.bytes, 0, "bytes of messages that have ended");
    for (const peer of this.peers) {
      assert.equal(peer.partials.size, 0);
      assert.equal(peer.partialBytes, 0);
      assert.equal(peer.ordering?.bytes ?? 0, 0, "messages are held back for ever");
    }
    this.#wait(100_000);
    assert.equal(this.peers.size, 0, "peers are remembered for ever");
    assert.equal(this.clock.timers, 0, "timers run for nothing");
  }

  // For the receiver.

  answer(peer: Peer, bytes: Uint8Array): void {
    const frame = newFrame();
    assert.equal(readFrame(bytes, frame, crc32), undefined, "an answer is a frame");
    assert(readReport(bytes, frame, newReport()), "an answer is a report");
    if (!peer.mayAnswer(bytes.length)) this.#receiver.drop("unproven");
    assert(peer.isProven || peer.answeredBytes <= 3 * peer.receivedBytes, "more than three times the bytes");
  }

  arrived({ message, peer, kind, flags, id, crc }: Arrived): void {
    this.#messages++;
    this.unreadBytes += message.data.length;
    const found = `${peer.address.host} ${crc32(message.data)}`;
    assert(this.#crcs.has(found), "the source sent no such message");
    this.#checkMessage(message, isFleeting({ kind, flags }));
    // Messages that were held back are passed without an id of their own.
    if (kind === frameKind.data && (flags & frameFlag.ordered) !== 0) return;
    assert.equal(crc32(message.data), crc, "the bytes do not match their CRC");
    const now = this.clock.now();
    const key = `${peer.key} ${id} ${crc}`;
    const before = this.#delivered.get(key);
    assert(before === undefined || now - before >= rememberedMs, `message ${key} was delivered twice`);
    this.#delivered.set(key, now);
  }

  again(): void {
    this.#messages++;
  }

  lost(): void {
    this.#lost++;
  }

  #checkMessage({ chunks, repaired, data }: Message, fleeting: boolean): void {
    assert(chunks >= 1 && data.length <= limits.maxSourceBytes + 65_535);
    assert(repaired >= 0 && (repaired <= chunks || fleeting));
  }

  #wait(ms: number): void {
    if (ms === 0) return;
    // The program reads everything meanwhile.
    this.unreadBytes = 0;
    this.clock.advance(ms);
    this.peers.sweep(this.clock.now());
    this.#check();
  }

  /** What a datagram may change. */
  #traces(): unknown[] {
    let chunks = 0;
    let held = 0;
    for (const { partials, ordering } of this.peers) {
      for (const partial of partials.values()) chunks += partial.received + partial.byParity;
      held += ordering?.bytes ?? 0;
    }
    const drops = [...this.#receiver.dropped.values()].reduce((sum, count) => sum + count, 0);
    return [drops, chunks, held, this.#receiver.bytes, this.#messages, this.#lost];
  }

  #check(): void {
    let [bytes, unproven] = [0, 0];
    for (const peer of this.peers) {
      const { partials, partialBytes, isProven } = peer;
      let own = peer.ordering?.bytes ?? 0;
      for (const partial of partials.values()) own += partial.bytes;
      assert.equal(partialBytes, own, "the bytes of a peer are not the sum of its messages");
      const most = limits.maxSourceBytes * 1.125 + limits.maxPartials * messageBytes;
      assert(own <= most, `${own} bytes of one source`);
      assert(partials.size <= limits.maxPartials, `${partials.size} messages of one source`);
      bytes += own;
      if (!isProven) unproven += own;
    }
    assert.equal(this.#receiver.bytes, bytes, "the bytes are not the sum of all peers");
    assert(bytes <= limits.maxBytes, `${bytes} bytes of all sources`);
    assert(unproven <= limits.maxBytes / 4, `${unproven} bytes of sources without proof`);
  }
}
