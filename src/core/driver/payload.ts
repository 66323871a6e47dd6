import { Buffer } from "node:buffer";

import { wrongType } from "../errors/errors.js";

/** One piece of a payload: a string is sent as UTF-8. */
export type DataPiece = string | ArrayBufferView | ArrayBufferLike;

/** What every send call takes for a payload: a piece, or an array of pieces that are gathered into one datagram. */
export type Data = DataPiece | readonly DataPiece[];

/** The getters of the language itself: what an object says of its own length may be anything. */
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
// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called on each array that is written to
const { set } = Uint8Array.prototype;

/**
 * The bytes of `data`. Not a copy where one view suffices; reads each part of the input once. Its length is what `sizeOf`
 * says: an array may be of a class of the program's own.
 *
 * @throws `TypeError` `ERR_INVALID_ARG_TYPE` for anything else, and for memory that was transferred away.
 */
export function toBytes(data: Data): Uint8Array {
  return Array.isArray(data) ? gather(data as readonly DataPiece[]) : pieceToBytes(data as DataPiece);
}

/** Bytes of a payload now: 0 once it was transferred away. */
export function sizeOf(payload: Uint8Array): number {
  // Reading an element runs no code of the program's. It tells V8 what the object is, so that it inlines the getter.
  return payload[0] === undefined ? 0 : (byteLengthOf.call(payload) as number);
}

/** `memory.set(payload, at)`, without the look-up of `set`, which is dear on a Buffer. */
export function copyTo(memory: Uint8Array, payload: Uint8Array, at: number): void {
  set.call(memory, payload, at);
}

/** How many bytes `data` is; 0 where it is none, is something else, or was transferred away. */
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
  if (kindOf.call(piece) === "Uint8Array" && (byteLengthOf.call(piece) as number) > 0)
    return piece as Uint8Array;
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

/** Throws when the memory is detached: such a buffer only looks empty, and must not be sent as if it were. */
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
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called on each object that it is asked of
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  if (!get) throw new Error(`this JavaScript has no ${String(name)}`);
  return get as (this: unknown) => unknown;
}
