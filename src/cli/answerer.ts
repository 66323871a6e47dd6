/** From where `datagram listen` answers. */

import type { Buffer } from "node:buffer";

import { isWildcard } from "../core/address/address.js";
import { type Datagram, SOCK_DGRAM, type Socket, socket } from "../index.js";
import { Failure, exitCodes } from "./exit.js";
import type { RouteOptions } from "./route-options.js";
import { applyOptions, sourceFor } from "./sockets.js";

/** What answers datagrams. */
export interface Answerer {
  /** The socket that answers leave by. */
  readonly socket: Socket;
  answer(datagram: Datagram, data: Buffer): Promise<number>;
}

/**
 * Answers of a listener, from `--source` where that is given: on a port of its own they leave by another socket.
 *
 * @throws `Failure` for an address alone, where the driver has no packet info.
 */
export async function answererFor(s: Socket, options: RouteOptions): Promise<Answerer> {
  const { source } = options;
  if (source === undefined) return { socket: s, answer: (datagram, data) => datagram.reply(data) };
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
    return { socket: other, answer: (datagram, data) => other.sendto(data, datagram.source) };
  }
  if (isWildcard(at.host)) return { socket: s, answer: (datagram, data) => datagram.reply(data) };
  if (!s.capabilities.packetInfo.available) {
    const why = `the ${s.driver} driver answers from ${at.host} only on another port, such as ${at.withPort(5000)}`;
    throw new Failure(exitCodes.error, `--source ${at.host}: ${why}: the native driver can (ENOTSUP)`);
  }
  const answer = ({ source: address }: Datagram, data: Buffer): Promise<number> =>
    s.sendmsg({ data, address, source: at.host });
  return { socket: s, answer };
}
