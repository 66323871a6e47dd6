import type { Endpoint } from "../core/address/address.js";
import type { Datagram } from "../core/receive/datagram.js";
import type { EncodedMessage } from "./message-encoder.js";

/** Several datagrams that are stored together: a message for the server, or blocks of a file. */
export interface Bundle extends EncodedMessage {
  /** The number of its first datagram. */
  readonly number: number;
  /** How many datagrams it has. */
  readonly count: number;
}

/** Puts datagrams together. A bundle that is not complete is open. */
export interface Bundler {
  /** Bytes of all open bundles. */
  readonly openBytes: number;
  /** Takes the limit of the server: bytes of a message, headers included. */
  limit?(maxMessageBytes: number): void;
  /** The token of a peer. */
  tokenOf(peer: Endpoint): string;
  /**
   * Adds a datagram to an open bundle. Its memory must not change until `finish()`.
   *
   * @param number of the datagram. No two bundles begin with the same one.
   * @returns a bundle that is complete without it.
   */
  append(datagram: Datagram, number: number): Bundle | undefined;
  /** Returns a copy of a datagram that must wait. */
  encode(datagram: Datagram): EncodedMessage;
  /** The same as `append` for what `encode` has returned. */
  appendWaiting(waiting: EncodedMessage, number: number): Bundle | undefined;
  /** Completes all open bundles. */
  finish(): Bundle[];
}
