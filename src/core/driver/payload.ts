import { Buffer } from "node:buffer";

import { wrongType } from "../errors/errors.js";

/** One piece of a payload: a string is sent as UTF-8. */
export type DataPiece = string | ArrayBufferView | ArrayBufferLike;

/** The payload that every send call takes: one piece, or an array of pieces that become one datagram. */
export type Data = DataPiece | readonly DataPiece[];

/** The getters of JavaScript itself. An object can override its own `byteLength` with a wrong value. */
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const intrinsic = {
  kind: getter(typedArray, Symbol.toStringTag),
  buffer: getter(typedArray, "buffer"),
  byteOffset: getter(typedArray, "byteOffset"),
  byteLength: getter(typedArray, "byteLength"),
  arrayBufferBytes: getter(ArrayBuffer.prototype, "byteLength"),
  sharedBufferBytes: getter(SharedArrayBuffer.prototype, "byteLength"),
} as const;
const { kind: kindOf, byteLength: byteLengthOf } = intrinsic;
// oxlint-disable-next-line typescript/unbound-method -- it is called on each array that is written to
const { set } = Uint8Array.prototype;

/**
 * Returns the bytes of `data`. Copies only strings and arrays of pieces. Reads each part of the input once. Read the length
 * of the result with `sizeOf`: its class may be a subclass that the program defined.
 *
 * @throws `TypeError` `ERR_INVALID_ARG_TYPE` for other types, and if the memory was transferred to another thread.
 */
export function toBytes(data: Data): Uint8Array {
  return Array.isArray(data) ? gather(data as readonly DataPiece[]) : pieceToBytes(data as DataPiece);
}

/** Bytes of a payload now; 0 if its memory was transferred to another thread. */
export function sizeOf(payload: Uint8Array): number {
  // Reading an element runs no code of the program. After it, V8 knows the type of the object and inlines the getter.
  return payload[0] === undefined ? 0 : (byteLengthOf.call(payload) as number);
}

/** `memory.set(payload, at)` without the lookup of `set`, which is slow on a Buffer. */
export function copyTo(memory: Uint8Array, payload: Uint8Array, at: number): void {
  set.call(memory, payload, at);
}

/** Bytes of a `Uint8Array`; 0 if it is empty, if its memory was transferred, or if `data` is of another type. */
export function filledBytes(data: unknown): number {
  return kindOf.call(data) === "Uint8Array" ? sizeOf(data as Uint8Array) : 0;
}

function gather(pieces: readonly DataPiece[]): Uint8Array {
  const parts = Array.from(pieces, pieceToBytes);
  const whole = Buffer.allocUnsafe(parts.reduce((bytes, part) => bytes + sizeOf(part), 0));
  let at = 0;
  for (const part of parts) {
    copyTo(whole, part, at);
    at += sizeOf(part);
  }
  return whole;
}

function pieceToBytes(piece: DataPiece): Uint8Array {
  if (filledBytes(piece) > 0) return piece as Uint8Array;
  if (typeof piece === "string") return Buffer.from(piece, "utf8");
  let bytes: Uint8Array | undefined;
  try {
    bytes = bytesOf(piece);
  } catch {
    throw wrongType("data", "memory that this thread still has: it was transferred away", piece);
  }
  if (bytes) return bytes;
  throw wrongType(
    "data",
    "a string, a Buffer, a TypedArray, a DataView, an ArrayBuffer or an array of these",
    piece,
  );
}

/** Throws if the memory is detached. A detached buffer has length 0, and must not be sent as an empty payload. */
function bytesOf(piece: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(piece)) {
    if (piece instanceof DataView) return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    const buffer = intrinsic.buffer.call(piece) as ArrayBufferLike;
    return new Uint8Array(
      buffer,
      intrinsic.byteOffset.call(piece) as number,
      byteLengthOf.call(piece) as number,
    );
  }
  if (typeof piece !== "object" || piece === null) return undefined;
  for (const bytesIn of [intrinsic.arrayBufferBytes, intrinsic.sharedBufferBytes]) {
    try {
      bytesIn.call(piece);
    } catch {
      continue;
    }
    return new Uint8Array(piece as ArrayBufferLike);
  }
  return undefined;
}

function getter(prototype: object, name: string | symbol): (this: unknown) => unknown {
  // oxlint-disable-next-line typescript/unbound-method -- it is called on each object that it is asked of
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  if (!get) throw new Error(`this JavaScript has no ${String(name)}`);
  return get as (this: unknown) => unknown;
}
