/** The checks of arguments, with the errors of `node:dgram`. */

import { Buffer } from "node:buffer";
import { BlockList } from "node:net";

import { AF_INET, AF_INET6 } from "../core/constants.js";
import type { Family } from "../core/address/address.js";
import { toBytes } from "../core/driver/payload.js";
import { parseLiteral } from "../core/ip.js";
import { wrong } from "./errors.js";
import type { SendCallback, SocketOptions } from "./types.js";

/** A payload as `node:dgram` takes it. */
type Payload = string | ArrayBufferView | readonly (string | ArrayBufferView)[];

/** The arguments of `send` after their checks. */
export interface SendArguments {
  readonly payload: Uint8Array;
  /** 0 for the connected peer. */
  readonly port: number;
  readonly address: string | undefined;
  readonly callback: SendCallback | undefined;
}

const payloadTypes = "of type string or an instance of Buffer, TypedArray, or DataView";

/** Reads the forms of `send`: with or without offset and length, to an address or to the connected peer. */
export function sendArguments(
  connected: boolean,
  payload: unknown,
  offset: unknown,
  length: unknown,
  port: unknown,
  address: unknown,
  callback: unknown,
): SendArguments {
  if (connected) {
    if (typeof length === "number") {
      payload = slice(payload, offset, length);
      if (typeof port === "function") [callback, port] = [port, undefined];
    } else callback = offset;

    if (truthy(port) || truthy(address)) throw wrong.connected();
  } else if (truthy(address) || (truthy(port) && typeof port !== "function")) {
    payload = slice(payload, offset, length);
  } else {
    [port, address, callback] = [offset, length, port];
  }
  const bytes = payloadBytes(payload);
  const to = connected ? 0 : portNumber(port, "Port", false);
  if (typeof address === "function") [callback, address] = [address, undefined];
  else if (address !== undefined && address !== null) text(address, "address");
  return {
    payload: bytes,
    port: to,
    address: truthy(address) ? (address as string) : undefined,
    callback: typeof callback === "function" ? (callback as SendCallback) : undefined,
  };
}

/** Whether JavaScript takes a value for true: by this `node:dgram` tells its forms apart, and whether an argument is given. */
export function truthy(value: unknown): boolean {
  return Boolean(value);
}

/** Returns a port as a number. A string of digits is a port too. @throws `RangeError` `ERR_SOCKET_BAD_PORT`. */
export function portNumber(port: unknown, name: string, allowZero: boolean): number {
  const isNumeric = typeof port === "number" || (typeof port === "string" && port.trim() !== "");
  const value = Number(port);
  if (!isNumeric || value !== value >>> 0 || value > 0xffff || (value === 0 && !allowZero))
    throw wrong.port(name, allowZero, port);
  return value;
}

/** Returns a port to bind to: `node:dgram` does not check it, and its lower 16 bits count. */
export function bindPort(port: unknown): number {
  return Number(port) & 0xffff;
}

/** @throws `TypeError` `ERR_INVALID_ARG_TYPE` if `value` is not a string. */
export function text(value: unknown, name: string): asserts value is string {
  if (typeof value !== "string") throw wrong.type(name, "of type string", value);
}

/** @throws `TypeError` `ERR_INVALID_ARG_TYPE` if `value` is not a number. */
export function number(value: unknown, name: string): asserts value is number {
  if (typeof value !== "number") throw wrong.type(name, "of type number", value);
}

/** The largest buffer that the core takes. Sizes up to 2,147,483,647, which Node takes, become this one: the kernel's limit is lower. */
export const maxBufferBytes = 0x3fff_ffff;

/** Whether a host is an IPv4 or IPv6 address, which no resolver is needed for. */
export function isLiteral(host: string): boolean {
  return parseLiteral(host) !== undefined;
}

/** The family of a `type`. @throws `TypeError` `ERR_SOCKET_BAD_TYPE`. */
export function familyOf(type: unknown): Family {
  if (type === "udp4") return AF_INET;
  if (type === "udp6") return AF_INET6;
  throw wrong.badType();
}

/** Checks the options of a socket. */
export function checkOptions(options: SocketOptions): void {
  const { recvBufferSize, sendBufferSize, receiveBlockList, sendBlockList, lookup, signal } =
    options as Readonly<Record<keyof SocketOptions, unknown>>;
  checkSize(recvBufferSize, "options.recvBufferSize");
  checkSize(sendBufferSize, "options.sendBufferSize");
  checkBlockList(receiveBlockList, "options.receiveBlockList");
  checkBlockList(sendBlockList, "options.sendBlockList");
  if (lookup !== undefined && typeof lookup !== "function")
    throw wrong.type("lookup", "of type function", lookup);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrong.type("options.signal", "an instance of AbortSignal", signal);
}

function checkSize(size: unknown, name: string): void {
  if (!truthy(size)) return;
  if (typeof size !== "number") throw wrong.type(name, "of type number", size);
  if (!Number.isInteger(size)) throw wrong.range(name, "an integer", size);
  if (size < 0 || size > 0xffff_ffff) throw wrong.range(name, ">= 0 && <= 4294967295", size);
}

function checkBlockList(list: unknown, name: string): void {
  if (truthy(list) && !(list instanceof BlockList))
    throw wrong.type(name, "an instance of net.BlockList", list);
}

function slice(payload: unknown, offset: unknown, length: unknown): Uint8Array {
  let bytes: Buffer;
  if (typeof payload === "string") bytes = Buffer.from(payload);
  else if (ArrayBuffer.isView(payload))
    bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  else throw wrong.type("buffer", payloadTypes, payload);
  const [from, count] = [Number(offset) >>> 0, Number(length) >>> 0];
  if (from > bytes.byteLength) throw wrong.bufferBounds("offset");
  if (from + count > bytes.byteLength) throw wrong.bufferBounds("length");
  return bytes.subarray(from, from + count);
}

function payloadBytes(payload: unknown): Uint8Array {
  if (Array.isArray(payload)) {
    for (const piece of payload as unknown[]) {
      if (typeof piece !== "string" && !ArrayBuffer.isView(piece))
        throw wrong.type("buffer list arguments", payloadTypes, payload);
    }
  } else if (typeof payload !== "string" && !ArrayBuffer.isView(payload))
    throw wrong.type("buffer", payloadTypes, payload);
  return toBytes(payload as Payload);
}
