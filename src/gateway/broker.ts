import type { Datagram } from "../core/receive/datagram.js";
import type { FolderStats } from "./folder-files.js";
import type { AnswerStats } from "./gateway-stats.js";
import type { EncodedMessage } from "./message-encoder.js";

/** The connection of a gateway to the server or the folder that stores its messages. Tests have one in memory. */
export interface Broker {
  /** The largest number of bytes of a message, headers included. */
  readonly maxMessageBytes: number;
  /** Begins to report events, with messages that are sent from now on. */
  listen(events: BrokerEvents): void;
  /**
   * Sends a message, and returns at once. Its memory must not change until an event settles the message: it may be sent later.
   * While there is no connection, the message may be lost.
   *
   * @param number names the message in the events.
   */
  publish(number: number, message: EncodedMessage): void;
  /** Calls `answered` when the server has read everything that was published before; never if the connection is lost first. */
  probe(answered: () => void): void;
  /** The counts of files. A server has none. */
  files?(): FolderStats;
  /** Closes the connection. No event follows. */
  close(): Promise<void>;
}

/** What a broker reports. It may report a message twice, or one that is settled already. */
export interface BrokerEvents {
  /** The stream has the message. @param isDuplicate whether it had the message before this send. */
  stored(number: number, isDuplicate: boolean): void;
  /** The server or the stream does not take the message. */
  refused(number: number, reason: string): void;
  /** No stream takes the subject now. A stream that is starting can take it later. */
  noStream(number: number): void;
  /** The server does not let this user publish to the subject. */
  forbidden(subject: string): void;
  /** The connection was lost, or is there again. */
  connected(isConnected: boolean): void;
  /** The connection is closed and does not come back. */
  failed(error: Error): void;
}

/** Takes answers to peers from the server, and sends them. */
export interface AnswerTaker {
  /** Begins to take answers. @param fail is called if the server does not let the gateway subscribe. */
  start(fail: (error: Error) => void): void;
  /** Remembers where a peer is. @param token names the peer. */
  see(token: string, datagram: Datagram, nowMs: number): void;
  /** The connection to the server is there again. */
  reconnected(): void;
  /** Forgets peers whose time is over. To be called regularly. */
  tick(): void;
  /** Takes no more answers, and settles those that were taken. */
  close(): Promise<void>;
  stats(): AnswerStats;
}
