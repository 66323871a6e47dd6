/// <reference types="node" preserve="true" />
/** UDP sockets: the calls of BSD and Python for TypeScript on Node.js. */

import type { Family } from "./core/address.js";
import type { SocketOptions } from "./core/arguments.js";
import { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM } from "./core/constants.js";
import { OSError, wrongType } from "./core/errors.js";
import { Socket } from "./core/socket.js";
import type { Totals } from "./core/stats.js";
import { kernelStack } from "./kernel/choice.js";

export { Address, type AddressLike, type Endpoint, type Family } from "./core/address.js";
export type { MessageOptions, OutgoingDatagram, SocketOptions, WaitOptions } from "./core/arguments.js";
export * from "./core/constants.js";
export type { Datagram } from "./core/datagram.js";
export type { Capabilities, Capability, Feature } from "./core/capabilities.js";
export type { Clock } from "./core/driver.js";
export { OSError, type OSErrorDetails, TimeoutError } from "./core/errors.js";
export type { Loss, Packet, PathMtuChange, SocketEvents, Unreachable } from "./core/events.js";
export type { Data, DataPiece } from "./core/payload.js";
export type { BufferSize, Stats, SystemCalls, Totals, Traffic } from "./core/stats.js";
export { TruncatedError } from "./core/truncated-error.js";
export type { Socket };

/**
 * Opens a UDP socket. `socket(2)`.
 *
 * @param family `AF_INET` or `AF_INET6`. @default AF_INET
 * @param type `SOCK_DGRAM`. @default SOCK_DGRAM
 * @throws `OSError` `EAFNOSUPPORT`, `EPROTONOSUPPORT` for other types, `EMFILE` when the process has no descriptor left,
 *   `ENOTSUP` when `DATAGRAM_DRIVER` names a driver that is not to be had, `EINVAL` for another word in it; `TypeError`, `RangeError` for bad options.
 */
export function socket(
  family: Family = AF_INET,
  type: typeof SOCK_DGRAM = SOCK_DGRAM,
  options: SocketOptions = {},
): Socket {
  if (typeof family !== "number") throw wrongType("family", "a number", family);
  if (typeof type !== "number") throw wrongType("type", "a number", type);
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
  if (family !== AF_INET && family !== AF_INET6) {
    throw new OSError("EAFNOSUPPORT", { syscall: "socket", text: "the family must be AF_INET or AF_INET6" });
  }
  if (type !== SOCK_DGRAM) {
    throw new OSError("EPROTONOSUPPORT", {
      syscall: "socket",
      text:
        (type as number) === SOCK_STREAM
          ? "SOCK_STREAM is TCP, which node:net has: this package is UDP"
          : "the type must be SOCK_DGRAM",
    });
  }
  return new Socket(kernelStack(), family, options);
}

/**
 * What became of the datagrams of all sockets of this thread, closed ones included, by cause.
 *
 * @throws `OSError` `ENOTSUP`, `EINVAL` where `DATAGRAM_DRIVER` names a driver that is not to be had.
 */
export function stats(): Totals {
  return kernelStack().ledger.totals();
}
