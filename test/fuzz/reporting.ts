/**
 * Target: the sender of messages, fed with reports. A message ends once, it is complete only if a report says so, and no report
 * breaks the counts of chunks under way or makes it send without an end.
 */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";

import { Address, type Endpoint } from "../../src/core/address/address.js";
import type { Outbound } from "../../src/core/driver/outbound.js";
import type { Job, Outcome, SenderHost } from "../../src/message/job.js";
import { Outgoing } from "../../src/message/outgoing.js";
import { Sender } from "../../src/message/sender.js";
import { chunksOf, frameFlag, frameKind, newFrame, readFrame } from "../../src/wire/message-frame.js";
import { newReport, readReport } from "../../src/wire/message-report.js";
import { ManualClock } from "./clock.js";
import type { Step } from "./steps.js";

const size = 100;
const windowChunks = 64;
const giveUpMs = 5000;
/** The messages that are sent: bytes, flags and parities of each. The corpus has reports about them. */
export const sent: readonly { readonly bytes: number; readonly flags: number; readonly parity: number }[] = [
  { bytes: 0, flags: 0, parity: 0 },
  { bytes: 50, flags: 0, parity: 0 },
  { bytes: 3950, flags: 0, parity: 2 },
  { bytes: 20_000, flags: frameFlag.ordered, parity: 0 },
  { bytes: 2500, flags: frameFlag.fleeting, parity: 3 },
];

export function reportAll(steps: readonly Step[]): void {
  const run = new Reporting();
  for (const step of steps) run.step(step);
  run.end();
}

/** A sender that sends the messages of `sent`. */
export class Reporting implements SenderHost {
  readonly clock = new ManualClock();
  /** The datagrams that were sent. */
  readonly datagrams: Uint8Array[] = [];
  readonly #jobs: Job[] = [];
  readonly #outcomes: (Outcome | undefined)[] = [];
  /** Whether a report said that the message is complete. */
  readonly #completed: boolean[] = [];
  readonly #sender = new Sender(this, new Address("10.0.0.1", 9000) as Endpoint, {
    windowChunks,
    chunkBytes: size,
    rateBps: Infinity,
    giveUpMs,
  });
  #reports = 0;

  constructor() {
    for (const [number, { bytes, flags, parity }] of sent.entries()) {
      const data = Buffer.alloc(bytes, `message ${number}`);
      const frame = {
        ...newFrame(),
        kind: frameKind.data,
        flags,
        id: number,
        size,
        length: bytes,
        crc: crc32(data),
      };
      const divide = (chunkBytes: number): Outgoing =>
        new Outgoing({ ...frame, size: chunkBytes }, data, parity);
      const job: Job = {
        outgoing: divide(size),
        divide,
        deadline: Infinity,
        isSettled: false,
        ended: (outcome) => {
          assert.equal(this.#outcomes[number], undefined, `message ${number} ended twice`);
          this.#outcomes[number] = outcome;
        },
      };
      this.#jobs.push(job);
      this.#sender.add(job);
    }
  }

  step({ waitMs, data }: Step): void {
    this.clock.advance(waitMs);
    const frame = newFrame();
    if (readFrame(data, frame, crc32) !== undefined || frame.kind !== frameKind.report) return;
    const report = newReport();
    if (!readReport(data, frame, report)) return;
    this.#reports++;
    if (report.credit === 0) {
      this.#sender.refused(frame, () => new Error(`refused: ${report.limit}`));
    } else {
      const isKnown = this.#sender.reported(frame, report) !== undefined;
      const isComplete = frame.index === chunksOf(frame.length, frame.size);
      if (isKnown && isComplete) this.#completed[frame.id] = true;
    }
    this.#check();
  }

  end(): void {
    // After a long round trip, the rest of a fleeting message takes minutes.
    this.clock.advance(1_000_000);
    this.#check();
    for (const [number, outcome] of this.#outcomes.entries()) {
      assert(outcome !== undefined, `message ${number} never ends`);
      if (outcome === "complete") assert(this.#completed[number], `message ${number} is not complete`);
    }
    assert.equal(this.#outcomes.length, sent.length);
    assert(this.#sender.isIdle);
    assert.equal(this.#sender.congestion.inFlight, 0, "chunks are under way for ever");
    assert.equal(this.clock.timers, 0, "timers run for nothing");
  }

  // For the sender.

  readonly copyPieces = undefined;

  transmit(batch: Outbound): Promise<unknown> {
    for (let index = 0; index < batch.count; index++) {
      const payload = batch.view(index);
      assert.equal(readFrame(payload, newFrame(), crc32), undefined, "a datagram that is sent is a frame");
      this.datagrams.push(Uint8Array.from(payload));
    }
    batch.release();
    // A promise that calls back at once, so that the target needs no turns of the event loop.
    const left = { then: (done: () => void): void => done() };
    return left as unknown as Promise<unknown>;
  }

  mayReply(): boolean {
    return true;
  }

  ask(): void {
    assert.fail("no chunk is above 1,200 bytes");
  }

  blackHole(): void {
    assert.fail("no chunk is above 1,200 bytes");
  }

  #check(): void {
    const { congestion } = this.#sender;
    let underWay = 0;
    let chunks = 0;
    for (const [number, { outgoing }] of this.#jobs.entries()) {
      const { inFlight, sentChunks, ackedChunks } = outgoing;
      chunks += outgoing.chunks + outgoing.parity;
      assert(
        inFlight >= 0 && inFlight <= sentChunks,
        `${inFlight} chunks of message ${number} are under way`,
      );
      assert(ackedChunks >= 0 && ackedChunks <= sentChunks, `${ackedChunks} chunks of message ${number}`);
      underWay += inFlight;
    }
    assert.equal(congestion.inFlight, underWay, "the chunks under way are not those of the messages");
    assert(congestion.window >= 1 && congestion.window <= windowChunks, `a window of ${congestion.window}`);
    assert(congestion.lossRatio >= 0 && congestion.lossRatio <= 1, `a loss of ${congestion.lossRatio}`);
    assert(congestion.srttMs === undefined || congestion.srttMs >= 0);
    const most = 4 * chunks + 4 * windowChunks * (this.#reports + 100);
    assert(this.datagrams.length <= most, `${this.datagrams.length} datagrams`);
  }
}
