import type { Ancillary } from "../core/driver/ancillary.js";
import type { Clock, TakeChunks } from "../core/driver/driver.js";
import type { Frame } from "../wire/message-frame.js";
import type { ConfirmPolicy } from "./options.js";
import type { LostMessage, Message } from "./message.js";
import type { Peer, Peers } from "./peers.js";
import type { SpareMemory } from "./spare-memory.js";

/** The limits of a receiver. */
export interface ReceiverLimits {
  readonly maxPartials: number;
  readonly maxSourceBytes: number;
  readonly maxBytes: number;
  readonly maxUnreadBytes: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly confirm: ConfirmPolicy;
  readonly confirmMs: number;
}

/** A message that is complete: what the owner needs besides `Message`. */
export interface Arrived {
  readonly message: Message;
  readonly peer: Peer;
  readonly kind: number;
  readonly flags: number;
  readonly id: number;
  readonly crc: number;
}

/** What a receiver needs of its owner. */
export interface ReceiverHost {
  readonly clock: Clock;
  readonly peers: Peers;
  /** Bytes of messages that arrived and that no call has read. */
  readonly unreadBytes: number;
  /** Chunks that the receive buffer holds. */
  readonly bufferChunks: number;
  /** As that of the driver. Without it, each chunk is taken alone. */
  readonly takeChunks: TakeChunks | undefined;
  /** Memory of messages that the program does not use any more, if it may be used again. */
  readonly spare: SpareMemory | undefined;
  /** Sends one datagram, if the address may get so many bytes. */
  answer(peer: Peer, bytes: Uint8Array, route: Ancillary | undefined): void;
  arrived(arrived: Arrived): void;
  /** A request that was delivered before came again. */
  again(peer: Peer, frame: Readonly<Frame>): void;
  lost(message: LostMessage): void;
}
