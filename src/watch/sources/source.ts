/**
 * What is watched: sockets (`socket-source.ts`), the two sides of a relay (`relay-source.ts`), capture files (`file-source.ts`) and the
 * whole host (`host-source.ts`). A source tells the model (`../model`) what happens. `source-losses.ts` makes sentences of losses.
 */

import type { Socket } from "../../index.js";

/** A source of a model. Its position in the list of the server is its number in the model. */
export interface WatchedSource {
  /** Sends a datagram, if pages can send from this source. */
  readonly send: ((data: Buffer, to: string) => Promise<number>) | undefined;
  /** The socket, if it can be recorded. */
  readonly socket: Socket | undefined;
  /** Reports what was lost since the last call. Called once a second. */
  report(nowMs: number): void;
  /** Ends the watching. */
  close(): void;
}
