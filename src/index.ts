/// <reference types="node" preserve="true" />
/**
 * UDP sockets: the calls of BSD and Python for TypeScript on Node.js.
 *
 * @module datagram
 */

import type { Family } from "./core/address/address.js";
import type { SocketOptions } from "./core/socket/arguments.js";
export type { OutgoingDatagram } from "./core/socket/outgoing-arguments.js";
import { AF_INET, SOCK_DGRAM } from "./core/constants.js";
import { openSocket } from "./core/socket/opening.js";
import type { Socket } from "./core/socket/socket.js";
import type { Totals } from "./core/ledger/ledger.js";
import { kernelStack } from "./kernel/choice.js";
import { hostCounts } from "./kernel/host-counts.js";

export { Address, type AddressLike, type Endpoint, type Family } from "./core/address/address.js";
export type { BatchOptions, MessageOptions, SocketOptions, WaitOptions } from "./core/socket/arguments.js";
export * from "./core/constants.js";
export type { Datagram } from "./core/receive/datagram.js";
export type { Capabilities, Capability, Feature } from "./core/capabilities.js";
export type { Clock } from "./core/driver/driver.js";
export { OSError, type OSErrorDetails, TimeoutError } from "./core/errors/errors.js";
export type { Packet, SocketEvents } from "./core/socket/events.js";
export type { Loss, PathMtuChange, Unreachable, Warning } from "./core/ledger/reports.js";
export type { Data, DataPiece } from "./core/driver/payload.js";
export type {
  BufferSize,
  HostCounter,
  HostCounts,
  Stats,
  SystemCalls,
  Totals,
  Traffic,
} from "./core/ledger/ledger.js";
export { TruncatedError } from "./core/receive/datagram.js";
export { type SystemdOptions, type SystemdSocket, socketsFromSystemd } from "./kernel/systemd.js";
export type { Socket };

/**
 * Opens a UDP socket. `socket(2)`.
 *
 * @param family `AF_INET` or `AF_INET6`. @default AF_INET
 * @param type `SOCK_DGRAM`. @default SOCK_DGRAM
 * @throws `OSError`: `EAFNOSUPPORT`; `EPROTONOSUPPORT` for other types; `EMFILE` if the process has no descriptor left;
 *   `EBADF`, `ENOTSOCK`, `EINVAL` or `EBUSY` for an `fd` that cannot be adopted; `ENOTSUP` if `EINVAL` names a
 *   driver that is not available, and `EINVAL` if it names none. `TypeError` and `RangeError` for wrong options.
 */
export function socket(
  family: Family = AF_INET,
  type: typeof SOCK_DGRAM = SOCK_DGRAM,
  options: SocketOptions = {},
): Socket {
  return openSocket(kernelStack, family, type, options);
}

/**
 * Returns counts of the datagrams of all sockets of this thread, also of closed ones, by what happened to them, and what
 * the host has counted since the first of these sockets was opened.
 *
 * @throws `OSError`: `ENOTSUP` if `DATAGRAM_DRIVER` names a driver that is not available, `EINVAL` if it names none.
 */
export function stats(): Totals {
  return Object.freeze({ ...kernelStack().ledger.totals(), host: hostCounts() });
}
