/** The entries of a send queue: batches, borrowed datagrams, barriers, and datagrams whose name has no address yet. */

import type { Ancillary } from "../driver/ancillary.js";
import type { Borrowed, Completion, Outbound } from "../driver/outbound.js";

/** The datagrams of one `sendMany`. Their payloads are borrowed, and are copied into batches as the driver takes them. */
export interface Bulk {
  readonly borrowed: Borrowed;
  readonly owner: Completion;
  /** Index of the next datagram to copy. */
  next: number;
}

/** The sends between two barriers, and the barrier that ends them. */
export interface Epoch {
  readonly queue: (Outbound | Bulk)[];
  /** By host name, the datagrams that wait for its address. */
  names?: Map<string, Unresolved[]>;
  barrier?: Barrier | undefined;
}

/** A call such as `bind` or `connect`. Sends that come after it wait until it is done. */
export interface Barrier {
  /** Settles the call; never rejects. */
  readonly run: () => Promise<void>;
  /** Fails the call with `ECANCELED`, if it is not settled yet. */
  readonly cancel: () => void;
}

/** A datagram that waits for the address of its name. */
export interface Unresolved {
  readonly payload: Uint8Array;
  readonly port: number;
  readonly owner: Completion;
  readonly tag: number;
  readonly ancillary: Ancillary | undefined;
}

/** Removes the datagrams that wait for a name, and returns them. */
export function takeUnresolved(names: Epoch["names"], name: string): readonly Unresolved[] {
  const waiting = names?.get(name) ?? [];
  names?.delete(name);
  return waiting;
}
