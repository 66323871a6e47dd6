/**
 * What is watched: sockets (`socket-source.ts`), capture files (`file-source.ts`, `file-side.ts`) and the two sides of a relay that runs
 * (`relay-source.ts`) or wrote a file (`relay-file.ts`), with what it did (`relay-counts.ts`). A source tells the model (`../model`) what
 * happens. `source-losses.ts` makes sentences of losses.
 */

import type { RecordOptions, Recording } from "../../capture/index.js";
import type { Address, Socket } from "../../index.js";
import type { RelayState } from "../protocol.js";

/** A source of a model. Its position in the list of the server is its number in the model. */
export interface WatchedSource {
  /** Sends a datagram, if pages can send from this source. */
  readonly send: ((data: Buffer, to: Address) => Promise<number>) | undefined;
  /** The first address of a name, with the port 0. A source that lacks it sends to IP addresses only. */
  readonly resolve?: (host: string) => Promise<Address>;
  /** The socket, if it can be recorded. */
  readonly socket: Socket | undefined;
  /** Records what is no socket. */
  readonly record?: (file: string, options: RecordOptions) => Recording;
  /** What a relay did so far. */
  readonly relay?: (() => RelayState) | undefined;
  /** Moves in a file, and goes on at a speed; 0 is paused. */
  readonly seek?: (positionMs: number, speed: number) => Promise<void>;
  /** Reports what was lost since the last call. Called once a second. */
  report(nowMs: number): void;
  /** Ends the watching. */
  close(): void;
}
