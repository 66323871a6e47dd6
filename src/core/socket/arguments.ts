/** The arguments of the socket's calls, and their checks. This file does not use a socket. */

import {
  type Address,
  type AddressLike,
  type Endpoint,
  type Family,
  forFamily,
  isEndpoint,
  isOverIPv4,
} from "../address/address.js";
import { knownAddress } from "../address/shared-addresses.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../errors/errors.js";
import { fieldsOf, refuseUnknown } from "../errors/fields.js";
import type { Wait } from "../receive/waiters.js";
import type { EngineOptions } from "./engine.js";

/** The options of `socket()`. */
export interface SocketOptions {
  /** Size in bytes of the kernel's receive buffer that is requested, for unread datagrams. @default 4194304 */
  readonly receiveBuffer?: number | undefined;
  /** Size in bytes of the kernel's send buffer that is requested. @default 4194304 */
  readonly sendBuffer?: number | undefined;
  /**
   * Bytes that may wait in this process to be sent. Each datagram counts as its payload and 64 bytes more. A send above this
   * limit fails with `ENOBUFS`. The payloads that `sendMany` borrows do not count. @default 67108864
   */
  readonly sendQueue?: number | undefined;
  /**
   * If a datagram is longer than a receive call asked for, the call rejects with `EMSGSIZE` instead of cutting the datagram
   * silently. The error has the field `datagram`. @default false
   */
  readonly strict?: boolean | undefined;
  /**
   * No datagram is sent in fragments. A datagram above the path MTU fails with `EMSGSIZE`, and the error has the `limit`.
   * Routers drop a packet that needs fragments, and report it (`IP_PMTUDISC_DO`, ip(7)). Needs the feature `pathMtu`.
   * @default false
   */
  readonly dontFragment?: boolean | undefined;
  /**
   * Whether the kernel is asked for the destination, interface, TTL, TOS, time and losses of each datagram. If `false`, they
   * are `undefined`, the kernel chooses the source and the interface of a `reply`, and datagrams that arrive one by one cost
   * less CPU time (docs/performance.md). @default true
   */
  readonly metadata?: boolean | undefined;
  /**
   * Microseconds, 0 to 1000, for which a receive call looks for a datagram again and again before it waits for the event
   * loop. Datagrams that arrive within that time are received sooner. Meanwhile the thread does nothing else and uses its
   * CPU fully. If looking finds a datagram in fewer than half of the waits, the socket stops looking, and tries again in
   * one of 64 waits. The option has no effect without the feature `busyPoll`, for example on one CPU. @default 0
   */
  readonly busyPoll?: number | undefined;
  /**
   * A descriptor of this process that is a UDP socket of the family, from a supervisor. (`socketsFromSystemd` finds the
   * descriptors of systemd.) The descriptor keeps its address, its peer and its options, becomes non-blocking, and is not
   * inherited by child processes. An option that this socket sets also changes for other processes that share the socket. A
   * buffer that is larger than the system's default keeps its size, unless a size is given here. `close()` closes the
   * descriptor.
   * Needs the feature `descriptors`. @default a new socket
   */
  readonly fd?: number | undefined;
}

/** How one receive call waits. */
export interface WaitOptions {
  /** Ends the wait: the call rejects with `signal.reason`. No datagram is lost. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds that this call waits, in place of `settimeout`: 0 does not wait, `Infinity` waits without a limit. */
  readonly timeoutMs?: number | undefined;
}

/** How `recvmsg` waits, and how many bytes it returns. */
export interface MessageOptions extends WaitOptions {
  /** The maximum number of bytes of `data`. The rest of the datagram is discarded. @default no limit */
  readonly bufsize?: number | undefined;
}

/** How `batches` waits, and how many datagrams a batch has. */
export interface BatchOptions extends WaitOptions {
  /** The largest number of datagrams in a batch, 1 or more. @default 1024 */
  readonly max?: number | undefined;
}

/** The names of the options of `socket()`. */
export const socketFields: readonly string[] = fieldsOf<SocketOptions>({
  receiveBuffer: true,
  sendBuffer: true,
  sendQueue: true,
  strict: true,
  dontFragment: true,
  metadata: true,
  busyPoll: true,
  fd: true,
});
const waitFields = fieldsOf<WaitOptions>({ signal: true, timeoutMs: true });
const messageFields = fieldsOf<MessageOptions>({ signal: true, timeoutMs: true, bufsize: true });
const batchFields = fieldsOf<BatchOptions>({ signal: true, timeoutMs: true, max: true });

/** The options of an engine whose socket was given none. All such sockets share them. */
const defaultOptions: EngineOptions = Object.freeze({
  sendQueue: 64 << 20,
  strict: false,
  dontFragment: false,
  metadata: true,
  busyPoll: 0,
  fd: undefined,
});

/** Checks the options of a socket, and returns the options of its engine. */
export function checkOptions(options: SocketOptions): EngineOptions {
  refuseUnknown(options, socketFields, "options: a field");
  const {
    sendQueue = defaultOptions.sendQueue,
    strict = defaultOptions.strict,
    dontFragment = defaultOptions.dontFragment,
    metadata = defaultOptions.metadata,
    busyPoll = defaultOptions.busyPoll,
    fd,
  } = options;
  wholeNumber("sendQueue", sendQueue, 0, Number.MAX_SAFE_INTEGER);
  checkBoolean("strict", strict);
  checkBoolean("dontFragment", dontFragment);
  checkBoolean("metadata", metadata);
  wholeNumber("busyPoll", busyPoll, 0, 1000);
  if (fd !== undefined) wholeNumber("fd", fd, 0, 0x7fff_ffff);
  const isDefault =
    sendQueue === defaultOptions.sendQueue && !strict && !dontFragment && metadata && busyPoll === 0;
  if (isDefault && fd === undefined) return defaultOptions;
  return { sendQueue, strict, dontFragment, metadata, busyPoll, fd };
}

function checkBoolean(name: string, value: unknown): void {
  if (typeof value !== "boolean") throw wrongType(name, "a boolean", value);
}

/** Returns the maximum number of bytes that `recvmsg` may return. */
export function checkMessage(options: MessageOptions | undefined): number {
  const bufsize = options?.bufsize;
  return bufsize === undefined ? Infinity : checkBufsize(bufsize);
}

/** Returns the maximum number of bytes that a receive call may return. */
export function checkBufsize(bufsize: unknown): number {
  return wholeNumber("bufsize", bufsize, 0, Number.MAX_SAFE_INTEGER);
}

/** Returns the seconds of `settimeout` in milliseconds; `null` for no limit. */
export function checkTimeout(seconds: unknown): number | null {
  if (seconds === null) return null;
  if (typeof seconds !== "number") throw wrongType("timeout", "a number of seconds or null", seconds);
  if (!Number.isFinite(seconds) || seconds < 0) throw outOfRange("timeout", "0 or more seconds", seconds);
  return seconds * 1000;
}

/** Returns how a call waits. Without a timeout of its own it waits `timeoutMs`. Reads each option once. */
export function checkWait(syscall: string, options: WaitOptions | undefined, timeoutMs: number | null): Wait {
  if (options === undefined) return { syscall, timeoutMs, signal: undefined };
  const { signal, timeoutMs: own } = checkWaitOptions(
    options,
    syscall === "recvmsg" ? messageFields : waitFields,
  );
  return { syscall, timeoutMs: own === undefined ? timeoutMs : own, signal };
}

/** Checks the options of `batches`; `timeoutMs` is `undefined` if `settimeout` applies. Reads each option once. */
export function checkBatches(
  options: BatchOptions,
): Pick<Wait, "signal"> & { max: number; timeoutMs: number | null | undefined } {
  const checked = checkWaitOptions(options, batchFields);
  const { max = 1024 } = options;
  return { ...checked, max: checkMax(max) };
}

/** Checks the maximum number of datagrams that a receive call may return. */
export function checkMax(max: unknown): number {
  return wholeNumber("max", max, 1, Number.MAX_SAFE_INTEGER);
}

/** Returns an address that a socket of `family` can use. @throws `OSError` `EAFNOSUPPORT`; `TypeError`, `RangeError`. */
export function addressFor(input: AddressLike | undefined, family: Family, syscall: string): Address {
  return forFamily(knownAddress(input as AddressLike), family, syscall);
}

/** Returns the destination of a send. @throws as `addressFor`, and `OSError` `EINVAL` for port 0. */
export function destinationFor(input: AddressLike | undefined, family: Family, syscall: string): Address {
  const to = addressFor(input, family, syscall);
  if (to.port > 0) return to;
  throw new OSError("EINVAL", { syscall, address: to.host, port: 0, text: "port 0 is not a destination" });
}

/** Returns the address of a call that takes no host name. @throws as `addressFor`, and `OSError` `EINVAL` for a name. */
export function literalFor(input: AddressLike, family: Family, syscall: string): Endpoint {
  const to = addressFor(input, family, syscall);
  if (isEndpoint(to)) return unscopedIPv4(to, syscall);
  const text = "this takes an IP address, not a name: resolve it first";
  throw new OSError("EINVAL", { syscall, address: to.host, port: to.port, text });
}

/**
 * Throws `OSError` `EINVAL` if an IPv4 address has a scope, such as `::ffff:10.0.0.1%eth1`. The kernel cannot look for a
 * route to an IPv4 address through an interface.
 */
export function unscopedIPv4<A extends Address>(address: A, syscall: string): A {
  const { host, port, scope } = address;
  if (scope === undefined || !isOverIPv4(address)) return address;
  const text = `an IPv4 address has no scope: SO_BINDTODEVICE keeps the socket to ${scope}`;
  throw new OSError("EINVAL", { syscall, address: host, port, text });
}

/**
 * Checks the delay of a clock's `after`.
 *
 * @throws `RangeError` `ERR_OUT_OF_RANGE` if the delay is negative, `Infinity` or `NaN`; `TypeError` if it is not a number.
 */
export function checkDelay(name: string, ms: number): number {
  if (typeof ms !== "number") throw wrongType(name, "milliseconds", ms);
  if (!(ms >= 0 && ms < Infinity)) throw outOfRange(name, "0 or more, and finite", ms);
  return ms;
}

function checkWaitOptions(
  options: WaitOptions,
  fields: readonly string[],
): Pick<Wait, "signal"> & { timeoutMs: number | null | undefined } {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  const { signal, timeoutMs } = options;
  refuseUnknown(options, fields, "options: a field");
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType("signal", "an AbortSignal", signal);
  return { signal, timeoutMs: timeoutMs === undefined ? undefined : checkTimeoutMs(timeoutMs) };
}

function checkTimeoutMs(timeoutMs: unknown): number | null {
  if (typeof timeoutMs !== "number") throw wrongType("timeoutMs", "a number of milliseconds", timeoutMs);
  if (!(timeoutMs >= 0)) throw outOfRange("timeoutMs", "0 or more milliseconds", timeoutMs);
  return timeoutMs === Infinity ? null : timeoutMs;
}
