/** The socket and the source address of the answers of `datagram listen`. */

import type { Buffer } from "node:buffer";

import { isWildcard } from "../core/address/address.js";
import { type Datagram, SOCK_DGRAM, type Socket, socket } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import type { RouteOptions } from "./route-options.js";
import { applyOptions, sourceFor } from "./sender-sockets.js";

/** Sends answers to datagrams. */
export interface ReplySocket {
  /** The socket that sends the answers. */
  readonly socket: Socket;
  reply(datagram: Datagram, data: Buffer): Promise<number>;
}

/**
 * Opens what sends the answers of a listener. If `--source` has a port, the answers are sent by another socket.
 *
 * @throws `Failure` if `--source` is an address without a port, and the driver has no packet info.
 */
export async function openReplySocket(s: Socket, options: RouteOptions): Promise<ReplySocket> {
  const { source } = options;
  if (source === undefined) return { socket: s, reply: (datagram, data) => datagram.reply(data) };
  const at = await sourceFor(source, s.family);
  if (at.port > 0) {
    const other = socket(s.family, SOCK_DGRAM);
    try {
      applyOptions(other, options);
      await other.bind(at);
    } catch (error) {
      await other.close();
      throw error;
    }
    return { socket: other, reply: (datagram, data) => other.sendto(data, datagram.source) };
  }
  if (isWildcard(at.host)) return { socket: s, reply: (datagram, data) => datagram.reply(data) };
  if (!s.capabilities.packetInfo.available) {
    const why = `the ${s.driver} driver answers from ${at.host} only on another port, such as ${at.withPort(5000)}`;
    throw new Failure(exitCodes.error, `--source ${at.host}: ${why}: the native driver can (ENOTSUP)`);
  }
  const reply = ({ source: address }: Datagram, data: Buffer): Promise<number> =>
    s.sendmsg({ data, address, source: at.host });
  return { socket: s, reply };
}
