/** Refuses to pass a socket to another process, with an error that says what to do instead. */

import { createSocket } from "../kernel/dgram/original.js";
import { wrong } from "../dgram/errors.js";

/**
 * Makes `send(message, socket)` of a child process, of a worker or of `process` throw `ERR_INVALID_HANDLE_TYPE` for sockets of a class.
 *
 * Node reads `socket[kStateSymbol].handle` of an instance of `dgram.Socket` (lib/internal/child_process.js, `handleConversion`), and
 * the symbol is its own. Without that property, the send fails with an error about `undefined`.
 *
 * @param prototype of the class that replaces `dgram.Socket`.
 */
export function refuseToPass(prototype: object): void {
  const own = createSocket("udp4");
  const key = Object.getOwnPropertySymbols(own).find(({ description }) => description === "state symbol");
  own.close();
  if (key === undefined) return;
  const state = Object.defineProperty({}, "handle", {
    get: () => {
      throw wrong.handleType();
    },
  });
  Object.defineProperty(prototype, key, { value: state });
}
