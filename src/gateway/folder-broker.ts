import { Buffer } from "node:buffer";

import type { Clock } from "../core/driver/driver.js";
import type { Broker, BrokerEvents } from "./broker.js";
import { type FolderFiles, type FolderStats, reasonOf } from "./folder-files.js";
import type { EncodedMessage } from "./message-encoder.js";

/** Milliseconds that datagrams wait for others, so that the disk is asked to keep many at once. */
const flushMs = 250;
/** So many bytes do not wait. */
const flushBytes = 512 << 10;
/** Milliseconds after a failure before something is written again. */
const retryMs = 1000;

interface Pending {
  readonly number: number;
  readonly bytes: Buffer;
}

interface Batch {
  readonly numbers: readonly number[];
  readonly blocks: Buffer;
}

/** Stores packets in the capture files of a folder. A packet is stored once the disk has it (`fdatasync`). */
export class FolderBroker implements Broker {
  readonly maxMessageBytes: number = Infinity;
  readonly #files: FolderFiles;
  readonly #clock: Clock;
  readonly #release: (() => void) | undefined;
  #events: BrokerEvents | undefined;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #cancelFlush: (() => void) | undefined;
  /** Ends when nothing is written. */
  #writing: Promise<void> | undefined;
  #failure: { readonly reason: string; readonly untilMs: number } | undefined;

  constructor(files: FolderFiles, clock: Clock) {
    this.#files = files;
    this.#clock = clock;
    this.#release = clock.keepAlive?.();
  }

  listen(events: BrokerEvents): void {
    this.#events = events;
  }

  publish(number: number, { bytes }: EncodedMessage): void {
    this.#pending.push({ number, bytes });
    this.#pendingBytes += bytes.length;
    this.#schedule();
  }

  /** A file never asks for anything again: what is written is stored, or refused. */
  probe(): void {
    // Without an answer, the outbox sends nothing again.
  }

  files(): FolderStats {
    return this.#files.stats();
  }

  async close(): Promise<void> {
    this.#events = undefined;
    this.#cancelFlush?.();
    await this.#writing;
    this.#files.close();
    this.#release?.();
  }

  /** Writes what waits: at once if it is enough, else later. */
  #schedule(): void {
    if (this.#writing || !this.#events || this.#pending.length === 0) return;
    if (this.#pendingBytes < flushBytes) {
      this.#cancelFlush ??= this.#clock.after(flushMs, () => this.#start());
    } else this.#start();
  }

  #start(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      this.#schedule();
    });
  }

  /** Writes everything that waits now, and more as long as there is much. */
  async #writeAll(): Promise<void> {
    const last = this.#pending.at(-1)?.number ?? 0;
    do {
      const { numbers, blocks } = this.#take();
      let reason: string | undefined;
      if (this.#failure && this.#clock.now() < this.#failure.untilMs) {
        ({ reason } = this.#failure);
        // The outbox is never called from its own call of publish().
        await Promise.resolve();
      } else reason = await this.#write(blocks);
      for (const number of numbers) {
        if (reason === undefined) this.#events?.stored(number, false);
        else this.#events?.refused(number, reason);
      }
    } while (
      this.#events &&
      (this.#pendingBytes >= flushBytes || (this.#pending[0]?.number ?? Infinity) <= last)
    );
  }

  /** The datagrams that are written next, whose blocks follow each other in memory: nothing has to be copied. */
  #take(): Batch {
    const { maxBlocksBytes } = this.#files;
    const { buffer, byteOffset } = (this.#pending[0] as Pending).bytes;
    let bytes = 0;
    let count = 0;
    for (const { bytes: block } of this.#pending) {
      const follows = block.buffer === buffer && block.byteOffset === byteOffset + bytes;
      if (count > 0 && (!follows || bytes + block.length > maxBlocksBytes)) break;
      bytes += block.length;
      count++;
    }
    const numbers = this.#pending.splice(0, count).map(({ number }) => number);
    this.#pendingBytes -= bytes;
    return { numbers, blocks: Buffer.from(buffer, byteOffset, bytes) };
  }

  /** @returns why it failed. */
  async #write(blocks: Buffer): Promise<string | undefined> {
    try {
      await this.#files.append(blocks);
      this.#failure = undefined;
      return undefined;
    } catch (error) {
      const reason = reasonOf(error);
      this.#failure = { reason, untilMs: this.#clock.now() + retryMs };
      return reason;
    }
  }
}
