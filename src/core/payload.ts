import { Buffer } from "node:buffer";

import { wrongType } from "./errors.js";

/** One piece of a payload: a string is sent as UTF-8. */
export type DataPiece = string | ArrayBufferView | ArrayBufferLike;

/** What every send call takes for a payload: a piece, or an array of pieces that are gathered into one datagram. */
export type Data = DataPiece | readonly DataPiece[];

/** The bytes of `data`. Not a copy where one view suffices; reads each part of the input once. */
export function toBytes(data: Data): Uint8Array {
  if (!Array.isArray(data)) return pieceToBytes(data as DataPiece);
  return Buffer.concat(Array.from(data as readonly DataPiece[], pieceToBytes));
}

function pieceToBytes(piece: DataPiece): Uint8Array {
  if (typeof piece === "string") return Buffer.from(piece, "utf8");
  if (piece instanceof Uint8Array && piece.length > 0) return piece;
  if (ArrayBuffer.isView(piece) || piece instanceof ArrayBuffer || isSharedArrayBuffer(piece)) {
    try {
      return bytesOf(piece);
    } catch {
      throw wrongType("data", "memory that this thread still has: it was transferred away", piece);
    }
  }
  throw wrongType(
    "data",
    "a string, a Buffer, a TypedArray, a DataView, an ArrayBuffer or an array of these",
    piece,
  );
}

/** Throws when the memory is detached: such a buffer only looks empty, and must not be sent as if it were. */
function bytesOf(piece: ArrayBufferView | ArrayBufferLike): Uint8Array {
  if (!ArrayBuffer.isView(piece)) return new Uint8Array(piece);
  return new Uint8Array(piece.buffer).subarray(piece.byteOffset, piece.byteOffset + piece.byteLength);
}

function isSharedArrayBuffer(value: unknown): value is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== "undefined" && value instanceof SharedArrayBuffer;
}
