import type { MessagesStats } from "../message/message.js";
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

/** What happened to the answers that requesters gave to this gateway. `requests` is always `sent + notSent + unknown + pending`. */
export interface AnswerStats {
  /** Answers that this gateway was asked to send. Other gateways of the port were asked for others. */
  readonly requests: number;
  /** Answers that left, from here or from the gateway that saw the peer last. UDP does not tell whether they arrived. */
  readonly sent: number;
  /** Answers that were not sent. */
  readonly notSent: number;
  /** The answers that were not sent, by code. */
  readonly notSentBy: Readonly<Record<string, number>>;
  /** Answers that another gateway should have sent, and it did not say whether it did. */
  readonly unknown: number;
  /** Answers that are not settled yet. */
  readonly pending: number;
  /** The part of `sent` that another gateway sent. */
  readonly byOthers: number;
  /** The part of `sent` about whose peer an ICMP error came meanwhile. */
  readonly unreachable: number;
  /** Peers that can be answered from here now. */
  readonly peers: number;
  /** Peers that were forgotten before `seenWithinMs` was over, because there were more than `maxPeers`. */
  readonly forgotten: number;
  /** Messages of strangers that could not be read. They are in no other count. */
  readonly unreadable: number;
}
