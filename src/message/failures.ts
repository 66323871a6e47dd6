/** The errors of messages and requests that fail. Each says how much had arrived. */

import type { OSError } from "../core/errors/errors.js";
import { type Frame, chunksOf } from "../wire/message-frame.js";
import { MessageError, type MessageErrorDetails } from "./message.js";
import type { Peer } from "./peers.js";
import { causeText } from "./unreachable.js";

/** How many chunks a message has, and how many of them the peer has reported. */
export type MessageCounts = Pick<MessageErrorDetails, "chunks" | "arrivedChunks">;

/** A text such as `12 of 55 chunks of 65536 bytes arrived`. */
export function arrivedText(arrivedChunks: number, chunks: number, bytes: number): string {
  return `${arrivedChunks} of ${chunks} chunks of ${bytes} bytes arrived`;
}

/**
 * The error of a call whose time is over. If nothing came from the peer since something said that it cannot be reached, that is the
 * reason, as for a TCP connection that ends (`sk_err_soft` in Linux).
 *
 * @param reason if nothing said so.
 */
export function timeoutError(
  { address: { host: address, port }, sender, lastSeen = -Infinity }: Peer,
  syscall: string,
  counts: MessageCounts,
  text: string,
  reason?: string,
): MessageError {
  const obstacle = sender?.obstacle;
  const known = obstacle && obstacle.at >= lastSeen ? obstacle : undefined;
  const why = known?.text ?? reason;
  return new MessageError(known?.code ?? "ETIMEDOUT", {
    syscall,
    address,
    port,
    text: why === undefined ? text : `${text}: ${why}`,
    ...counts,
  });
}

/** The error of a call that another error ended. */
export function causedError(
  cause: OSError,
  { address: { host: address, port } }: Peer,
  syscall: string,
  counts: MessageCounts,
  arrived: string,
): MessageError {
  const { code, limit } = cause;
  const why = causeText(cause);
  const text = code === "ECANCELED" ? `${why}: ${arrived}` : `${arrived}: ${why}`;
  return new MessageError(code, { syscall, address, port, limit, text, ...counts, cause });
}

/** Why nothing came from a peer, as far as its silence tells: it drops requests while it has no handler. */
export function reasonOfSilence(syscall: string): string {
  const reason = "lost, or nobody reads messages there";
  return syscall === "request" ? `${reason}, or no handler is set there with serve()` : reason;
}

/** The error of a message of which nothing is received. @param limit in bytes, if the message is too long */
export function refusedError(
  code: string,
  { address: { host: address, port } }: Peer,
  syscall: string,
  { length, size }: Pick<Frame, "length" | "size">,
  text: string,
  limit?: number,
): MessageError {
  const chunks = chunksOf(length, size);
  return new MessageError(code, { syscall, address, port, limit, text, chunks, arrivedChunks: 0 });
}
