import { Buffer } from "node:buffer";

import { type Address, type AddressLike, type Endpoint, destinationOf } from "../../core/address/address.js";
import { type Data, toBytes } from "../../core/driver/payload.js";
import { OSError, outOfRange, wrongType } from "../../core/errors/errors.js";
import { INADDR_BROADCAST } from "../../core/constants.js";
import { isMulticast, parseLiteral } from "../../core/ip.js";
import { destinationFor } from "../../core/socket/arguments.js";
import { engineOf } from "../../core/socket/settings.js";
import { Socket } from "../../core/socket/socket.js";

/** The largest time that a call takes, in milliseconds: a day. */
export const longestMs: number = 24 * 60 * 60 * 1000;

/** @throws `TypeError` if the first argument of a call is no socket, or its options are no object. */
export function checkSocket(socket: unknown, options: unknown): void {
  if (!(socket instanceof Socket)) throw wrongType("socket", "a Socket", socket);
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
}

export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType("signal", "an AbortSignal", signal);
}

export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") throw wrongType(name, "a function", value);
}

/** Returns `ms`. @throws `TypeError`, `RangeError` if it is not a number above 0 and at most `longestMs`. */
export function checkMs(name: string, ms: unknown): number {
  if (typeof ms !== "number") throw wrongType(name, "a number of milliseconds", ms);
  if (!(ms > 0 && ms <= longestMs)) throw outOfRange(name, `above 0 and at most ${longestMs}`, ms);
  return ms;
}

/** Returns a copy of a payload, since it may be sent again after the program has changed it. */
export function copyOf(data: Data): Buffer {
  return Buffer.from(toBytes(data));
}

/** Checks a destination. @throws as `sendto`. */
export function checkDestination(socket: Socket, address: AddressLike, syscall: string): Address {
  return destinationFor(address, socket.family, syscall);
}

/** Resolves a name. Returns the address that answers come from: for `0.0.0.0`, the loopback address. */
export async function endpointOf(socket: Socket, address: Address, syscall: string): Promise<Endpoint> {
  return destinationOf(await engineOf(socket).open(syscall).endpoint(address, syscall));
}

/** Whether datagrams to an address arrive at more than one host: answers then come from other addresses. */
export function isForMany({ host }: Endpoint): boolean {
  const literal = parseLiteral(host);
  return host === INADDR_BROADCAST || (literal !== undefined && isMulticast(literal.bytes));
}

/** Returns an `OSError` about a destination. */
export function failure(syscall: string, code: string, { host, port }: Address, text: string): OSError {
  return new OSError(code, { syscall, address: host, port, text });
}
