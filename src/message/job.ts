import type { Endpoint } from "../core/address/address.js";
import type { Ancillary } from "../core/driver/ancillary.js";
import type { Clock, CopyPieces } from "../core/driver/driver.js";
import type { Outbound } from "../core/driver/outbound.js";
import type { Outgoing } from "./outgoing.js";

/** What a sender needs of its owner. */
export interface SenderHost {
  readonly clock: Clock;
  /** Copies pieces of memory in one call, if the driver has a way. */
  readonly copyPieces: CopyPieces | undefined;
  /** Sends the datagrams of a batch to one address. When the promise has resolved, the batch is empty, and can be used again. */
  transmit(batch: Outbound, to: Endpoint, route: Ancillary | undefined): Promise<unknown>;
  /** Whether a reply of so many bytes may go to the peer now. If not, the host asks the peer to prove its address. */
  mayReply(bytes: number): boolean;
  /** Sends a small datagram that the peer answers: then the sender's `answered` is called. */
  ask(): void;
  /** Large chunks vanish on the path, and small datagrams do not. */
  blackHole(): void;
}

/** The limits of a sender. */
export interface SenderLimits {
  /** The largest window, in chunks. */
  readonly windowChunks: number;
  /** Bytes of each chunk that the program wants. */
  readonly chunkBytes: number;
  /** Bits per second, with headers; `Infinity` for no limit. */
  readonly rateBps: number;
  /** Milliseconds without progress after which a message fails. */
  readonly giveUpMs: number;
}

/** How the sending of a message ended. */
export type Outcome = "complete" | "sent" | "superseded" | "expired" | "silent" | Error;

/** A message to send, with its deadline. */
export interface Job {
  outgoing: Outgoing;
  /** On the clock; `Infinity` if there is none. */
  readonly deadline: number;
  /** The same message in chunks of another size, without an id. */
  readonly divide: (size: number) => Outgoing;
  /** Whether it may be sent now; a message of an ordered channel may have to wait for the first one. */
  readonly mayStart?: () => boolean;
  /** Called before its first chunk leaves: gives it its id. */
  readonly started?: () => void;
  readonly ended: (outcome: Outcome) => void;
  isSettled: boolean;
}
