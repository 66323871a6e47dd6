import { Buffer } from "node:buffer";

import { wrongType } from "./errors.js";

/** One piece of a payload: a string is sent as UTF-8. */
export type DataPiece = string | ArrayBufferView | ArrayBufferLike;

/** What every send call takes for a payload: a piece, or an array of pieces that are gathered into one datagram. */
export type Data = DataPiece | readonly DataPiece[];

/** The getters of the language itself: what an object says of its own length may be anything. */
const intrinsic = {
  buffer: getter(Object.getPrototypeOf(Uint8Array.prototype) as object, "buffer"),
  byteOffset: getter(Object.getPrototypeOf(Uint8Array.prototype) as object, "byteOffset"),
  byteLength: getter(Object.getPrototypeOf(Uint8Array.prototype) as object, "byteLength"),
  arrayBufferBytes: getter(ArrayBuffer.prototype, "byteLength"),
  sharedBufferBytes: getter(SharedArrayBuffer.prototype, "byteLength"),
};

/**
 * The bytes of `data`. Not a copy where one view suffices; reads each part of the input once.
 *
 * @throws `TypeError` `ERR_INVALID_ARG_TYPE` for anything else, and for memory that was transferred away.
 */
export function toBytes(data: Data): Uint8Array {
  if (!Array.isArray(data)) return pieceToBytes(data as DataPiece);
  return Buffer.concat(Array.from(data as readonly DataPiece[], pieceToBytes));
}

function pieceToBytes(piece: DataPiece): Uint8Array {
  if (isPlain(piece)) return piece;
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

/** Whether `piece` is a view of bytes whose `length` can be believed, and not one of detached memory. */
function isPlain(piece: unknown): piece is Uint8Array {
  if (!ArrayBuffer.isView(piece)) return false;
  const prototype: unknown = Object.getPrototypeOf(piece);
  if (prototype !== Buffer.prototype && prototype !== Uint8Array.prototype) return false;
  return !Object.hasOwn(piece, "length") && (piece as Uint8Array).length > 0;
}

/** Throws when the memory is detached: such a buffer only looks empty, and must not be sent as if it were. */
function bytesOf(piece: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(piece)) {
    if (piece instanceof DataView) return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    const buffer = intrinsic.buffer(piece) as ArrayBufferLike;
    return new Uint8Array(
      buffer,
      intrinsic.byteOffset(piece) as number,
      intrinsic.byteLength(piece) as number,
    );
  }
  if (typeof piece !== "object" || piece === null) return undefined;
  for (const bytesIn of [intrinsic.arrayBufferBytes, intrinsic.sharedBufferBytes]) {
    try {
      bytesIn(piece);
    } catch {
      continue;
    }
    return new Uint8Array(piece as ArrayBufferLike);
  }
  return undefined;
}

function getter(prototype: object, name: string): (object: object) => unknown {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is bound to each object that it is asked of
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  if (!get) throw new Error(`this JavaScript has no ${name}`);
  return (object) => Reflect.apply(get, object, []) as unknown;
}
