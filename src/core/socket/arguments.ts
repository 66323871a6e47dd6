/** The arguments of the socket's calls, and their checks. This file does not use a socket. */

import {
  Address,
  type AddressLike,
  type Endpoint,
  type Family,
  forFamily,
  isEndpoint,
  isOverIPv4,
} from "../address/address.js";
import { knownAddress } from "../address/cache.js";
import type { Ancillary } from "../driver/ancillary.js";
import type { EngineOptions } from "./engine.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../errors/errors.js";
import { anyLimit } from "../send/failure.js";
import { fieldsOf, refuseUnknown } from "../errors/fields.js";
import { parseLiteral } from "../ip.js";
import type { Borrowed } from "../driver/outbound.js";
import { type Data, filledBytes, sizeOf, toBytes } from "../driver/payload.js";
import { checkInterface } from "../driver/options.js";
import type { Wait } from "../receive/receiver.js";

const { slice } = Array.prototype;

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

/** One datagram for `sendMany` and `sendmsg`. If a field is missing, the socket's option decides. */
export interface OutgoingDatagram {
  readonly data: Data;
  /** The destination. Without it, the datagram goes to the connected peer. */
  readonly address?: AddressLike | undefined;
  /** The source address, one of this host, as an IP literal such as `"10.0.0.2"`. The port is the socket's. `IP_PKTINFO`. */
  readonly source?: string | undefined;
  /** The name or number of the network interface through which the datagram leaves. `IP_PKTINFO`. */
  readonly interface?: string | number | undefined;
  /** The TTL or hop limit, 1 to 255. `IP_TTL`, `IPV6_HOPLIMIT`. */
  readonly ttl?: number | undefined;
  /** 0 to 255: DSCP in the upper six bits, ECN in the lower two. `IP_TOS`, `IPV6_TCLASS`. */
  readonly tos?: number | undefined;
  /** 0 to 3: only the lower two bits of `tos` (RFC 3168). */
  readonly ecn?: number | undefined;
  /**
   * Sends the datagram without fragments and ignores the known path MTU, to measure it. The datagram fails with `EMSGSIZE`
   * only above the MTU of the first link, and is lost if the MTU of a later link is too small. `IP_PMTUDISC_PROBE`.
   * @default false
   */
  readonly probe?: boolean | undefined;
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
const outgoingFields = fieldsOf<OutgoingDatagram>({
  data: true,
  address: true,
  source: true,
  interface: true,
  ttl: true,
  tos: true,
  ecn: true,
  probe: true,
});

/** Checks the options of a socket, and returns the options of its engine. */
export function checkOptions(options: SocketOptions): EngineOptions {
  refuseUnknown(options, socketFields, "options: a field");
  const {
    sendQueue = 64 << 20,
    strict = false,
    dontFragment = false,
    metadata = true,
    busyPoll = 0,
    fd,
  } = options;
  wholeNumber("sendQueue", sendQueue, 0, Number.MAX_SAFE_INTEGER);
  for (const [name, value] of Object.entries({ strict, dontFragment, metadata })) {
    if (typeof value !== "boolean") throw wrongType(name, "a boolean", value);
  }
  wholeNumber("busyPoll", busyPoll, 0, 1000);
  if (fd !== undefined) wholeNumber("fd", fd, 0, 0x7fff_ffff);
  return { sendQueue, strict, dontFragment, metadata, busyPoll, fd };
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

/**
 * Checks the datagrams of a `sendMany`.
 *
 * @param shared the destination of payloads without an address; `null` is the connected peer.
 * @throws the error of the first bad item, with its `index`.
 */
export function checkOutgoing(
  items: Iterable<Data | OutgoingDatagram>,
  shared: Address | null,
  family: Family,
): Borrowed {
  if (typeof items !== "object" || items === null || !(Symbol.iterator in items)) {
    throw wrongType("the first argument", "an array of payloads or of { data, address }", items);
  }
  const copy = copyOfArray(items);
  const payloadsOnly = copy && checkPayloads(copy, shared);
  if (payloadsOnly) return payloadsOnly;
  // Growing the arrays would cost more than everything else in this function.
  const likely = copy ? copy.length : 0;
  const payloads = new Array<Uint8Array>(likely);
  let tos: (Address | null)[] | undefined;
  let ancillaries: (Ancillary | undefined)[] | undefined;
  let lengths: Int32Array = new Int32Array(likely);
  let [count, ready] = [0, true];
  let first: Address | null = shared;
  for (const item of copy ?? items) {
    let bytes = filledBytes(item);
    let payload = item as Uint8Array;
    let to = shared;
    if (bytes === 0) {
      try {
        let data = item as Data;
        if (isOutgoing(item)) {
          const { address } = item;
          data = item.data;
          to = address === undefined ? null : destinationFor(address, family, "sendMany");
          const own = checkAncillary(item, family, "sendMany");
          if (own) (ancillaries ??= [])[count] = own;
        }
        payload = toBytes(data);
        bytes = sizeOf(payload);
      } catch (error) {
        if (!(error instanceof Error) || !Object.isExtensible(error)) throw error;
        throw Object.assign(error, { index: count, sent: 0 });
      }
    }
    if (count === lengths.length) lengths = longer(lengths);
    payloads[count] = payload;
    if (count === 0) first = to;
    if (tos) tos[count] = to;
    else if (to !== first) {
      tos = new Array<Address | null>(Math.max(likely, count)).fill(first, 0, count);
      tos[count] = to;
    }
    lengths[count] = bytes;
    if (bytes > anyLimit || (to !== null && !isEndpoint(to))) ready = false;
    count++;
  }
  return { count, payloads, peer: first, peers: tos, ancillaries, lengths, ready };
}

/** Returns a copy of an array, much faster than by iteration; `undefined` for another iterable, or a class of the program. */
function copyOfArray<Item>(items: Iterable<Item>): Item[] | undefined {
  if (!Array.isArray(items) || Object.getPrototypeOf(items) !== Array.prototype) return undefined;
  if (items[Symbol.iterator] !== Array.prototype[Symbol.iterator]) return undefined;
  return slice.call(items) as Item[];
}

/** Checks items that are filled payloads; `undefined` if another item is among them. The result keeps the array. */
function checkPayloads(items: unknown[], peer: Address | null): Borrowed | undefined {
  const count = items.length;
  const lengths = new Int32Array(count);
  let ready = peer === null || isEndpoint(peer);
  for (let index = 0; index < count; index++) {
    const bytes = filledBytes(items[index]);
    if (bytes === 0) return undefined;
    if (bytes > anyLimit) ready = false;
    lengths[index] = bytes;
  }
  const payloads = items as Uint8Array[];
  return { count, payloads, peer, peers: undefined, ancillaries: undefined, lengths, ready };
}

/**
 * Returns the ancillary data of an outgoing datagram; `undefined` if it has none. Reads each field once.
 *
 * @throws `RangeError` for an unknown field or a value out of range; `TypeError`; `OSError` `EAFNOSUPPORT`.
 */
export function checkAncillary(
  item: OutgoingDatagram,
  family: Family,
  syscall: string,
): Ancillary | undefined {
  for (const field in item) {
    if (!isOutgoingField(field)) refuseUnknown(item, outgoingFields, "message: a field");
  }
  const { source, interface: at, ttl, tos: byte, ecn: bits, probe } = item;
  const named =
    source !== undefined ||
    at !== undefined ||
    ttl !== undefined ||
    byte !== undefined ||
    bits !== undefined ||
    probe !== undefined;
  if (!named) return undefined;
  const tos = byte === undefined ? undefined : wholeNumber("tos", byte, 0, 255);
  const ecn = bits === undefined ? undefined : wholeNumber("ecn", bits, 0, 3);
  if (probe !== undefined && typeof probe !== "boolean") throw wrongType("probe", "a boolean", probe);
  return {
    source: source === undefined ? undefined : checkSource(source, family, syscall),
    interface: at === undefined ? undefined : checkOutgoingInterface(at),
    ttl: ttl === undefined ? undefined : wholeNumber("ttl", ttl, 1, 255),
    tos: tos === undefined || ecn === undefined ? tos : (tos & 0xfc) | ecn,
    ecn: tos === undefined ? ecn : undefined,
    probe: probe === true,
  };
}

/** Called for each field of each datagram of a `sendMany`: takes 3 ns. A search of the list takes five times as long. */
function isOutgoingField(field: string): boolean {
  switch (field) {
    case "data":
    case "address":
    case "source":
    case "interface":
    case "ttl":
    case "tos":
    case "ecn":
    case "probe":
      return true;
    default:
      return false;
  }
}

/** Packet info has the index of the interface. An address is refused: it would need a lookup for each datagram. */
function checkOutgoingInterface(at: unknown): string {
  const given = checkInterface("interface", at);
  if (parseLiteral(given))
    throw outOfRange("interface", "the name or number of an interface (source is the address)", given);
  return given;
}

function checkSource(source: unknown, family: Family, syscall: string): Endpoint {
  if (typeof source !== "string") {
    throw wrongType("source", "an IP address of this host as a string (the host of an Address)", source);
  }
  const address = forFamily(new Address(source, 0), family, syscall);
  if (source === "" || !isEndpoint(address)) throw outOfRange("source", "an IP address of this host", source);
  return address;
}

function longer(numbers: Int32Array): Int32Array {
  const copy = new Int32Array(Math.max(64, numbers.length * 2));
  copy.set(numbers);
  return copy;
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

function isOutgoing(item: Data | OutgoingDatagram): item is OutgoingDatagram {
  return typeof item === "object" && item !== null && "data" in item;
}
