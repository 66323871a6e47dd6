/** The `createSocket` of Node, which the driver keeps if `datagram/register` replaces it for the program. */

import dgram from "node:dgram";
import { syncBuiltinESMExports } from "node:module";

/** Node's own `createSocket`. */
export const createSocket: typeof dgram.createSocket = dgram.createSocket;

/** Replaces `createSocket` and `Socket` of `node:dgram` for every module of this thread, CommonJS and ESM. */
export function replaceNodeDgram(by: Pick<typeof dgram, "createSocket" | "Socket">): void {
  Object.assign(dgram, { createSocket: by.createSocket, Socket: by.Socket });
  syncBuiltinESMExports();
}
