import type { MessagesStats } from "../message/message.js";
import type { AnswerStats } from "./answers.js";
import type { FolderStats } from "./folder-files.js";

/** What happened to the datagrams of a gateway. `received` is always `stored + shed + refused + inFlight`. */
export interface GatewayStats {
  /** Datagrams that the socket returned. */
  readonly received: number;
  /** Datagrams that the stream has acknowledged. */
  readonly stored: number;
  /** Datagrams that were dropped because too many waited. They were never sent to the server. */
  readonly shed: number;
  /** Datagrams that the server or the stream does not take. */
  readonly refused: number;
  /** The refused datagrams by reason. */
  readonly refusedBy: Readonly<Record<string, number>>;
  /** Datagrams that wait, and datagrams that were sent and are not acknowledged. At the end, none of them is known to be stored. */
  readonly inFlight: number;
  /** The part of `inFlight` that has not been sent to the server. At the end, it never will be. */
  readonly waiting: number;
  /** How often a datagram was sent to the server again. */
  readonly resent: number;
  /** The part of `resent` that was sent after the stream forgets ids: such a message can be stored twice. */
  readonly resentLate: number;
  /** Datagrams whose acknowledgement says that the stream had the message already. */
  readonly duplicates: number;
  /** Datagrams that the kernel dropped, at least; they are not in `received`. `undefined` if the driver cannot know. */
  readonly droppedKernel: number | undefined;
  /** With `messages: true`, the counts of `datagram/message`; `undefined` otherwise. */
  readonly messages: MessagesStats | undefined;
  /** The counts of answers to peers; `undefined` if answers are switched off. */
  readonly answers: AnswerStats | undefined;
  /** The counts of files; `undefined` unless datagrams are stored in a folder. */
  readonly folder: FolderStats | undefined;
}
